package recent

import (
	"context"
	"time"
)

// A Lifetime says how old a Value may become. Ages count from when the reading of the value
// began.
type Lifetime struct {
	// Grace is how old a value may be and still be used while it is being read again, so
	// that a value in use never makes its callers wait.
	Grace time.Duration
	// Stale is how old a value may be and still be used while readings fail.
	Stale time.Duration
	// Retry is the pause between a failed reading and the next.
	Retry time.Duration
}

// A Value remembers what was read from a store until it must be read again. It reads
// nothing and has no lock; its owner provides both:
//
//   - While the value is Fresh, use what Last returns.
//   - Otherwise begin a Refresh, unless one is in progress. It ends with Keep, KeepError or
//     Fail.
//   - Meanwhile use the value if it is Usable, else wait for the Refresh.
//
// The zero Value has never been read.
type Value[V any] struct {
	value   V
	read    time.Time   // when the reading of value began; zero: there is no value
	err     error       // why there is no value
	failing bool        // the last reading failed
	due     time.Time   // when to read again
	pending *Refresh[V] // the reading in progress; nil: none
}

// A Refresh is one reading of a Value, shared by all who wait for it.
type Refresh[V any] struct {
	done  chan struct{} // closed when value and err are set
	value V
	err   error
}

// Fresh reports whether the value, or the error in its place, need not be read again yet.
func (v *Value[V]) Fresh(now time.Time) bool { return now.Before(v.due) }

// Last returns the value, or why there is none.
func (v *Value[V]) Last() (V, error) { return v.value, v.err }

// Exists reports whether there is a value, of any age.
func (v *Value[V]) Exists() bool { return !v.read.IsZero() }

// Refreshing reports whether a reading is in progress.
func (v *Value[V]) Refreshing() bool { return v.pending != nil }

// Refresh returns the reading in progress, or a new one: then the caller must do it, and
// end it.
func (v *Value[V]) Refresh() (r *Refresh[V], isNew bool) {
	if v.pending == nil {
		v.pending, isNew = &Refresh[V]{done: make(chan struct{})}, true
	}
	return v.pending, isNew
}

// Usable reports whether there is a value that may be used while it is being read again.
func (v *Value[V]) Usable(now time.Time, l Lifetime) bool {
	return v.Exists() && now.Sub(v.read) < l.Grace || v.failing && !v.TooOld(now, l)
}

// TooOld reports whether there is no value, or one that may not be used any more.
func (v *Value[V]) TooOld(now time.Time, l Lifetime) bool {
	return !v.Exists() || now.Sub(v.read) >= l.Stale
}

// Keep ends the Refresh with a value whose reading began at a time. It is fresh until due.
func (v *Value[V]) Keep(value V, began, due time.Time) {
	v.value, v.read, v.err, v.failing, v.due = value, began, nil, false, due
	v.end()
}

// KeepError ends the Refresh with an error that replaces the value: the store was read, and
// has none. The error is fresh until due.
func (v *Value[V]) KeepError(err error, due time.Time) {
	var none V
	v.value, v.read, v.err, v.failing, v.due = none, time.Time{}, err, false, due
	v.end()
}

// Fail ends the Refresh: the store couldn't be read. The value stays unless it is too old,
// in which case the error replaces it.
func (v *Value[V]) Fail(err error, now time.Time, l Lifetime) {
	wait := l.Retry
	if v.TooOld(now, l) {
		var none V
		v.value, v.read, v.err = none, time.Time{}, err
	} else {
		wait = min(wait, l.Stale-now.Sub(v.read))
	}
	v.failing, v.due = true, now.Add(wait)
	v.end()
}

// end gives the result to all who wait.
func (v *Value[V]) end() {
	v.pending.value, v.pending.err = v.Last()
	close(v.pending.done)
	v.pending = nil
}

// Wait returns the value after the reading, or why there is none. It returns ctx's error if
// that ends first.
func (r *Refresh[V]) Wait(ctx context.Context) (V, error) {
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}
