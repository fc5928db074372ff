// Package housekeeping does the work that no call does: it rolls up the ledger and closes
// its days, reclaims leases of dead instances, and deletes expired rows, owners of expired
// responses, and empty counters.
//
// Each step is safe while calls and other runs go on. A run reads every counter, so runs
// take turns. The Functions host's timer or an operator starts them.
//
// Start reading at Housekeeper.Run.
package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/ledger"
	"tollgate/handler/stored"
)

// Config holds what a Housekeeper needs. All fields but Turns are required.
type Config struct {
	// Counters lists counters and deletes empty ones.
	Counters counter.Lister
	// Counter reclaims the leases of dead instances.
	Counter *counter.Counter
	// Ledger has the usage to roll up, and the days to close. Days are kept for Retention.
	Ledger    ledger.Store
	Retention time.Duration
	// Stored has the owners of stored responses, to be deleted when the responses expire.
	Stored stored.Store
	// Turns keeps instances from running at the same time; nil: there is one instance.
	Turns Turns
	Log   *slog.Logger
}

// A Housekeeper tidies the tables. Make one with New.
type Housekeeper struct {
	config Config

	mu   sync.Mutex
	last Turn // this process's last run
}

// New returns a housekeeper.
func New(config Config) *Housekeeper { return &Housekeeper{config: config} }

// A Report counts what a run did.
type Report struct {
	Counters        int64 `json:"counters"`        // counters read
	Reclaimed       int64 `json:"reclaimed"`       // counters with leases or slots of dead instances, which were reclaimed
	CountersDeleted int64 `json:"countersDeleted"` // empty counters deleted
	Subscriptions   int64 `json:"subscriptions"`   // subscriptions with minutes or hours of usage
	RowsRolledUp    int64 `json:"rowsRolledUp"`    // usage rows that became part of sums, hours or closed days
	DaysClosed      int64 `json:"daysClosed"`      // sums of a day, subscription and model that were written
	RowsDeleted     int64 `json:"rowsDeleted"`     // usage rows past the time that they are kept
	OwnersDeleted   int64 `json:"ownersDeleted"`   // owners of responses that no endpoint keeps any more
	Failed          int64 `json:"failed"`          // counters, and partitions of usage, that couldn't be tidied; the log says why
}

// String returns the report as text.
func (r Report) String() string {
	return fmt.Sprintf("%d counters: leases of dead instances reclaimed in %d, %d deleted; usage of %d subscriptions: %d rows rolled up, %d days closed, %d rows deleted; %d owners of expired responses deleted; %d failed",
		r.Counters, r.Reclaimed, r.CountersDeleted, r.Subscriptions, r.RowsRolledUp, r.DaysClosed, r.RowsDeleted, r.OwnersDeleted, r.Failed)
}

const (
	// maxRunTime bounds a run. The Functions host kills the handler, and with it all
	// calls, if a function takes longer than functionTimeout, which is half an hour.
	maxRunTime = 15 * time.Minute
	// maxConcurrent is the most counters tidied at once. Each takes a few round trips, and
	// counters in use should not wait for them.
	maxConcurrent = 8
)

// Run tidies everything once, at an operator's request. It returns ErrTaken, wrapped, if
// another run is in progress. With any other error the report is valid too; the next run
// retries what failed.
func (h *Housekeeper) Run(ctx context.Context) (Report, error) { return h.tidy(ctx, 0) }

// tidy is Run, but also returns ErrTaken if another run started less than pause ago.
func (h *Housekeeper) tidy(ctx context.Context, pause time.Duration) (Report, error) {
	release, err := h.takeTurn(ctx, pause)
	if errors.Is(err, ErrTaken) {
		return Report{}, err
	}
	if err != nil {
		h.config.Log.Error("housekeeping", "cause", err.Error())
		return Report{}, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, maxRunTime)
	defer cancel()
	var owners int
	var usage ledger.Report
	var ownersErr, usageErr error
	var others sync.WaitGroup // run with tidyCounters, so that none uses up the others' time
	others.Go(func() { owners, ownersErr = h.config.Stored.DeleteExpired(ctx, time.Now()) })
	others.Go(func() {
		usage, usageErr = ledger.Upkeep{Store: h.config.Ledger, Retention: h.config.Retention, Log: h.config.Log}.Run(ctx)
	})
	report, err := h.tidyCounters(ctx)
	if err == nil && report.Failed > 0 {
		err = fmt.Errorf("housekeeping failed for %d counters", report.Failed)
	}
	others.Wait()
	report.Subscriptions, report.RowsRolledUp, report.DaysClosed = usage.Subscriptions, usage.RolledUp, usage.DaysClosed
	report.RowsDeleted, report.OwnersDeleted = usage.Deleted, int64(owners)
	report.Failed += usage.Failed
	err = errors.Join(err, ownersErr, usageErr)
	h.logRun(context.WithoutCancel(ctx), report, err)
	return report, err
}

