package counter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// The call reserves many tokens and settles few, a minute later.
func TestTokensReturnedToAnEarlierMinutesShareDoNotEnlargeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		broken.Store(true)
		first, _ := reserve(t, c, terms, 90)
		time.Sleep(time.Minute)
		second, _ := reserve(t, c, terms, 90) // of a quarter of 400
		if first == nil || second == nil {
			t.Fatalf("two calls within the share: got them granted %t and %t, want both", first != nil, second != nil)
		}
		first.Settle(5)
		if r, d := reserve(t, c, terms, 90); r != nil {
			t.Errorf("a call that makes it 180 of a share of 100: got %+v, want it refused", d)
		}
		second.Cancel()
		if r, d := reserve(t, c, terms, 90); r == nil {
			t.Errorf("a call for tokens that came back this minute: got %+v, want it granted", d)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}

// If the sum of reservations overflowed, the share would no longer limit other calls.
func TestHugeReservationsDoNotOverflowTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		limits := limit.Limits{PerMinute: 400}
		broken.Store(true)
		var open []*counter.Reservation
		for range 3 {
			r, _ := reserve(t, c, onDown(limit.FailOpen, limits), 1<<62)
			open = append(open, r)
		}
		if r, d := reserve(t, c, onDown(limit.Degrade, limits), 400); r != nil {
			t.Errorf("a call for 400 of a share of 100: got %+v, want it refused", d)
		}
		for _, r := range open {
			r.Cancel()
		}
		if r, d := reserve(t, c, onDown(limit.Degrade, limits), 90); r == nil {
			t.Errorf("a call for 90 of a share of 100: got %+v, want it granted", d)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}

// The standings are those that Settle and Cancel return.
func TestTheStandingOfACounterNeverReadIncludesTheCallItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, broken, c := breakable()
		terms := onDown(limit.Degrade, limit.Limits{PerMinute: 400})
		broken.Store(true)
		r, _ := reserve(t, c, terms, 25)
		if s := r.Settle(25 + 90); s.PerMinute != 400 || s.Remaining != 285 {
			t.Errorf("after Settle: got %d of %d left, want 285 of 400", s.Remaining, s.PerMinute)
		}
		time.Sleep(time.Minute)
		r, _ = reserve(t, c, terms, 25)
		time.Sleep(time.Minute)
		if s := r.Cancel(); s.Used != 0 || s.Remaining != 400 {
			t.Errorf("after Cancel in a later minute: got %d used and %d left, want 0 and 400", s.Used, s.Remaining)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second)
	})
}
