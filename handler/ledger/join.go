package ledger

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// A Usage is what happened in a span, as all processes counted it.
type Usage struct {
	Key
	Totals
}

// Join returns what rows say, sorted by time, subscription and model. Nothing counts
// twice, even if roll-up went on while the rows were read, provided that each transaction's
// sources were read before its target: minutes, sums of minutes, hours.
func Join(rows []Row) []Usage {
	piles := pileUp(rows)
	all := make([]Usage, 0, len(piles))
	for key, p := range piles {
		if key.Span != Minute || piles[key.hour()] == nil { // an hour has all of its minutes
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

// A pile holds the rows of one key.
type pile struct {
	sum       *Row  // nil if there is none yet
	processes []Row // of those that the sum hasn't taken or replaced
}

func pileUp(rows []Row) map[Key]*pile {
	piles := make(map[Key]*pile)
	for i, row := range rows {
		p := piles[row.Key]
		if p == nil {
			p = &pile{}
			piles[row.Key] = p
		}
		if row.Process == Sum {
			p.sum = &rows[i]
		} else {
			p.processes = append(p.processes, row)
		}
	}
	return piles
}

// totals returns what the rows of a key come to. A day's sum replaces the rows of
// processes.
func (p *pile) totals() Totals {
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

// take returns what a sum has taken when it takes rows, and whether that is more than
// before. Of a process's contents the one with the highest revision has all others in it.
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

// sumOf adds up what a sum has taken.
func sumOf(taken map[string]Taken) (sum Totals) {
	for _, process := range slices.Sorted(maps.Keys(taken)) {
		sum.Add(taken[process].Totals)
	}
	return sum
}
