// Package housekeeping does what no call does in passing: it brings the last
// minutes of counters that have gone idle into the history, takes instances
// that died for dead, and deletes what is too old or says nothing any more. Every
// step of it is safe beside calls and beside itself; it reads every counter, so
// one run at a time is enough.
package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
)

// Config is what a Housekeeper is made of. All fields but Turns are needed.
type Config struct {
	// Counters lists counters, and deletes those that say nothing.
	Counters counter.Lister
	// Counter flushes those that nobody uses any more.
	Counter *counter.Counter
	// History loses the minutes that are older than Retention.
	History   usage.Store
	Retention time.Duration
	// Turns keeps runs of other instances apart from this one's; nil: there are none.
	Turns Turns
	Log   *slog.Logger
}

// Housekeeper keeps the tables tidy. Make one with New.
type Housekeeper struct {
	Config

	mu   sync.Mutex
	last Turn // of this process
}

// New makes a housekeeper.
func New(config Config) *Housekeeper { return &Housekeeper{Config: config} }

// Report counts what a run did.
type Report struct {
	Counters        int64 `json:"counters"`        // that were looked at
	Flushed         int64 `json:"flushed"`         // that had something to write
	CountersDeleted int64 `json:"countersDeleted"` // that said nothing any more
	RowsDeleted     int64 `json:"rowsDeleted"`     // of the history, past retention
	Failed          int64 `json:"failed"`          // counters left as they were; the log says why
}

// String is the report in a sentence.
func (r Report) String() string {
	return fmt.Sprintf("%d counters: %d flushed, %d deleted, %d failed; %d usage rows past retention deleted",
		r.Counters, r.Flushed, r.CountersDeleted, r.Failed, r.RowsDeleted)
}

const (
	// enough bounds a run: the Functions host kills the handler, and all calls
	// with it, when a function takes longer than functionTimeout, half an hour.
	enough = 15 * time.Minute
	// sideBySide is how many counters are seen to at once: an idle one costs a few
	// round trips each, and callers' counters should not wait for them.
	sideBySide = 8
)

// Run keeps house once, as an operator asks for it; ErrTaken, wrapped, where that
// is being done already. The report is good beside any other error, too: what
// could not be done is left for the next run.
func (h *Housekeeper) Run(ctx context.Context) (Report, error) { return h.run(ctx, 0) }

// run keeps house once, unless another run began less than pause ago.
func (h *Housekeeper) run(ctx context.Context, pause time.Duration) (Report, error) {
	release, err := h.take(ctx, pause)
	if errors.Is(err, ErrTaken) {
		return Report{}, err
	}
	if err != nil {
		h.Log.Error("housekeeping", "cause", err.Error())
		return Report{}, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	var rows int
	var deleting error
	var history sync.WaitGroup
	history.Go(func() { rows, deleting = h.History.DeleteBefore(ctx, time.Now().Add(-h.Retention)) })
	report, err := h.counters(ctx) // meanwhile: neither takes the other's time where there is much of it to do
	history.Wait()
	report.RowsDeleted = int64(rows)
	err = errors.Join(err, deleting)
	if err == nil && report.Failed > 0 {
		err = fmt.Errorf("%d counters could not be seen to", report.Failed)
	}
	level := slog.LevelInfo
	attrs := []any{"counters", report.Counters, "flushed", report.Flushed, "counters_deleted", report.CountersDeleted,
		"rows_deleted", report.RowsDeleted, "failed", report.Failed}
	if err != nil {
		level, attrs = slog.LevelError, append(attrs, "cause", err.Error())
	}
	h.Log.Log(context.WithoutCancel(ctx), level, "housekeeping", attrs...)
	return report, err
}

// counters sees to every counter.
func (h *Housekeeper) counters(ctx context.Context) (report Report, err error) {
	var workers sync.WaitGroup
	room := make(chan struct{}, sideBySide)
	for stored, walking := range h.Counters.List(ctx) {
		if walking == nil {
			walking = ctx.Err() // the rest of a page comes all the same, and could only fail
		}
		if walking != nil && !unreadable(walking) {
			err = walking
			break
		}
		report.Counters++
		if walking != nil {
			h.failed(&report, stored.Key, walking)
			continue
		}
		room <- struct{}{}
		workers.Go(func() {
			defer func() { <-room }()
			h.see(ctx, stored, &report)
		})
	}
	workers.Wait()
	return report, err
}

func unreadable(err error) bool {
	return errors.Is(err, counter.ErrEdited) || errors.Is(err, counter.ErrNewer)
}

func (h *Housekeeper) failed(report *Report, key string, err error) {
	atomic.AddInt64(&report.Failed, 1)
	h.Log.Warn("a counter could not be seen to", "counter", key, "cause", err.Error())
}

// see flushes a counter that has something to write, and deletes one that has
// nothing to say: its key may never be used again.
func (h *Housekeeper) see(ctx context.Context, stored counter.Entry, report *Report) {
	now := time.Now()
	due := due(&stored.State, now)
	if !due && !stored.State.Deletable(now) {
		return
	}
	spare, err := h.Counter.FlushIdle(ctx, stored.Key)
	switch {
	case err != nil:
		h.failed(report, stored.Key, err)
		return
	case due:
		atomic.AddInt64(&report.Flushed, 1)
	}
	if spare == "" {
		return
	}
	err = h.Counters.Delete(ctx, stored.Key, spare)
	switch {
	case err == nil:
		atomic.AddInt64(&report.CountersDeleted, 1)
	case !errors.Is(err, counter.ErrConflict) && !errors.Is(err, counter.ErrNotFound): // else it is in use again
		h.failed(report, stored.Key, err)
	}
}

// due says whether a counter has something that is over and not written yet.
func due(s *limit.State, now time.Time) bool {
	if len(s.Outbox) > 0 || s.Window < limit.Minute(now) && (s.Happened != (limit.Happened{}) || s.Spent > 0) {
		return true
	}
	for _, slot := range s.Slots {
		if slot.Expiry < now.Unix() {
			return true
		}
	}
	return false
}
