package ledger

import (
	"cmp"
	"slices"
	"time"
)

// An operation is a request to the store: it reads or writes rows of entries in one partition.
type operation struct {
	partition *partition
	entries   []*entry
	changes   []Change // the rows to write; nil: it reads
	begun     time.Time
}

// lastEntries returns up to n entries, those with the last row keys. So minutes come before
// days, and the keys are close together, so that few other rows are read with them.
func lastEntries(entries []*entry, n int) []*entry {
	if len(entries) > n {
		slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(b.rowKey, a.rowKey) })
		entries = entries[:n]
	}
	return entries
}

// ranges returns the ranges of row keys to read: first those of the entries' own rows, then
// those of sums that may have taken them.
func (o *operation) ranges() [][2]string {
	bounds := make(map[byte][2]string) // by the first letter: own minutes, sums of minutes, days
	for _, e := range o.entries {
		keys := []string{e.rowKey}
		if e.isSettled(o.begun) {
			keys = append(keys, e.sumKey)
		}
		for _, key := range keys {
			r, there := bounds[key[0]]
			if !there || key < r[0] {
				r[0] = key
			}
			r[1] = max(r[1], key+separator) // just after the key
			bounds[key[0]] = r
		}
	}
	var ranges [][2]string
	for _, letter := range []byte("msd") {
		if r, there := bounds[letter]; there {
			ranges = append(ranges, r)
		}
	}
	return ranges
}
