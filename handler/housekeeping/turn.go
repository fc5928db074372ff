package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTaken means that another run is in progress, or started too short a time ago.
var ErrTaken = errors.New("housekeeping was left to another run")

// minInterval is the shortest time between the starts of two runs by the host's timer,
// which fires every hour. Each run reads every counter.
const minInterval = time.Minute

// turnTimeout is the time after which a run that didn't record its end is considered
// dead. It is longer than any run.
const turnTimeout = maxRunTime + time.Minute

// Turns lets one instance run at a time. An implementation stores the last Turn, and decides
// by Turn.Allows.
type Turns interface {
	// Take starts a turn, to be ended with release. It returns ErrTaken, wrapped, if
	// another is in progress or started less than pause ago.
	Take(ctx context.Context, pause time.Duration) (release func(context.Context) error, err error)
}

// A Turn records one run.
type Turn struct {
	Began time.Time // zero: there was no run
	Ended time.Time // zero: it is in progress, or its process died
}

// Allows returns ErrTaken, wrapped, unless another turn may start after this one.
func (t Turn) Allows(now time.Time, pause time.Duration) error {
	switch {
	case t.Ended.IsZero() && now.Sub(t.Began).Abs() < turnTimeout:
		return fmt.Errorf("%w, which began at %s and is in progress", ErrTaken, t.Began.UTC().Format(time.RFC3339))
	case now.Sub(t.Began).Abs() < pause:
		return fmt.Errorf("%w, which began at %s: runs are at least %s apart", ErrTaken, t.Began.UTC().Format(time.RFC3339), pause)
	}
	return nil
}

// takeTurn starts a turn in this process, which costs no request, and then among all
// instances that share the tables.
func (h *Housekeeper) takeTurn(ctx context.Context, pause time.Duration) (release func(), err error) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.last.Allows(now, pause); err != nil {
		return nil, err
	}
	before := h.last
	h.last = Turn{Began: now}
	releaseTurn := func(context.Context) error { return nil }
	if h.config.Turns != nil {
		if releaseTurn, err = h.config.Turns.Take(ctx, pause); err != nil {
			h.last = before
			return nil, err
		}
	}
	return func() {
		if err := releaseTurn(context.WithoutCancel(ctx)); err != nil {
			h.config.Log.Warn("the end of housekeeping could not be written: no other run starts before "+now.Add(turnTimeout).UTC().Format(time.RFC3339), "cause", err.Error())
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.last.Ended = time.Now()
	}, nil
}
