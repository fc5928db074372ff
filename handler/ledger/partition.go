package ledger

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

// list returns what can be read of rows. Edited ones are left as they are.
func list(rows iter.Seq2[Row, error]) (all []Row, err error) {
	for row, err := range rows {
		switch {
		case errors.Is(err, ErrEdited):
		case err != nil:
			return nil, err
		default:
			all = append(all, row)
		}
	}
	return all, nil
}

// read returns the rows of a partition's minutes and hours that begin in [from, to), in
// the order that [Join] needs.
func read(ctx context.Context, s Store, partition string, from, to time.Time) (all []Row, err error) {
	for _, bounds := range [][2]string{
		{From(Minute, from), From(Minute, to)},
		{FromSum(from), FromSum(to)},
		{From(Hour, from), From(Hour, to)},
	} {
		rows, err := list(s.Rows(ctx, partition, bounds[0], bounds[1]))
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// errInterfered means that others changed the rows again and again. The next run goes on.
var errInterfered = errors.New("others are changing the rows")

// maxRounds bounds the attempts at a partition in which others interfere.
const maxRounds = 5

// untilDone makes the transactions that plan returns, and again as long as there are any.
// It counts them.
func (k *upkeeping) untilDone(ctx context.Context, plan func() ([][]Change, error)) error {
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

// apply makes transactions, and reports whether nobody interfered.
func (k *upkeeping) apply(ctx context.Context, transactions [][]Change) (made bool, err error) {
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

// rollUp rolls up a partition's minutes and hours.
func (k *upkeeping) rollUp(ctx context.Context, partition string, gone time.Time) error {
	return k.untilDone(ctx, func() ([][]Change, error) {
		rows, err := k.due(ctx, partition, gone)
		return RollUp(rows, k.now, gone), err
	})
}

// due reads the rows that are to be rolled up or deleted, and those that they go into.
func (k *upkeeping) due(ctx context.Context, partition string, gone time.Time) ([]Row, error) {
	var always time.Time
	old := latest(k.now.Add(-MinutesFor).Truncate(time.Hour), gone) // before this, minutes become hours or are deleted
	minutes, err := list(k.Store.Rows(ctx, partition, From(Minute, always), From(Minute, k.now.Add(-RollUpAfter))))
	if err != nil {
		return nil, err
	}
	sums, err := list(k.Store.Rows(ctx, partition, FromSum(always), FromSum(old)))
	if err != nil {
		return nil, err
	}
	all := append(minutes, sums...)
	if n := len(minutes); n > 0 && !minutes[n-1].Time().Before(old) {
		sums, err := list(k.Store.Rows(ctx, partition, FromSum(latest(old, minutes[0].Time())), FromSum(minutes[n-1].Time().Add(time.Minute))))
		if err != nil {
			return nil, err
		}
		all = append(all, sums...)
	}
	hours, err := k.hoursOf(ctx, partition, all, gone, old)
	return append(all, hours...), err
}

// hoursOf reads the hours that may have minutes, of those before old, and all that are to
// be deleted.
func (k *upkeeping) hoursOf(ctx context.Context, partition string, minutes []Row, gone, old time.Time) ([]Row, error) {
	hours, err := list(k.Store.Rows(ctx, partition, From(Hour, time.Time{}), From(Hour, gone)))
	if err != nil || len(minutes) == 0 {
		return hours, err
	}
	first := slices.MinFunc(minutes, func(a, b Row) int { return compare(a.Key, b.Key) }).Time().Truncate(time.Hour)
	if first = latest(first, gone); !first.Before(old) {
		return hours, nil
	}
	more, err := list(k.Store.Rows(ctx, partition, From(Hour, first), From(Hour, old)))
	return append(hours, more...), err
}

// daysToClose returns the days that are over of which a subscription has rows that came
// late, or any rows if the day isn't marked as closed.
func (k *upkeeping) daysToClose(ctx context.Context, partition string, gone time.Time) (days []time.Time, err error) {
	rows, err := list(k.Store.Rows(ctx, partition, From(Minute, gone), From(Minute, k.over)))
	if err != nil {
		return nil, err
	}
	if k.unclosed.Before(k.over) {
		unclosed, err := read(ctx, k.Store, partition, k.unclosed, k.over)
		if err != nil {
			return nil, err
		}
		rows = append(rows, unclosed...)
	}
	for _, row := range rows {
		days = append(days, row.Time().Truncate(day))
	}
	slices.SortFunc(days, time.Time.Compare)
	return slices.Compact(days), nil
}

// closeDay closes a subscription's day.
func (k *upkeeping) closeDay(ctx context.Context, partition string, d time.Time) error {
	from, to := daysOf(partition, d)
	return k.untilDone(ctx, func() ([][]Change, error) {
		stored, err := list(k.Store.Rows(ctx, AcrossPartition(d), from, to))
		if err != nil {
			return nil, err
		}
		minutes, err := read(ctx, k.Store, partition, d, d.Add(day))
		return closing(stored, Join(minutes)), err
	})
}

// daysWithoutMinutes closes the unclosed days of subscriptions that have no minute in them.
// The others' are closed: what processes wrote of them is gone.
func (k *upkeeping) daysWithoutMinutes(ctx context.Context) error {
	if !k.unclosed.Before(k.over) {
		return nil
	}
	for partition, err := range k.Store.Partitions(ctx, AcrossPartition(k.unclosed), AcrossPartition(k.over)) {
		if err != nil {
			return err
		}
		if err := k.dayWithoutMinutes(ctx, partition); err != nil {
			return err
		}
	}
	return nil
}

func (k *upkeeping) dayWithoutMinutes(ctx context.Context, partition string) error {
	rows, err := list(k.Store.Rows(ctx, partition, From(Day, time.Time{}), From(Day, k.over)))
	if err != nil {
		return err
	}
	closed := ""
	for _, row := range rows { // by subscription
		if row.Process == Sum || row.Subscription == closed {
			continue
		}
		if err := k.closeDay(ctx, Partition(row.Subscription), row.Time()); err != nil {
			return err
		}
		closed = row.Subscription
	}
	return nil
}
