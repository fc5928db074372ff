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

// An Upkeep rolls up the ledger, closes days and deletes what is too old. All fields are
// required.
type Upkeep struct {
	Store Store
	// Retention is how long days are kept. Minutes and hours are not kept longer.
	Retention time.Duration
	Log       *slog.Logger
}

// A Report counts what an upkeep did.
type Report struct {
	Subscriptions int64 // that had rows
	RolledUp      int64 // rows that were taken by others
	DaysClosed    int64 // days of subscriptions whose rows were replaced by sums, or changed
	Deleted       int64 // rows past their time
	Failed        int64 // partitions that couldn't be kept up; the log says why
}

func (r *Report) add(other Report) {
	r.Subscriptions += other.Subscriptions
	r.RolledUp += other.RolledUp
	r.DaysClosed += other.DaysClosed
	r.Deleted += other.Deleted
	r.Failed += other.Failed
}

const day = 24 * time.Hour

// maxConcurrent is the most partitions kept up at once.
const maxConcurrent = 8

// An upkeeping is a run of an Upkeep.
type upkeeping struct {
	Upkeep
	now         time.Time
	over        time.Time // days before this one are to be closed
	unclosed    time.Time // the first day that may not be closed
	kept        time.Time // the first day that is kept
	minutesKept time.Time // the first day whose minutes or hours are kept, if it is closed

	mu     sync.Mutex
	report Report
}

// Run keeps up the whole ledger. It is safe while processes write and others run. With an
// error the report is valid too; the next run does what this one didn't.
func (u Upkeep) Run(ctx context.Context) (Report, error) {
	now := time.Now().UTC()
	today := now.Truncate(day)
	k := &upkeeping{Upkeep: u, now: now, over: now.Add(-RollUpAfter).Truncate(day),
		kept: today.Add(-u.Retention.Truncate(day)), minutesKept: today.Add(-min(HoursFor, u.Retention).Truncate(day))}
	var err error
	if k.unclosed, err = k.firstUnclosed(ctx); err != nil {
		return k.report, err
	}
	err = errors.Join(k.everySubscription(ctx), k.everyDay(ctx), k.expire(ctx))
	if err == nil && k.report.Failed > 0 {
		err = fmt.Errorf("the upkeep of %d partitions of usage failed", k.report.Failed)
	}
	return k.report, err
}

// firstUnclosed returns the day after the last one that is marked as closed, or the first
// that is kept.
func (k *upkeeping) firstUnclosed(ctx context.Context) (time.Time, error) {
	last := k.over.Add(-day)
	if marked, err := k.isMarked(ctx, last); marked || err != nil {
		return k.over, err
	}
	var days []time.Time // with rows, oldest first
	for partition, err := range k.Store.Partitions(ctx, AcrossPartition(k.kept), AcrossPartition(last)) {
		if err != nil {
			return time.Time{}, err
		}
		if d, err := time.Parse(time.DateOnly, strings.TrimPrefix(partition, across)); err == nil {
			days = append(days, d)
		}
	}
	for _, d := range slices.Backward(days) {
		if marked, err := k.isMarked(ctx, d); marked || err != nil {
			return d.Add(day), err
		}
	}
	return k.kept, nil
}

// isMarked reports whether a day and all before it are closed.
func (k *upkeeping) isMarked(ctx context.Context, d time.Time) (bool, error) {
	mark := closed(d)
	rows, err := list(k.Store.Rows(ctx, mark.Partition(), mark.RowKey(), mark.RowKey()+separator))
	return len(rows) > 0, err
}

// everySubscription rolls up every subscription's rows and closes its days. If all went
// well, it marks the days as closed.
func (k *upkeeping) everySubscription(ctx context.Context) error {
	err := k.each(ctx, func(yield func(string, error) bool) {
		for _, bounds := range [][2]string{{"", across}, {acrossEnd, ""}} {
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
	if err != nil || k.report.Failed > 0 || !k.unclosed.Before(k.over) {
		return err
	}
	_, err = k.Store.Apply(ctx, []Change{{Row: closed(k.over.Add(-day))}})
	if errors.Is(err, ErrConflict) { // another run has marked it
		return nil
	}
	return err
}

// everyDay rolls up the headline rows of every day.
func (k *upkeeping) everyDay(ctx context.Context) error {
	first := earliest(k.minutesKept, k.unclosed).Add(-day)
	return k.each(ctx, func(yield func(string, error) bool) {
		for partition, err := range k.Store.Partitions(ctx, AcrossPartition(first), acrossEnd) {
			if !yield(partition, err) {
				return
			}
		}
	}, func(ctx context.Context, partition string) error { return k.rollUp(ctx, partition, k.minutesKept) })
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// expire deletes what is read across subscriptions, of days that are no longer kept.
func (k *upkeeping) expire(ctx context.Context) error {
	return k.each(ctx, func(yield func(string, error) bool) {
		for partition, err := range k.Store.Partitions(ctx, across, AcrossPartition(k.kept)) {
			if !yield(partition, err) {
				return
			}
		}
	}, func(ctx context.Context, partition string) error {
		rows, err := list(k.Store.Rows(ctx, partition, "", ""))
		if err != nil {
			return err
		}
		_, err = k.apply(ctx, pack([]step{deletions(rows)}))
		return err
	})
}

// each keeps up partitions, several at a time. A partition's failure is counted and
// logged; a failure to list them is returned.
func (k *upkeeping) each(ctx context.Context, partitions iter.Seq2[string, error], keep func(context.Context, string) error) (err error) {
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
				k.Log.Warn("usage could not be rolled up", "partition", partition, "cause", err.Error())
			}
		})
	}
	return nil
}

func (k *upkeeping) count(r Report) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.report.add(r)
}

// subscription keeps up a subscription's rows. It closes days before it rolls up rows that
// came late for them, so that, if it stops in between, those rows still tell the next run
// to close the days again.
func (k *upkeeping) subscription(ctx context.Context, partition string) error {
	k.count(Report{Subscriptions: 1})
	gone := earliest(k.minutesKept, k.unclosed)
	days, err := k.daysToClose(ctx, partition, gone)
	if err != nil {
		return err
	}
	for _, d := range days {
		if err := k.closeDay(ctx, partition, d); err != nil {
			return err
		}
	}
	return k.rollUp(ctx, partition, gone)
}
