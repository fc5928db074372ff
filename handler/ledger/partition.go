package ledger

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

// collect returns rows as a slice, without those that can't be read because somebody edited
// them.
func collect(rows iter.Seq2[Row, error]) (all []Row, err error) {
	for row, err := range rows {
		switch {
		case errors.Is(err, ErrUnreadable):
		case err != nil:
			return nil, err
		default:
			all = append(all, row)
		}
	}
	return all, nil
}

// readMinutesAndHours returns the rows of a partition's minutes and hours that begin in [from, to), in
// the order that [Join] needs.
func readMinutesAndHours(ctx context.Context, s Store, partition string, from, to time.Time) (all []Row, err error) {
	for _, bounds := range [][2]string{
		{FirstKey(Minute, from), FirstKey(Minute, to)},
		{FirstSumKey(from), FirstSumKey(to)},
		{FirstKey(Hour, from), FirstKey(Hour, to)},
	} {
		rows, err := collect(s.Rows(ctx, partition, bounds[0], bounds[1]))
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// errInterfered means that rows were changed by others at every attempt. The next run goes on.
var errInterfered = errors.New("the rows were changed at every attempt")

// maxRounds bounds the attempts at a partition whose rows are changed by others.
const maxRounds = 5

// applyAll applies the transactions that plan returns, until plan returns none.
func (k *upkeepRun) applyAll(ctx context.Context, plan func() ([][]Change, error)) error {
	for interfered := 0; interfered < maxRounds; {
		transactions, err := plan()
		if err != nil || len(transactions) == 0 {
			return err
		}
		made, err := k.apply(ctx, transactions)
		if err != nil {
			return err
		}
		if !made {
			interfered++
		}
	}
	return errInterfered
}

// apply applies transactions, and adds what they did to the report. It reports whether all
// were applied; if not, some rows had been changed.
func (k *upkeepRun) apply(ctx context.Context, transactions [][]Change) (made bool, err error) {
	made = true
	for _, changes := range transactions {
		_, err := k.Store.Apply(ctx, changes)
		switch {
		case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
			made = false
		case err != nil:
			return made, err
		default:
			k.count(reportOf(changes))
		}
	}
	return made, nil
}

// reportOf counts what a transaction did.
func reportOf(changes []Change) (r Report) {
	sums := slices.ContainsFunc(changes, func(c Change) bool { return !c.Delete })
	for _, c := range changes {
		switch {
		case c.Span == Day && !c.Delete:
			r.DaysClosed++
		case c.Delete && sums:
			r.RolledUp++
		case c.Delete:
			r.Deleted++
		}
	}
	return r
}

// rollUp rolls up a partition's minutes and hours, and deletes those before a time.
func (k *upkeepRun) rollUp(ctx context.Context, partition string, deleteBefore time.Time) error {
	return k.applyAll(ctx, func() ([][]Change, error) {
		rows, err := k.rowsDue(ctx, partition, deleteBefore)
		return RollUp(rows, k.now, deleteBefore), err
	})
}

// rowsDue reads the rows to be rolled up or deleted, and the sums that they are added to.
func (k *upkeepRun) rowsDue(ctx context.Context, partition string, deleteBefore time.Time) ([]Row, error) {
	var always time.Time
	old := latest(k.now.Add(-KeepMinutes).Truncate(time.Hour), deleteBefore) // earlier minutes become hours, or are deleted
	minutes, err := collect(k.Store.Rows(ctx, partition, FirstKey(Minute, always), FirstKey(Minute, k.now.Add(-RollUpAfter))))
	if err != nil {
		return nil, err
	}
	sums, err := collect(k.Store.Rows(ctx, partition, FirstSumKey(always), FirstSumKey(old)))
	if err != nil {
		return nil, err
	}
	all := append(minutes, sums...)
	if n := len(minutes); n > 0 && !minutes[n-1].Time().Before(old) {
		sums, err := collect(k.Store.Rows(ctx, partition, FirstSumKey(latest(old, minutes[0].Time())), FirstSumKey(minutes[n-1].Time().Add(time.Minute))))
		if err != nil {
			return nil, err
		}
		all = append(all, sums...)
	}
	hours, err := k.hoursDue(ctx, partition, all, deleteBefore, old)
	return append(all, hours...), err
}

// hoursDue reads the hours that minutes may belong to, of those before old, and the hours to be
// deleted.
func (k *upkeepRun) hoursDue(ctx context.Context, partition string, minutes []Row, deleteBefore, old time.Time) ([]Row, error) {
	hours, err := collect(k.Store.Rows(ctx, partition, FirstKey(Hour, time.Time{}), FirstKey(Hour, deleteBefore)))
	if err != nil || len(minutes) == 0 {
		return hours, err
	}
	first := slices.MinFunc(minutes, func(a, b Row) int { return compare(a.Key, b.Key) }).Time().Truncate(time.Hour)
	if first = latest(first, deleteBefore); !first.Before(old) {
		return hours, nil
	}
	more, err := collect(k.Store.Rows(ctx, partition, FirstKey(Hour, first), FirstKey(Hour, old)))
	return append(hours, more...), err
}

// daysToClose returns the days to close for a subscription: past days that have rows of
// processes, which arrived late, and past days not marked as closed that have any rows.
func (k *upkeepRun) daysToClose(ctx context.Context, partition string, deleteBefore time.Time) (days []time.Time, err error) {
	rows, err := collect(k.Store.Rows(ctx, partition, FirstKey(Minute, deleteBefore), FirstKey(Minute, k.closeBefore)))
	if err != nil {
		return nil, err
	}
	if k.unclosed.Before(k.closeBefore) {
		unclosed, err := readMinutesAndHours(ctx, k.Store, partition, k.unclosed, k.closeBefore)
		if err != nil {
			return nil, err
		}
		rows = append(rows, unclosed...)
	}
	for _, row := range rows {
		days = append(days, row.Time().Truncate(oneDay))
	}
	slices.SortFunc(days, time.Time.Compare)
	return slices.Compact(days), nil
}

// closeDay replaces the rows of a subscription's day by the sums of its minutes.
func (k *upkeepRun) closeDay(ctx context.Context, partition string, d time.Time) error {
	from, to := dayKeys(partition, d)
	return k.applyAll(ctx, func() ([][]Change, error) {
		stored, err := collect(k.Store.Rows(ctx, DayPartition(d), from, to))
		if err != nil {
			return nil, err
		}
		minutes, err := readMinutesAndHours(ctx, k.Store, partition, d, d.Add(oneDay))
		return planClosing(stored, Join(minutes)), err
	})
}

// daysWithoutMinutes closes the unclosed days of subscriptions that have no minutes in them.
// It finds them by the rows that processes wrote of the day: these are gone from days that
// have been closed.
func (k *upkeepRun) daysWithoutMinutes(ctx context.Context) error {
	if !k.unclosed.Before(k.closeBefore) {
		return nil
	}
	for partition, err := range k.Store.Partitions(ctx, DayPartition(k.unclosed), DayPartition(k.closeBefore)) {
		if err != nil {
			return err
		}
		if err := k.dayWithoutMinutes(ctx, partition); err != nil {
			return err
		}
	}
	return nil
}

func (k *upkeepRun) dayWithoutMinutes(ctx context.Context, partition string) error {
	rows, err := collect(k.Store.Rows(ctx, partition, FirstKey(Day, time.Time{}), FirstKey(Day, k.closeBefore)))
	if err != nil {
		return err
	}
	closed := ""
	for _, row := range rows { // by subscription
		if row.Process == Sum || row.Subscription == closed {
			continue
		}
		if err := k.closeDay(ctx, SubscriptionPartition(row.Subscription), row.Time()); err != nil {
			return err
		}
		closed = row.Subscription
	}
	return nil
}
