package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Upkeep rolls up rows, closes days and deletes old rows. All fields are required.
type Upkeep struct {
	Store Store
	// Retention is how long days are kept, in whole days. No row is kept longer.
	Retention time.Duration
	Log       *slog.Logger
}

// A Report counts what one run of an Upkeep did.
type Report struct {
	Subscriptions int64 // subscriptions that had rows
	RolledUp      int64 // rows that were replaced by sums
	DaysClosed    int64 // sums of days that were written
	Deleted       int64 // rows that were deleted without being summed
	Failed        int64 // partitions whose upkeep failed; the log says why
}

func (r *Report) add(other Report) {
	r.Subscriptions += other.Subscriptions
	r.RolledUp += other.RolledUp
	r.DaysClosed += other.DaysClosed
	r.Deleted += other.Deleted
	r.Failed += other.Failed
}

const oneDay = 24 * time.Hour

// maxConcurrent is the most partitions read or rolled up at once.
const maxConcurrent = 8

// An upkeepRun is a run of an Upkeep.
type upkeepRun struct {
	Upkeep
	now             time.Time
	closeBefore     time.Time // days before this one are to be closed
	unclosed        time.Time // the first day that may not be closed
	keepFrom        time.Time // the first day that is kept
	keepMinutesFrom time.Time // the first day whose minutes or hours are kept, if it is closed

	mu     sync.Mutex
	report Report
}

// Run does the upkeep of the whole ledger. It may run while processes write, and at the same
// time as other runs. If it returns an error, the report is valid too, and the next run does
// the rest.
func (u Upkeep) Run(ctx context.Context) (Report, error) {
	now := time.Now().UTC()
	today := now.Truncate(oneDay)
	k := &upkeepRun{Upkeep: u, now: now, closeBefore: now.Add(-RollUpAfter).Truncate(oneDay),
		keepFrom: today.Add(-u.Retention.Truncate(oneDay)), keepMinutesFrom: today.Add(-min(KeepHours, u.Retention).Truncate(oneDay))}
	var err error
	if k.unclosed, err = k.firstUnclosed(ctx); err != nil {
		return k.report, err
	}
	err = errors.Join(k.subscriptions(ctx), k.headlines(ctx), k.expire(ctx))
	if err == nil && k.report.Failed > 0 {
		err = fmt.Errorf("the upkeep of %d partitions of usage failed", k.report.Failed)
	}
	return k.report, err
}

// firstUnclosed returns the day after the last day that is marked as closed, or the first day
// that is kept.
func (k *upkeepRun) firstUnclosed(ctx context.Context) (time.Time, error) {
	last := k.closeBefore.Add(-oneDay)
	if marked, err := k.isMarked(ctx, last); marked || err != nil {
		return k.closeBefore, err
	}
	var days []time.Time // with rows, oldest first
	for partition, err := range k.Store.Partitions(ctx, DayPartition(k.keepFrom), DayPartition(last)) {
		if err != nil {
			return time.Time{}, err
		}
		if d, err := time.Parse(time.DateOnly, strings.TrimPrefix(partition, dayPrefix)); err == nil {
			days = append(days, d)
		}
	}
	for _, d := range slices.Backward(days) {
		if marked, err := k.isMarked(ctx, d); marked || err != nil {
			return d.Add(oneDay), err
		}
	}
	return k.keepFrom, nil
}

// isMarked reports whether a day, and all days before it, are marked as closed.
func (k *upkeepRun) isMarked(ctx context.Context, d time.Time) (bool, error) {
	mark := closedMark(d)
	rows, err := collect(k.Store.Rows(ctx, mark.Partition(), mark.RowKey(), mark.RowKey()+separator))
	return len(rows) > 0, err
}

// subscriptions rolls up each subscription's rows and closes its days. If nothing failed, it
// marks the days as closed.
func (k *upkeepRun) subscriptions(ctx context.Context) error {
	err := k.eachPartition(ctx, func(yield func(string, error) bool) {
		for _, bounds := range [][2]string{{"", dayPrefix}, {dayPrefixEnd, ""}} {
			for partition, err := range k.Store.Partitions(ctx, bounds[0], bounds[1]) {
				if !yield(partition, err) {
					return
				}
			}
		}
	}, k.subscription)
	if err == nil {
		err = k.daysWithoutMinutes(ctx)
	}
	if err != nil || k.report.Failed > 0 || !k.unclosed.Before(k.closeBefore) {
		return err
	}
	_, err = k.Store.Apply(ctx, []Change{{Row: closedMark(k.closeBefore.Add(-oneDay))}})
	if errors.Is(err, ErrConflict) { // another run marked it
		return nil
	}
	return err
}

// headlines rolls up the headline rows of each day.
func (k *upkeepRun) headlines(ctx context.Context) error {
	first := earliest(k.keepMinutesFrom, k.unclosed).Add(-oneDay)
	return k.eachPartition(ctx, func(yield func(string, error) bool) {
		for partition, err := range k.Store.Partitions(ctx, DayPartition(first), dayPrefixEnd) {
			if !yield(partition, err) {
				return
			}
		}
	}, func(ctx context.Context, partition string) error { return k.rollUp(ctx, partition, k.keepMinutesFrom) })
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// expire deletes the partitions of days that are no longer kept.
func (k *upkeepRun) expire(ctx context.Context) error {
	return k.eachPartition(ctx, func(yield func(string, error) bool) {
		for partition, err := range k.Store.Partitions(ctx, dayPrefix, DayPartition(k.keepFrom)) {
			if !yield(partition, err) {
				return
			}
		}
	}, func(ctx context.Context, partition string) error {
		rows, err := collect(k.Store.Rows(ctx, partition, "", ""))
		if err != nil {
			return err
		}
		_, err = k.apply(ctx, pack([]step{deletions(rows)}))
		return err
	})
}

// eachPartition calls keep with each partition, several at a time. It counts and logs the failure
// of a partition, and returns an error only if listing them fails.
func (k *upkeepRun) eachPartition(ctx context.Context, partitions iter.Seq2[string, error], keep func(context.Context, string) error) (err error) {
	var workers sync.WaitGroup
	defer workers.Wait()
	room := make(chan struct{}, maxConcurrent)
	for partition, listErr := range partitions {
		if listErr == nil {
			listErr = ctx.Err()
		}
		if listErr != nil {
			return listErr
		}
		room <- struct{}{}
		workers.Go(func() {
			defer func() { <-room }()
			if err := keep(ctx, partition); err != nil && ctx.Err() == nil {
				k.count(Report{Failed: 1})
				k.Log.Warn("the upkeep of usage failed for a partition", "partition", partition, "cause", err.Error())
			}
		})
	}
	return nil
}

func (k *upkeepRun) count(r Report) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.report.add(r)
}

// subscription does the upkeep of a subscription's rows. It closes a day before it rolls up
// rows that arrived late for the day, so that, if it fails in between, the next run finds
// these rows and closes the day again.
func (k *upkeepRun) subscription(ctx context.Context, partition string) error {
	k.count(Report{Subscriptions: 1})
	deleteBefore := earliest(k.keepMinutesFrom, k.unclosed)
	days, err := k.daysToClose(ctx, partition, deleteBefore)
	if err != nil {
		return err
	}
	for _, d := range days {
		if err := k.closeDay(ctx, partition, d); err != nil {
			return err
		}
	}
	return k.rollUp(ctx, partition, deleteBefore)
}
