package lease_test

import (
	"testing"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

var (
	noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	day  = limit.Limits{PerMinute: 300, Quota: 10_000, Period: limit.Daily, Version: 1}
)

// write builds a write of the holder, which is applied and answered, and returns the row.
func write(t *testing.T, h *lease.Holder, s lease.Row, leased int64, now time.Time) lease.Row {
	t.Helper()
	next := build(t, h, s, leased, now)
	h.Applied()
	return next
}

// build builds a write of the holder, whose answer has yet to come, and returns its row.
func build(t *testing.T, h *lease.Holder, s lease.Row, leased int64, now time.Time) lease.Row {
	t.Helper()
	body, err := h.Commit(h.Draft(s, day, now), leased, lease.Expiry(1, now), func() string { return "slot" })
	if err != nil {
		t.Fatal(err)
	}
	return body.Row
}

// take reserves an amount of the holder's lease for a call.
func take(t *testing.T, h *lease.Holder, amount int64, now time.Time) lease.Hold {
	t.Helper()
	hold, ok := h.Reserve(amount, now)
	if !ok {
		t.Fatalf("a reservation of %d: got none, want it from the lease of %d", amount, h.Left(now))
	}
	return hold
}

func TestALeaseIsStillHeldIfTheWriteThatClosesItFails(t *testing.T) {
	var h lease.Holder
	s := write(t, &h, lease.New(day, noon, "epoch"), 100, noon)
	later := noon.Add(time.Minute)
	build(t, &h, s, 0, later)
	if known, applied := h.Resolve(&s, true, later); !known || applied {
		t.Fatalf("a counter changed by another: got known %t, applied %t; want known, not applied", known, applied)
	}
	if h.LeasedAmount() != 100 {
		t.Fatalf("tokens leased: got %d, want the 100 that the counter still has", h.LeasedAmount())
	}
	s = write(t, &h, s, 0, later)
	if at := s.Standing(later); h.LeasedAmount() != 0 || at.QuotaRemaining != 10_000 {
		t.Errorf("after the next write: got %d leased and %d of the quota left, want 0 and 10,000", h.LeasedAmount(), at.QuotaRemaining)
	}
}

func TestRefundsSurviveTheLossOfTheSlot(t *testing.T) {
	var h lease.Holder
	s := write(t, &h, lease.New(day, noon, "epoch"), 100, noon)
	hold := take(t, &h, 100, noon)
	s = write(t, &h, s, 0, noon) // the reservation is charged
	h.Settle(hold, 0)
	late := noon.Add(40 * time.Second) // after a pause so long that the slot counts as dead
	s = s.Clone()
	s.Reclaim("", late)
	h.Observe(&s)
	if s = write(t, &h, s, 0, late); s.Spent != 0 || s.PeriodSpent != 0 {
		t.Errorf("after the call was cancelled: got %d charged to the minute and %d to the quota, want 0 and 0", s.Spent, s.PeriodSpent)
	}
}

// TestTheQuotaCountsWhatTheLastMinuteReserved, from the end of that minute until after the
// next write.
func TestTheQuotaCountsWhatTheLastMinuteReserved(t *testing.T) {
	var h lease.Holder
	s := write(t, &h, lease.New(day, noon, "epoch"), 100, noon)
	h.Settle(take(t, &h, 30, noon), 30)
	standing := func(at time.Time) limit.Standing {
		view := s.View(&h, day, at)
		return view.Standing(&h, at)
	}
	if at := standing(noon); at.Used != 30 || at.QuotaUsed != 30 {
		t.Errorf("in its minute: got %d used, %d of the quota; want 30 and 30", at.Used, at.QuotaUsed)
	}
	later := noon.Add(time.Minute)
	if at := standing(later); at.Used != 0 || at.QuotaUsed != 30 {
		t.Errorf("in the next minute: got %d used, %d of the quota; want 0 and 30", at.Used, at.QuotaUsed)
	}
	written := build(t, &h, s, 0, later)
	if at := standing(later); at.Used != 0 || at.QuotaUsed != 30 {
		t.Errorf("while the write is under way: got %d used, %d of the quota; want 0 and 30", at.Used, at.QuotaUsed)
	}
	h.Applied()
	s = written
	if at := standing(later); at.Used != 0 || at.QuotaUsed != 30 {
		t.Errorf("once written: got %d used, %d of the quota; want 0 and 30", at.Used, at.QuotaUsed)
	}
}

// TestStandingLeavesOutRefundsOfAClosedLease before, during and after the next
// write.
func TestStandingLeavesOutRefundsOfAClosedLease(t *testing.T) {
	var h lease.Holder
	s := write(t, &h, lease.New(day, noon, "epoch"), 100, noon)
	hold := take(t, &h, 30, noon)
	later := noon.Add(time.Minute)
	s = write(t, &h, s, 100, later)
	h.Settle(hold, 12)
	quotaUsed := func() int64 {
		view := s.View(&h, day, later)
		return view.Standing(&h, later).QuotaUsed
	}
	if used := quotaUsed(); used != 12 {
		t.Errorf("of the quota used: got %d, want 12", used)
	}
	written := build(t, &h, s, 100, later)
	if used := quotaUsed(); used != 12 {
		t.Errorf("of the quota used while the write is under way: got %d, want 12", used)
	}
	h.Applied()
	s = written
	if used := quotaUsed(); used != 12 {
		t.Errorf("of the quota used once written: got %d, want 12", used)
	}
}
