package ledger

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Ages at which roll-up goes on, after a process's row was taken at RollUpAfter.
const (
	// MinutesFor is the time that sums of minutes are kept, before they become hours: from
	// the hour's end, and from when a sum last took something.
	MinutesFor = 7 * 24 * time.Hour
	// HoursFor is the time that hours are kept. Days are kept for longer.
	HoursFor = 60 * 24 * time.Hour
)

// RollUp returns the transactions that roll up a partition's rows: processes' rows of a
// minute become one, minutes become hours, and what began before gone is deleted. Each
// deletes its sources and writes its target under the versions that were read, so that it
// is made once or not at all, whoever makes it, and no sum changes.
//
// With a minute, the rows must have its sum and its hour; with an hour to make, all rows of
// its minutes; read as [Join] says.
func RollUp(rows []Row, now, gone time.Time) [][]Change {
	piles := pileUp(rows)
	hours := make(map[Key][]*pile)
	var steps []step
	for _, key := range slices.SortedFunc(maps.Keys(piles), compare) {
		p := piles[key]
		switch {
		case key.Time().Before(gone):
			steps = append(steps, p.deletion())
		case key.Span != Minute:
		case piles[key.hour()] != nil: // it comes too late: nobody knows any more whether the hour has it
			steps = append(steps, p.deletion())
		case len(p.processes) > 0 && !key.Time().Add(time.Minute+RollUpAfter).After(now):
			steps = append(steps, p.summing(key))
			hours[key.hour()] = append(hours[key.hour()], p)
		default:
			hours[key.hour()] = append(hours[key.hour()], p)
		}
	}
	for _, hour := range slices.SortedFunc(maps.Keys(hours), compare) {
		if hourReady(hour, hours[hour], now) {
			steps = append(steps, hourOf(hour, hours[hour]))
		}
	}
	return pack(steps)
}

// A step is a part of a transaction that must not be cut.
type step []Change

// pack puts steps into as few transactions as it can without reordering them.
func pack(steps []step) (transactions [][]Change) {
	for _, s := range steps {
		last := len(transactions) - 1
		switch {
		case last >= 0 && len(transactions[last])+len(s) <= MaxChanges:
			transactions[last] = append(transactions[last], s...)
		default:
			for part := range slices.Chunk(s, MaxChanges) { // only deletions are longer, which may be cut
				transactions = append(transactions, part)
			}
		}
	}
	return transactions
}

// deletion deletes all rows of a pile.
func (p *pile) deletion() step {
	s := deletions(p.processes)
	if p.sum != nil {
		s = append(s, Change{Row: *p.sum, Delete: true})
	}
	return s
}

func deletions(rows []Row) (s step) {
	for _, row := range rows {
		s = append(s, Change{Row: row, Delete: true})
	}
	return s
}

// summing makes a minute's sum take the rows of processes: as many as a transaction can
// delete.
func (p *pile) summing(key Key) step {
	rows := p.processes[:min(len(p.processes), MaxChanges-1)]
	sum := p.target(key)
	taken, more := take(sum.Taken, rows)
	s := deletions(rows)
	if !more { // the sum has all of them: they come from writes that were repeated
		return s
	}
	sum.Revision++
	sum.Taken, sum.Totals = taken, sumOf(taken)
	return append(s, Change{Row: sum})
}

// target returns the pile's sum, or one to be inserted.
func (p *pile) target(key Key) Row {
	if p.sum != nil {
		return *p.sum
	}
	return Row{Key: key, Process: Sum}
}

// hourReady reports whether an hour can be made of its minutes: no process may ask any
// more what their sums took, and no row may come for them.
func hourReady(hour Key, minutes []*pile, now time.Time) bool {
	settled := func(since time.Time) bool { return !since.Add(MinutesFor).After(now) }
	if !settled(hour.Time().Add(time.Hour)) {
		return false
	}
	return !slices.ContainsFunc(minutes, func(p *pile) bool {
		return len(p.processes) > 0 || !settled(p.sum.Written)
	})
}

// hourOf makes an hour of the sums of its minutes.
func hourOf(hour Key, minutes []*pile) (s step) {
	row := Row{Key: hour, Process: Sum, Revision: 1}
	slices.SortFunc(minutes, func(a, b *pile) int { return cmp.Compare(a.sum.Start, b.sum.Start) })
	for _, p := range minutes {
		row.Add(p.sum.Totals)
		s = append(s, Change{Row: *p.sum, Delete: true})
	}
	return append(s, Change{Row: row})
}
