package lease_test

import (
	"testing"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

func TestACallIsDecidedByWhatTheMinuteAndTheQuotaHaveLeft(t *testing.T) {
	now := noon.Add(15 * time.Second)
	l := limit.Limits{PerMinute: 300, Burst: 100, Quota: 1000, Period: limit.Hourly, Version: 1}
	for _, c := range []struct {
		name          string
		spent, period int64 // charged
		ask           limit.Ask
		verdict       limit.Verdict
		amount, most  int64
		after         time.Duration
	}{
		{name: "all of it", ask: limit.Ask{Amount: 300}, verdict: limit.Granted, amount: 300},
		{name: "one too many", ask: limit.Ask{Amount: 301}, verdict: limit.RateExceeded, after: 45 * time.Second},
		{name: "the next minute pays", spent: 200, ask: limit.Ask{Amount: 400}, verdict: limit.RateExceeded, after: 45 * time.Second},
		{name: "a debt", spent: 500, ask: limit.Ask{Amount: 100}, verdict: limit.RateExceeded, after: 45 * time.Second},
		{name: "a debt of two minutes", spent: 500, ask: limit.Ask{Amount: 101}, verdict: limit.RateExceeded, after: 105 * time.Second},
		{name: "a debt of an hour", spent: 300 + 300*59, ask: limit.Ask{Amount: 300}, verdict: limit.RateExceeded, after: 59*time.Minute + 45*time.Second},
		{name: "nothing asked for, and nothing left", spent: 300, ask: limit.Ask{}, verdict: limit.Granted},
		{name: "nothing asked for, in debt", spent: 301, ask: limit.Ask{}, verdict: limit.RateExceeded, after: 45 * time.Second},
		{name: "what is left", spent: 100, ask: limit.Ask{Amount: 10_000, Min: 200}, verdict: limit.Granted, amount: 200},
		{name: "less than can be done with", spent: 100, ask: limit.Ask{Amount: 10_000, Min: 201}, verdict: limit.RateExceeded, after: 45 * time.Second},
		{name: "at least more than asked for", ask: limit.Ask{Amount: 5, Min: 16}, verdict: limit.Granted, amount: 5},
		{name: "what is left of the quota", period: 900, ask: limit.Ask{Amount: 10_000, Min: 16}, verdict: limit.Granted, amount: 100},
		{name: "the quota", period: 900, ask: limit.Ask{Amount: 101}, verdict: limit.QuotaExceeded, after: 59*time.Minute + 45*time.Second},
		{name: "the quota before the minute", spent: 300, period: 1000, ask: limit.Ask{Amount: 1}, verdict: limit.QuotaExceeded, after: 59*time.Minute + 45*time.Second},
		{name: "the quota, and a debt beyond its period", spent: 300 + 300*89, period: 1000, ask: limit.Ask{Amount: 300}, verdict: limit.QuotaExceeded, after: 89*time.Minute + 45*time.Second},
		{name: "with the burst at most", ask: limit.Ask{Amount: 400}, verdict: limit.RateExceeded, after: 45 * time.Second},
		{name: "more than any minute has", ask: limit.Ask{Amount: 401}, verdict: limit.NeverFitsRate, most: 400},
	} {
		s := lease.New(l, noon, "epoch")
		s.Spent, s.PeriodSpent = c.spent, c.period
		var h lease.Holder
		d := h.Draft(s, l, now).Decide(c.ask)
		if d.Verdict != c.verdict || d.Amount != c.amount || d.Max != c.most || d.RetryAfter != c.after || d.Min != c.ask.Needed() {
			t.Errorf("%s: got %+v, want verdict %v, %d tokens, max %d, min %d, RetryAfter %v", c.name, d, c.verdict, c.amount, c.most, c.ask.Needed(), c.after)
		}
		view := s.View(&h, l, now)
		if viewed := view.Decide(&h, c.ask, now); viewed.Verdict != d.Verdict || viewed.RetryAfter != d.RetryAfter {
			t.Errorf("%s: decided by a view, got %+v; want the verdict and RetryAfter of %+v", c.name, viewed, d)
		}
	}
}

func TestACallThatExceedsTheWholeQuotaNeverFits(t *testing.T) {
	l := limit.Limits{Quota: 1000, Period: limit.Monthly, Version: 1}
	var h lease.Holder
	draft := h.Draft(lease.New(l, noon, "epoch"), l, noon)
	if d := draft.Decide(limit.Ask{Amount: 1001}); d.Verdict != limit.NeverFitsQuota || d.Max != 1000 || d.RetryAfter != 0 {
		t.Errorf("1001 of a quota of 1000: got %+v, want NeverFitsQuota, Max 1000, no RetryAfter", d)
	}
	if d := draft.Decide(limit.Ask{Amount: 1000}); d.Verdict != limit.Granted {
		t.Errorf("1000 of a quota of 1000: got %+v, want Granted", d)
	}
}

// TestACallFitsAfterItsRetryAfterAndNotBefore: the same call is granted after
// RetryAfter and refused a second before.
func TestACallFitsAfterItsRetryAfterAndNotBefore(t *testing.T) {
	for spent := int64(0); spent <= 2000; spent += 37 {
		for _, amount := range []int64{1, 99, 300, 400} {
			l := limit.Limits{PerMinute: 300, Burst: 100, Version: 1}
			s := lease.New(l, noon, "epoch")
			s.Spent = spent
			var h lease.Holder
			d := h.Draft(s, l, noon).Decide(limit.Ask{Amount: amount})
			if d.Verdict == limit.Granted {
				continue
			}
			if then := h.Draft(s, l, noon.Add(d.RetryAfter)).Decide(limit.Ask{Amount: amount}); then.Verdict != limit.Granted {
				t.Errorf("%d tokens after %d: got them refused after %v, want Granted", amount, spent, d.RetryAfter)
			}
			if before := h.Draft(s, l, noon.Add(d.RetryAfter-time.Second)).Decide(limit.Ask{Amount: amount}); before.Verdict == limit.Granted {
				t.Errorf("%d tokens after %d: got them granted a second before %v, want them refused", amount, spent, d.RetryAfter)
			}
		}
	}
}

func TestCallsThatOneWriteGrantsShareWhatIsLeft(t *testing.T) {
	var h lease.Holder
	draft := h.Draft(lease.New(day, noon, "epoch"), day, noon)
	for _, want := range []limit.Verdict{limit.Granted, limit.Granted, limit.RateExceeded} {
		d := draft.Decide(limit.Ask{Amount: 140})
		if d.Verdict != want {
			t.Errorf("140 tokens beside %d granted: got %v, want %v", draft.Granted(), d.Verdict, want)
		}
		draft.Grant(d.Amount)
	}
	if draft.Granted() != 280 {
		t.Errorf("tokens granted by the draft: got %d, want 280", draft.Granted())
	}
}

// TestARefusalByAShareNamesTheLimitThatTheTierHas: the minute's, or the quota if there is
// no limit for the minute.
func TestARefusalByAShareNamesTheLimitThatTheTierHas(t *testing.T) {
	now := noon.Add(15 * time.Second)
	for _, c := range []struct {
		limits  limit.Limits
		verdict limit.Verdict
	}{
		{limit.Limits{PerMinute: 300}, limit.RateExceeded},
		{limit.Limits{Quota: 1000, Period: limit.Monthly}, limit.QuotaExceeded},
		{limit.Limits{PerMinute: 300, Quota: 1000, Period: limit.Monthly}, limit.RateExceeded},
	} {
		if d := c.limits.DecideShare(limit.Ask{Amount: 30}, 29, now); d.Verdict != c.verdict || d.RetryAfter != 45*time.Second {
			t.Errorf("30 of the 29 that are left of %+v: got %+v, want %v with a RetryAfter of 45s", c.limits, d, c.verdict)
		}
		if d := c.limits.DecideShare(limit.Ask{Amount: 30}, 30, now); d.Verdict != limit.Granted || d.Amount != 30 {
			t.Errorf("all of the 30 that are left of %+v: got %+v, want 30 granted", c.limits, d)
		}
	}
}

// TestStandingReportsDebtAndWhenItIsPaid: ResetAt is when a call can be granted again,
// which may be some minutes later.
func TestStandingReportsDebtAndWhenItIsPaid(t *testing.T) {
	now := noon.Add(15 * time.Second)
	l := limit.Limits{PerMinute: 300, Burst: 100, Quota: 1000, Period: limit.Hourly, Version: 1}
	for _, c := range []struct {
		spent, period        int64 // charged
		left, owed           int64
		resets               time.Duration // after noon
		quotaLeft, quotaOwed int64
	}{
		{0, 0, 300, 0, time.Minute, 1000, 0},
		{299, 999, 1, 0, time.Minute, 1, 0},
		{300, 1000, 0, 0, time.Minute, 0, 0},
		{301, 1001, 0, 1, time.Minute, 0, 1},
		{599, 1500, 0, 299, time.Minute, 0, 500},
		{600, 0, 0, 300, 2 * time.Minute, 1000, 0}, // the next minute begins with nothing
		{300 + 3*300 - 1, 0, 0, 899, 3 * time.Minute, 1000, 0},
		{300 + 660_000, 0, 0, 660_000, 2201 * time.Minute, 1000, 0},
	} {
		s := lease.New(l, noon, "epoch")
		s.Spent, s.PeriodSpent = c.spent, c.period
		got := s.Standing(now)
		if got.Remaining != c.left || got.Owed != c.owed || !got.ResetAt.Equal(noon.Add(c.resets)) || got.QuotaRemaining != c.quotaLeft || got.QuotaOwed != c.quotaOwed {
			t.Errorf("spent %d and %d: got %+v, want %+v", c.spent, c.period, got, c)
		}
		at := got.ResetAt
		if later := s.Standing(at); later.Remaining < 1 || later.Owed != 0 {
			t.Errorf("spent %d: at the reset, %v, got %+v, want at least 1 left and nothing owed", c.spent, at, later)
		}
		if before := s.Standing(at.Add(-time.Minute)); at.Sub(noon) > time.Minute && before.Remaining != 0 {
			t.Errorf("spent %d: a minute before the reset, %v, got %+v, want nothing left", c.spent, at, before)
		}
		for _, more := range []int64{0, 1, 300, 301, 5000} {
			after := s.Clone()
			after.Spent, after.PeriodSpent = s.Spent+more, s.PeriodSpent+more
			if want, predicted := after.Standing(now), got.After(more); predicted != want {
				t.Errorf("spent %d, %d more: got the prediction %+v, want %+v", c.spent, more, predicted, want)
			}
		}
	}
}
