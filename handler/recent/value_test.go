package recent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"tollgate/handler/recent"
)

// began is when the values of these tests were read.
var began = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

var lifetime = recent.Lifetime{Grace: time.Minute, Stale: 10 * time.Minute, Retry: 5 * time.Second}

// keptValue returns a value that is fresh for 30 s.
func keptValue() *recent.Value[string] {
	v := new(recent.Value[string])
	v.Refresh()
	v.Keep("old", began, began.Add(30*time.Second))
	return v
}

func TestAValueIsUsedByItsAge(t *testing.T) {
	errDown := errors.New("down")
	for _, c := range []struct {
		age           time.Duration
		failing       bool // a reading failed just before
		fresh, usable bool
	}{
		{0, false, true, true},
		{30*time.Second - 1, false, true, true},
		{30 * time.Second, false, false, true},
		{time.Minute - 1, false, false, true},
		{time.Minute, false, false, false},
		{time.Minute, true, true, true},
		{10*time.Minute - 1, true, true, true},
		{10 * time.Minute, true, true, false}, // the error is fresh
	} {
		v, now := keptValue(), began.Add(c.age)
		if c.failing {
			v.Refresh()
			v.Fail(errDown, now, lifetime)
		}
		if fresh, usable := v.Fresh(now), v.Usable(now, lifetime); fresh != c.fresh || usable != c.usable {
			t.Errorf("a value of %v, failing %t: got fresh %t and usable %t, want %t and %t", c.age, c.failing, fresh, usable, c.fresh, c.usable)
		}
		got, err := v.Last()
		if tooOld := c.failing && !c.usable; tooOld != errors.Is(err, errDown) || tooOld != (got == "") || tooOld == v.Exists() {
			t.Errorf("a value of %v, failing %t: got %q and error %v, want the error alone: %t", c.age, c.failing, got, err, tooOld)
		}
	}
}

func TestAFailedReadingIsRetriedAfterAPauseAndWhenTheValueIsTooOld(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{
		time.Minute: 5 * time.Second, 10*time.Minute - 2*time.Second: 2 * time.Second, time.Hour: 5 * time.Second,
	} {
		v, now := keptValue(), began.Add(age)
		v.Refresh()
		v.Fail(errors.New("down"), now, lifetime)
		if !v.Fresh(now.Add(want-1)) || v.Fresh(now.Add(want)) {
			t.Errorf("a failed reading of a value of %v: got fresh %t just before %v and %t then, want true and false", age, v.Fresh(now.Add(want-1)), want, v.Fresh(now.Add(want)))
		}
	}
}

func TestAnErrorThatTheStoreAnsweredReplacesTheValue(t *testing.T) {
	v, errGone := keptValue(), errors.New("gone")
	now := began.Add(40 * time.Second)
	v.Refresh()
	v.KeepError(errGone, now.Add(30*time.Second))
	if got, err := v.Last(); got != "" || !errors.Is(err, errGone) || v.Exists() || v.Usable(now, lifetime) || !v.Fresh(now) {
		t.Errorf("got %q and error %v, exists %t, usable %t, fresh %t; want the error, fresh and without a value", got, err, v.Exists(), v.Usable(now, lifetime), v.Fresh(now))
	}
}

func TestAllWaitForOneRefresh(t *testing.T) {
	v := new(recent.Value[string])
	first, isNew := v.Refresh()
	second, isSecondNew := v.Refresh()
	if first != second || !isNew || isSecondNew || !v.Refreshing() {
		t.Errorf("two calls of Refresh: got new %t and %t, the same %t, refreshing %t; want one new, shared and in progress", isNew, isSecondNew, first == second, v.Refreshing())
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := first.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait of a caller that left: got error %v, want context.Canceled", err)
	}
	v.Keep("new", began, began.Add(time.Second))
	if got, err := second.Wait(t.Context()); got != "new" || err != nil || v.Refreshing() {
		t.Errorf("Wait: got %q and error %v, refreshing %t; want new, and the refresh ended", got, err, v.Refreshing())
	}
}
