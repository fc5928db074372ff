package ledger

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// How long rolled-up rows are kept.
const (
	// KeepMinutes is how long sums of minutes are kept before they become hours, counted from the
	// hour's end and from when a sum last took a row.
	KeepMinutes = 7 * 24 * time.Hour
	// KeepHours is how long hours are kept. Days are kept longer.
	KeepHours = 60 * 24 * time.Hour
)

// RollUp returns the transactions that roll up a partition's rows. The rows that processes
// wrote of a minute become one sum, minutes become hours, and rows that begin before
// deleteBefore are deleted. Each transaction deletes its sources and writes its target at the
// versions that were read. So it is applied once or not at all, even if several housekeepers
// run, and readers always find the same totals.
//
// rows must be read in the order that [Join] requires. For each minute of a process, they must
// include the minute's sum and its hour; for each hour to make, all rows of its minutes.
func RollUp(rows []Row, now, deleteBefore time.Time) [][]Change {
	groups := groupRows(rows)
	hours := make(map[Key][]*rowGroup)
	var steps []step
	for _, key := range slices.SortedFunc(maps.Keys(groups), compare) {
		p := groups[key]
		switch {
		case key.Time().Before(deleteBefore):
			steps = append(steps, p.deleteAll())
		case key.Span != Minute:
		case groups[key.hour()] != nil: // too late: nobody can tell any more whether the hour includes it
			steps = append(steps, p.deleteAll())
		case len(p.processes) > 0 && !key.Time().Add(time.Minute+RollUpAfter).After(now):
			steps = append(steps, p.addToSum(key))
			hours[key.hour()] = append(hours[key.hour()], p)
		default:
			hours[key.hour()] = append(hours[key.hour()], p)
		}
	}
	for _, hour := range slices.SortedFunc(maps.Keys(hours), compare) {
		if hourReady(hour, hours[hour], now) {
			steps = append(steps, makeHour(hour, hours[hour]))
		}
	}
	return pack(steps)
}

// A step is a sequence of changes that must stay in one transaction.
type step []Change

// pack combines steps into as few transactions as possible without reordering them.
func pack(steps []step) (transactions [][]Change) {
	for _, s := range steps {
		last := len(transactions) - 1
		switch {
		case last >= 0 && len(transactions[last])+len(s) <= MaxChanges:
			transactions[last] = append(transactions[last], s...)
		default:
			for part := range slices.Chunk(s, MaxChanges) { // only steps that just delete are longer, and these may be split
				transactions = append(transactions, part)
			}
		}
	}
	return transactions
}

// deleteAll deletes all rows of the group.
func (p *rowGroup) deleteAll() step {
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

// addToSum adds the rows of processes to a minute's sum, as many as fit in a transaction.
func (p *rowGroup) addToSum(key Key) step {
	rows := p.processes[:min(len(p.processes), MaxChanges-1)]
	sum := p.sumRow(key)
	taken, more := take(sum.Taken, rows)
	s := deletions(rows)
	if !more { // the sum includes them already: repeated writes inserted them again
		return s
	}
	sum.Revision++
	sum.Taken, sum.Totals = taken, sumOf(taken)
	return append(s, Change{Row: sum})
}

// sumRow returns the group's sum, or a new one to be inserted.
func (p *rowGroup) sumRow(key Key) Row {
	if p.sum != nil {
		return *p.sum
	}
	return Row{Key: key, Process: Sum}
}

// hourReady reports whether an hour can be made of its minutes, because no process needs the
// Taken of their sums any more, and no more rows of these minutes can arrive.
func hourReady(hour Key, minutes []*rowGroup, now time.Time) bool {
	settled := func(since time.Time) bool { return !since.Add(KeepMinutes).After(now) }
	if !settled(hour.Time().Add(time.Hour)) {
		return false
	}
	return !slices.ContainsFunc(minutes, func(p *rowGroup) bool {
		return len(p.processes) > 0 || !settled(p.sum.Written)
	})
}

// makeHour replaces the sums of an hour's minutes by the hour.
func makeHour(hour Key, minutes []*rowGroup) (s step) {
	row := Row{Key: hour, Process: Sum, Revision: 1}
	slices.SortFunc(minutes, func(a, b *rowGroup) int { return cmp.Compare(a.sum.Start, b.sum.Start) })
	for _, p := range minutes {
		row.Add(p.sum.Totals)
		s = append(s, Change{Row: *p.sum, Delete: true})
	}
	return append(s, Change{Row: row})
}
