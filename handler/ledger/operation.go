package ledger

import (
	"cmp"
	"slices"
	"time"
)

// An operation reads or writes the rows of some entries of a partition.
type operation struct {
	partition *partition
	entries   []*entry
	changes   []Change // nil: it reads
	begun     time.Time
}

// last returns up to n entries, those with the last row keys: minutes before days, and in
// so short a range that a reader needs few other rows.
func last(entries []*entry, n int) []*entry {
	if len(entries) > n {
		slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(b.rowKey, a.rowKey) })
		entries = entries[:n]
	}
	return entries
}

// ranges returns the ranges of row keys to read: those of the entries' own rows, and then
// of the sums that may have taken them by now.
func (o *operation) ranges() [][2]string {
	bounds := make(map[byte][2]string) // by the first letter: own minutes, sums of minutes, days
	for _, e := range o.entries {
		keys := []string{e.rowKey}
		if e.isSure(o.begun) {
			keys = append(keys, e.sumKey)
		}
		for _, key := range keys {
			r, there := bounds[key[0]]
			if !there || key < r[0] {
				r[0] = key
			}
			r[1] = max(r[1], key+separator) // the least key after it
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
