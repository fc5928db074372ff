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
	// MaxRows is the most rows that a process keeps in memory, about 50 MB. When there is no
	// room for another, it merges the rows of several models, and in the end drops counts.
	MaxRows = 100_000
	// maxInFlight is the most operations in progress at once.
	maxInFlight = 32
	// operationTimeout bounds one operation.
	operationTimeout = 10 * time.Second
	// logEvery is the shortest time between two log lines of the same kind.
	logEvery = time.Minute
)

// Config holds a Recorder's parts. Store and Log are required.
type Config struct {
	Store Store
	// Now returns Table Storage's time; nil: time.Now.
	Now func() time.Time
	Log *slog.Logger
	// MaxRows is the most rows to keep in memory; 0: the constant MaxRows.
	MaxRows int
}

// A Recorder counts the usage of one process and writes it to the ledger. Only Close waits for
// the store. Make one with NewRecorder.
type Recorder struct {
	config Config

	mu       sync.Mutex
	tally    *tally
	inFlight int
	changed  chan struct{} // closed, and replaced, when an operation ends
	timer    *time.Timer   // for the next operation
	armed    time.Time     // when timer fires; zero: it isn't set
	closed   bool          // nothing more is recorded
	stopped  bool          // nothing more is written
	stats    Stats
	warned   time.Time // when a failed operation was last logged
	dropped  time.Time // when dropped counts were last logged
}

// Stats are statistics of a Recorder since its process started.
type Stats struct {
	Reads, Writes int64 // operations of the store, including failed ones
	Rows          int   // rows in memory now
	// DroppedCalls and DroppedTokens are missing in the ledger, or may be: there was no room
	// to keep them during an outage, or no time to write them before the process stopped.
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

// newProcess returns a unique id: 65 random bits as capital letters and digits.
func newProcess() string { return rand.Text()[:13] }

// Record adds totals to the usage of a subscription and model in the current minute.
func (r *Recorder) Record(subscription, model string, happened Totals) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	if r.closed || !r.tally.count(subscription, model, happened, now) {
		r.reportDropped(happened, now)
		return
	}
	if len(r.tally.queue) > 0 {
		r.arm(r.tally.queue[0].due, now)
	}
}

// Pending returns this process's latest rows of a subscription's minutes, including everything
// counted so far. Join them with stored rows that are read later, or that were read up to half
// a minute earlier: they replace the older versions of themselves.
func (r *Recorder) Pending(subscription string) []Row {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tally.pending(SubscriptionPartition(subscription))
}

// reportDropped adds totals that can't be kept to the statistics, and logs them. r.mu must be
// held.
func (r *Recorder) reportDropped(happened Totals, now time.Time) {
	r.stats.DroppedCalls += happened.Calls + happened.Refused
	r.stats.DroppedTokens += happened.Tokens()
	if now.Sub(r.dropped) < logEvery {
		return
	}
	r.dropped = now
	r.config.Log.Error("usage is lost: there is no room to keep it until it can be written", "rows", r.tally.entries,
		"calls_so_far", r.stats.DroppedCalls, "tokens_so_far", r.stats.DroppedTokens)
}

// Stats returns the recorder's statistics.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.stats
	stats.Rows = r.tally.entries
	return stats
}

// arm sets the timer for the next operation, unless it is set for an earlier time. r.mu must
// be held.
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

// wake starts the operations that are due when the timer fires.
func (r *Recorder) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = time.Time{}
	r.startDue()
}

// startDue starts the operations that are due, and sets the timer for the next one. r.mu must be
// held.
func (r *Recorder) startDue() {
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

// do does an operation, and reports its outcome to the tally.
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
	r.startDue()
}

// read returns the rows of this process, and the sums, that an operation reads.
func (r *Recorder) read(ctx context.Context, o *operation) (rows []Row, err error) {
	for _, bounds := range o.ranges() {
		r.mu.Lock()
		r.stats.Reads++
		r.mu.Unlock()
		for row, err := range r.config.Store.Rows(ctx, o.partition.name, bounds[0], bounds[1]) {
			switch {
			case errors.Is(err, ErrUnreadable): // treated as missing
			case err != nil:
				return nil, err
			case row.Process == r.tally.process || row.Process == Sum:
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

// warn logs that usage can't be written. r.mu must be held.
func (r *Recorder) warn(err error, now time.Time) {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) || now.Sub(r.warned) < logEvery {
		return
	}
	r.warned = now
	r.config.Log.Warn("usage can't be written at the moment: it is kept and will be written later", "rows", r.tally.entries, "error", err.Error())
}

// Close writes everything that was recorded, or gives up when ctx is done. Then it logs, for
// each subscription, what may not have been written, adds it to Stats, and returns an error.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.tally.close(r.config.Now())
	r.startDue()
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

// done reports whether nothing is left to write, or nothing that can be tried before ctx is
// done. r.mu must be held.
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

// reportUnwritten logs all usage that is not known to be stored, and returns an error if there
// is any. r.mu must be held.
func (r *Recorder) reportUnwritten() error {
	left := make(map[string]Totals) // by subscription; headline rows have the empty one
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
		r.config.Log.Error("usage may be lost: it could not be written before the process stopped", "subscription", subscription,
			"calls", t.Calls, "refused", t.Refused, "tokens", t.Tokens())
	}
	if t := left[""]; !t.Empty() {
		r.config.Log.Error("charts of all subscriptions may lack usage: it could not be written before the process stopped", "calls", t.Calls, "refused", t.Refused, "tokens", t.Tokens())
	}
	r.stats.DroppedCalls += sum.Calls + sum.Refused
	r.stats.DroppedTokens += sum.Tokens()
	return fmt.Errorf("write the last usage: %d rows may not be written, with %d calls and %d tokens of subscriptions", rows, sum.Calls, sum.Tokens())
}
