package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Bounds of a Recorder.
const (
	// MaxRows is the most rows that a process keeps which are not surely written: about
	// 50 MB. Beyond, models are merged, and at last counts are dropped.
	MaxRows = 100_000
	// maxInFlight is the most operations at a time.
	maxInFlight = 32
	// operationTimeout is the most that one takes.
	operationTimeout = 10 * time.Second
	// logEvery is the least time between two warnings of the same kind.
	logEvery = time.Minute
)

// Config holds a Recorder's parts. Store and Log are required.
type Config struct {
	Store Store
	// Now returns the service's time; nil for this machine's.
	Now func() time.Time
	Log *slog.Logger
	// MaxRows replaces the constant; 0 doesn't.
	MaxRows int
}

// A Recorder writes what one process counts to the ledger. No method but Close waits for
// the store. Make one with NewRecorder.
type Recorder struct {
	config Config

	mu       sync.Mutex
	tally    *tally
	inFlight int
	changed  chan struct{} // closed, and replaced, when an operation ends
	timer    *time.Timer   // for the next operation
	armed    time.Time     // when timer fires; zero: it doesn't
	closed   bool          // nothing is recorded any more
	stopped  bool          // nothing is written any more
	stats    Stats
	warned   time.Time // last about an operation
	dropped  time.Time // last about dropped counts
}

// Stats counts what a Recorder did since its process started.
type Stats struct {
	Reads, Writes int64 // operations of the store, failed ones included
	Rows          int   // kept now
	// DroppedCalls and DroppedTokens are, or may be, missing in the ledger: there was no
	// room to keep them during an outage, or no time to write them at the end.
	DroppedCalls, DroppedTokens int64
}

// NewRecorder returns a recorder with a process id of its own.
func NewRecorder(config Config) *Recorder {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.MaxRows == 0 {
		config.MaxRows = MaxRows
	}
	return &Recorder{config: config, tally: newTally(newProcess(), config.MaxRows), changed: make(chan struct{})}
}

// newProcess returns an id that no other process has: 65 random bits in capital letters
// and digits.
func newProcess() string { return rand.Text()[:13] }

// Record counts what happened just now.
func (r *Recorder) Record(subscription, model string, happened Totals) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	if r.closed || !r.tally.count(subscription, model, happened, now) {
		r.drop(happened, now)
		return
	}
	if len(r.tally.queue) > 0 {
		r.arm(r.tally.queue[0].due, now)
	}
}

// Known returns this process's rows of a subscription that are being counted or written,
// with everything counted until now. Joined with rows that were read after, or up to
// half a minute before, they replace what was stored of them.
func (r *Recorder) Known(subscription string) []Row {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tally.known(Partition(subscription))
}

// drop tells of counts that the ledger will not have. The lock is held.
func (r *Recorder) drop(happened Totals, now time.Time) {
	r.stats.DroppedCalls += happened.Calls + happened.Refused
	r.stats.DroppedTokens += happened.Tokens()
	if now.Sub(r.dropped) < logEvery {
		return
	}
	r.dropped = now
	r.config.Log.Error("usage is lost: there is no room to keep what can't be written", "rows", r.tally.entries,
		"calls_so_far", r.stats.DroppedCalls, "tokens_so_far", r.stats.DroppedTokens)
}

// Stats returns what the recorder did.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.stats
	stats.Rows = r.tally.entries
	return stats
}

// arm sets the timer for the next operation, if it isn't set for an earlier time. The
// lock is held.
func (r *Recorder) arm(due, now time.Time) {
	if !r.armed.IsZero() && !due.Before(r.armed) {
		return
	}
	r.armed = due
	wait := max(due.Sub(now), 0)
	if r.timer == nil {
		r.timer = time.AfterFunc(wait, r.wake)
		return
	}
	r.timer.Reset(wait)
}

// wake begins what is due.
func (r *Recorder) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = time.Time{}
	r.pump()
}

// pump begins the operations that are due. The lock is held.
func (r *Recorder) pump() {
	for r.inFlight < maxInFlight && !r.stopped {
		now := r.config.Now()
		o, due := r.tally.next(now)
		if o == nil {
			if !due.IsZero() {
				r.arm(due, now)
			}
			return
		}
		r.inFlight++
		go r.do(o)
	}
}

