package ledger

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// A Usage is the total usage of a Key: of one subscription, or of all, and one model in one
// span.
type Usage struct {
	Key
	Totals
}

// Join returns the usage in rows, sorted by time, subscription and model. It counts nothing
// twice, even if rows were rolled up while they were read, provided that they were read in
// this order: the minutes of processes, the sums of minutes, the hours.
func Join(rows []Row) []Usage {
	groups := groupRows(rows)
	all := make([]Usage, 0, len(groups))
	for key, p := range groups {
		if key.Span != Minute || groups[key.hour()] == nil { // the hour already includes its minutes
			all = append(all, Usage{Key: key, Totals: p.totals()})
		}
	}
	slices.SortFunc(all, func(a, b Usage) int { return compare(a.Key, b.Key) })
	return all
}

// compare orders keys by time, subscription and model.
func compare(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), strings.Compare(a.Subscription, b.Subscription), strings.Compare(a.Model, b.Model), strings.Compare(string(a.Span), string(b.Span)))
}

// hour returns the key of the hour that a minute is in.
func (k Key) hour() Key {
	k.Span, k.Start = Hour, k.Start-k.Start%60
	return k
}

// A rowGroup holds the rows of one key.
type rowGroup struct {
	sum       *Row  // nil if there is none yet
	processes []Row // the rows of processes
}

func groupRows(rows []Row) map[Key]*rowGroup {
	groups := make(map[Key]*rowGroup)
	for i, row := range rows {
		p := groups[row.Key]
		if p == nil {
			p = &rowGroup{}
			groups[row.Key] = p
		}
		if row.Process == Sum {
			p.sum = &rows[i]
		} else {
			p.processes = append(p.processes, row)
		}
	}
	return groups
}

// totals returns the totals of a key. Those of a day or hour are the sum's alone, if there is
// one: it replaced the rows of processes.
func (p *rowGroup) totals() Totals {
	if p.sum != nil && p.sum.Span != Minute {
		return p.sum.Totals
	}
	var before map[string]Taken
	if p.sum != nil {
		before = p.sum.Taken
	}
	taken, _ := take(before, p.processes)
	return sumOf(taken)
}

// take returns what a sum has taken after it takes rows, and whether that is more than before.
// Of several revisions of a process's row the highest counts, because it includes the others.
func take(before map[string]Taken, rows []Row) (taken map[string]Taken, more bool) {
	taken = make(map[string]Taken, len(before)+len(rows))
	maps.Copy(taken, before)
	for _, row := range rows {
		if row.Revision > taken[row.Process].Revision {
			taken[row.Process], more = Taken{Revision: row.Revision, Totals: row.Totals}, true
		}
	}
	return taken, more
}

// sumOf returns the totals of everything that a sum has taken.
func sumOf(taken map[string]Taken) (sum Totals) {
	for _, process := range slices.Sorted(maps.Keys(taken)) {
		sum.Add(taken[process].Totals)
	}
	return sum
}
