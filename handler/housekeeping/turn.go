package housekeeping

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTaken says that another run is under way, or was begun just now.
var ErrTaken = errors.New("housekeeping was left to another run")

// shortest is the shortest time between the beginnings of two runs that the host
// asks for: its timer fires every hour, and each run reads every counter.
const shortest = time.Minute

// abandoned is how long a run that doesn't say that it ended is taken to be
// under way: longer than any run lasts.
const abandoned = enough + time.Minute

// Turns lets one run at a time go ahead, whichever instance asks for it.
type Turns interface {
	// Take returns a turn, to be ended with release, or ErrTaken, wrapped, where
	// another is under way or was begun less than pause ago.
	Take(ctx context.Context, pause time.Duration) (release func(context.Context) error, err error)
}

// Turn is the last turn that was taken.
type Turn struct {
	Began time.Time
	Ended time.Time // zero: it is under way, or its process died
}

// Allows returns ErrTaken where no other turn may begin yet.
func (t Turn) Allows(now time.Time, pause time.Duration) error {
	switch {
	case t.Ended.IsZero() && now.Sub(t.Began).Abs() < abandoned:
		return fmt.Errorf("%w, which began at %s and is under way", ErrTaken, t.Began.UTC().Format(time.RFC3339))
	case now.Sub(t.Began).Abs() < pause:
		return fmt.Errorf("%w, which began at %s: runs are at least %s apart", ErrTaken, t.Began.UTC().Format(time.RFC3339), pause)
	}
	return nil
}

// take lets a run go ahead: in this process, which costs strangers nothing, and
// then in all that share the tables.
func (h *Housekeeper) take(ctx context.Context, pause time.Duration) (release func(), err error) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.last.Allows(now, pause); err != nil {
		return nil, err
	}
	before := h.last
	h.last = Turn{Began: now}
	elsewhere := func(context.Context) error { return nil }
	if h.Turns != nil {
		if elsewhere, err = h.Turns.Take(ctx, pause); err != nil {
			h.last = before
			return nil, err
		}
	}
	return func() {
		if err := elsewhere(context.WithoutCancel(ctx)); err != nil {
			h.Log.Warn("the end of housekeeping could not be written: no other run begins before "+now.Add(abandoned).UTC().Format(time.RFC3339), "cause", err.Error())
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.last.Ended = time.Now()
	}, nil
}
