package ledger

import (
	"maps"
	"slices"
	"time"
)

// planClosing returns the transactions that replace the rows of a subscription's day by the sums
// of its minutes. Processes write their rows of a day only every few minutes, and one that is
// killed doesn't write the last of its usage; the minutes have it.
//
// stored are the day's rows, and source is the usage in the day's minutes and hours. stored
// must be read before source, so that no older sum can replace a newer one. If both agree,
// there is nothing to do. If source is empty, the rows of processes are deleted: an outage
// kept their minutes from being written, so the usage was counted in a later day.
func planClosing(stored []Row, source []Usage) [][]Change {
	days := make(map[Key]*Totals)
	for _, u := range source {
		key := u.day()
		if days[key] == nil {
			days[key] = &Totals{}
		}
		days[key].Add(u.Totals)
	}
	groups := groupRows(stored)
	var steps []step
	for _, key := range slices.SortedFunc(maps.Keys(days), compare) {
		p := groups[key]
		if p == nil {
			p = &rowGroup{}
		}
		steps = append(steps, p.replaceBy(key, *days[key])...)
		delete(groups, key)
	}
	for _, key := range slices.SortedFunc(maps.Keys(groups), compare) { // models without any minute
		if len(source) > 0 || len(groups[key].processes) > 0 {
			steps = append(steps, groups[key].deleteAll())
		}
	}
	return pack(steps)
}

// day returns the key of the day that contains a minute or hour.
func (k Key) day() Key {
	k.Span, k.Start = Day, dayOf(k.Start)
	return k
}

// replaceBy replaces the rows of processes by a day's sum. If there are too many rows for one
// transaction, the first writes the sum, and the rows left to delete no longer count.
func (p *rowGroup) replaceBy(key Key, totals Totals) (steps []step) {
	s := deletions(p.processes)
	if sum := p.sumRow(key); sum.Version == "" || !sum.Equal(totals) {
		sum.Revision++
		sum.Totals = totals
		s = slices.Insert(s, 0, Change{Row: sum})
	}
	for part := range slices.Chunk(s, MaxChanges) {
		steps = append(steps, part)
	}
	return steps
}

// closedMark returns the row that marks a day, and all days before it, as closed for all
// subscriptions. It is in the day's own partition.
func closedMark(day time.Time) Row {
	return Row{Key: Key{Span: Day, Start: day.Unix() / 60}, Process: Sum, Revision: 1}
}