// do does an operation, and lets the tally learn from it.
func (r *Recorder) do(o *operation) {
	ctx, cancel := context.WithTimeout(context.Background(), operationTimeout)
	defer cancel()
	var versions []Version
	var rows []Row
	var err error
	if o.changes != nil {
		versions, err = r.config.Store.Apply(ctx, o.changes)
	} else {
		rows, err = r.read(ctx, o)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	switch {
	case err != nil:
		r.warn(err, now)
		r.tally.failed(o, err, now)
	case o.changes != nil:
		r.tally.written(o, versions, now)
	default:
		r.tally.loaded(o, rows, now)
	}
	if o.changes != nil {
		r.stats.Writes++
	}
	r.inFlight--
	close(r.changed)
	r.changed = make(chan struct{})
	r.pump()
}

// read returns this process's rows, and sums, that an operation asks for.
func (r *Recorder) read(ctx context.Context, o *operation) (rows []Row, err error) {
	for _, bounds := range o.ranges() {
		r.mu.Lock()
		r.stats.Reads++
		r.mu.Unlock()
		for row, err := range r.config.Store.Rows(ctx, o.partition.name, bounds[0], bounds[1]) {
			switch {
			case errors.Is(err, ErrEdited): // it counts as missing
			case err != nil:
				return nil, err
			case row.Process == r.tally.process || row.Process == Sum:
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

// warn logs that usage can't be written. The lock is held.
func (r *Recorder) warn(err error, now time.Time) {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) || now.Sub(r.warned) < logEvery {
		return
	}
	r.warned = now
	r.config.Log.Warn("usage can't be written just now: it is kept and written later", "rows", r.tally.entries, "error", err.Error())
}

// Close writes everything that was recorded, or gives up when ctx is done. Then it logs
// what may not be written, by subscription, counts it in Stats, and returns an error.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.tally.close(r.config.Now())
	r.pump()
	for {
		idle, changed := r.inFlight == 0, r.changed
		if idle && r.done(ctx) {
			break
		}
		r.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(closingPause):
		case <-ctx.Done():
		}
		r.mu.Lock()
		if ctx.Err() != nil {
			break
		}
	}
	defer r.mu.Unlock()
	r.stopped = true
	if r.timer != nil {
		r.timer.Stop()
	}
	return r.reportUnwritten()
}

// done reports whether nothing is left to do before ctx is done. The lock is held.
func (r *Recorder) done(ctx context.Context) bool {
	ends, limited := ctx.Deadline()
	for e := range r.tally.unwritten() {
		p := r.tally.partitions[e.key.Partition()]
		if now := r.config.Now(); !limited || r.tally.dueOf(p, e, now).Sub(now) < time.Until(ends) {
			return false
		}
	}
	return true
}

// reportUnwritten logs all counts that are not surely stored, and returns an error if
// there are any. The lock is held.
func (r *Recorder) reportUnwritten() error {
	left := make(map[string]Totals) // by subscription; the empty one is all of them
	rows := 0
	for e := range r.tally.unwritten() {
		rows++
		if e.key.Span == Minute {
			t := left[e.key.Subscription]
			t.Add(e.unwritten())
			left[e.key.Subscription] = t
		}
	}
	if rows == 0 {
		return nil
	}
	var sum Totals
	for subscription, t := range left {
		if subscription == "" {
			continue
		}
		sum.Add(t)
		r.config.Log.Error("usage is lost: it could not be written before the end", "subscription", subscription,
			"calls", t.Calls, "refused", t.Refused, "tokens", t.Tokens())
	}
	if t := left[""]; !t.Empty() {
		r.config.Log.Error("charts over all subscriptions lack usage: it could not be written before the end", "calls", t.Calls, "refused", t.Refused, "tokens", t.Tokens())
	}
	r.stats.DroppedCalls += sum.Calls + sum.Refused
	r.stats.DroppedTokens += sum.Tokens()
	return fmt.Errorf("write the last usage: %d rows are not written, with %d calls and %d tokens of subscriptions", rows, sum.Calls, sum.Tokens())
}
