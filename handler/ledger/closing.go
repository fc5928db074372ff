package ledger

import (
	"maps"
	"slices"
	"time"
)

// closing returns the transactions that replace the rows of a subscription's day by the
// sums of its minutes. Processes write their rows of a day every few minutes only, and one
// that is killed leaves the last of them out; the minutes have them.
//
// stored are the day's rows, which must be read before source, what the day's minutes and
// hours say: then nobody can write an older sum over a newer one. Where both say the same,
// there is nothing to do. Where no minute says anything, what processes wrote is deleted:
// an outage kept its minutes from being written, and they count in a later day.
func closing(stored []Row, source []Usage) [][]Change {
	days := make(map[Key]*Totals)
	for _, u := range source {
		key := u.day()
		if days[key] == nil {
			days[key] = &Totals{}
		}
		days[key].Add(u.Totals)
	}
	piles := pileUp(stored)
	var steps []step
	for _, key := range slices.SortedFunc(maps.Keys(days), compare) {
		p := piles[key]
		if p == nil {
			p = &pile{}
		}
		steps = append(steps, p.closing(key, *days[key])...)
		delete(piles, key)
	}
	for _, key := range slices.SortedFunc(maps.Keys(piles), compare) { // models that no minute has
		if len(source) > 0 || len(piles[key].processes) > 0 {
			steps = append(steps, piles[key].deletion())
		}
	}
	return pack(steps)
}

// day returns the key of the day that a minute or hour is in.
func (k Key) day() Key {
	k.Span, k.Start = Day, dayOf(k.Start)
	return k
}

// closing replaces a pile by a day's sum. Rows that are too many for one transaction don't
// count from the first on, which has the sum.
func (p *pile) closing(key Key, totals Totals) (steps []step) {
	s := deletions(p.processes)
	if sum := p.target(key); sum.Version == "" || !sum.Equal(totals) {
		sum.Revision++
		sum.Totals = totals
		s = slices.Insert(s, 0, Change{Row: sum})
	}
	for part := range slices.Chunk(s, MaxChanges) {
		steps = append(steps, part)
	}
	return steps
}

// closed returns the row that says that all subscriptions' days up to one are closed. It
// stands with the day's rows.
func closed(day time.Time) Row {
	return Row{Key: Key{Span: Day, Start: day.Unix() / 60}, Process: Sum, Revision: 1}
}