// logRun logs a run. docs/operate.md and the alert "Housekeeping does not run" rely on the message.
func (h *Housekeeper) logRun(ctx context.Context, report Report, err error) {
	level := slog.LevelInfo
	attrs := []any{"counters", report.Counters, "reclaimed", report.Reclaimed, "counters_deleted", report.CountersDeleted,
		"subscriptions", report.Subscriptions, "rows_rolled_up", report.RowsRolledUp, "days_closed", report.DaysClosed, "rows_deleted", report.RowsDeleted, "owners_deleted", report.OwnersDeleted, "failed", report.Failed}
	if err != nil {
		level, attrs = slog.LevelError, append(attrs, "cause", err.Error())
	}
	h.config.Log.Log(ctx, level, "housekeeping", attrs...)
}

// tidyCounters tidies every counter.
func (h *Housekeeper) tidyCounters(ctx context.Context) (report Report, err error) {
	var workers sync.WaitGroup
	room := make(chan struct{}, maxConcurrent)
	for entry, listErr := range h.config.Counters.List(ctx) {
		if listErr == nil {
			listErr = ctx.Err() // the list would still yield the rest of its page, and each counter would fail
		}
		if listErr != nil && !isUnreadable(listErr) {
			err = listErr
			break
		}
		report.Counters++
		if listErr != nil {
			h.recordFailure(&report, entry.Key, listErr)
			continue
		}
		room <- struct{}{}
		workers.Go(func() {
			defer func() { <-room }()
			h.tidyCounter(ctx, entry, &report)
		})
	}
	workers.Wait()
	return report, err
}

// isUnreadable reports whether an error concerns one counter only.
func isUnreadable(err error) bool {
	return errors.Is(err, counter.ErrEdited) || errors.Is(err, counter.ErrNewer)
}

// recordFailure counts and logs a counter that couldn't be tidied.
func (h *Housekeeper) recordFailure(report *Report, key string, err error) {
	atomic.AddInt64(&report.Failed, 1)
	h.config.Log.Warn("housekeeping failed for a counter", "counter", key, "cause", err.Error())
}

// tidyCounter reclaims the leases of a counter's dead instances, and deletes the counter if
// it is empty, because its key may never be used again.
func (h *Housekeeper) tidyCounter(ctx context.Context, entry counter.Entry, report *Report) {
	now := time.Now()
	expired := hasExpired(&entry.Row, now)
	if !expired && !entry.Row.Deletable(now) {
		return
	}
	deletable, err := h.config.Counter.Reclaim(ctx, entry.Key)
	switch {
	case err != nil:
		h.recordFailure(report, entry.Key, err)
		return
	case expired:
		atomic.AddInt64(&report.Reclaimed, 1)
	}
	if deletable == "" {
		return
	}
	err = h.config.Counters.Delete(ctx, entry.Key, deletable)
	switch {
	case err == nil:
		atomic.AddInt64(&report.CountersDeleted, 1)
	case !errors.Is(err, counter.ErrConflict) && !errors.Is(err, counter.ErrNotFound): // those mean that it is in use again, or gone
		h.recordFailure(report, entry.Key, err)
	}
}

// hasExpired reports whether a counter has slots that Reclaim would reclaim or drop.
func hasExpired(r *lease.Row, now time.Time) bool {
	return slices.ContainsFunc(r.Slots, func(slot lease.Slot) bool { return slot.Expiry < now.Unix() })
}
