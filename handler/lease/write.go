package lease

import (
	"time"

	"tollgate/handler/limit"
)

// A Draft is a write in the making: the counter with all that its holder has
// to report. Nothing has left the holder's hands yet.
type Draft struct {
	Row       Row
	now       time.Time
	lease     int64 // amount of this minute's lease that no call has reserved
	granted   int64 // amount granted, in all
	closes    bool  // the write closes a lease of an earlier minute
	returned  int64 // amount of such a lease
	forfeited Forfeit
}

// Draft begins a write upon a counter that was just read. No write may be in
// doubt.
func (h *Holder) Draft(read Row, limits limit.Limits, now time.Time) *Draft {
	h.Observe(&read)
	d := &Draft{Row: read.Clone(), now: now}
	r := &d.Row
	r.Advance(limits, now)
	d.forfeited = r.Reclaim(h.slot.id, now)
	if slot := r.Slots.find(h.slot.id); h.slot.joined {
		d.lease, d.returned, d.closes = applyReport(r, slot, &h.lease)
	}
	for _, given := range h.reports.pending.refunds {
		r.Refund(r.Limits, given.window, given.period, given.amount)
	}
	r.Charge(r.Limits, h.reports.pending.excess)
	return d
}

// applyReport moves reservations from a lease to what is spent, and returns
// the rest of the lease. A lease of an earlier minute is closed: it counted
// as spent when the minute turned, and the unreserved part is given back.
func applyReport(r *Row, slot *Slot, h *heldLease) (lease, returned int64, closes bool) {
	if r.ofPeriod(slot.Window) && (h.reserved > 0 || h.period.Equal(r.PeriodStart)) {
		r.ChargePeriod(h.reserved)
	}
	slot.Leased -= h.reserved
	if slot.Window == r.Window {
		r.Spent += h.reserved
		lease = slot.Leased
	} else {
		returned, closes = slot.Leased, true
		r.RefundMinute(r.Limits, slot.Window, returned)
		slot.Leased = 0
	}
	r.sumLeases()
	return lease, returned, closes
}

// Pool returns the most that the holder may have leased after this
// write. Below zero, they are owed.
func (d *Draft) MaxLease() int64 { return d.Row.Left(d.Row.Limits, d.lease) }

// Asked returns what was granted.
func (d *Draft) Granted() int64 { return d.granted }

// Decide decides an Ask, beside what was granted.
func (d *Draft) Decide(ask limit.Ask) limit.Decision { return d.decideBeside(ask, d.granted) }

// Grant sets aside an amount that was decided. It may be used once the write is
// applied.
func (d *Draft) Grant(amount int64) { d.granted += amount }

// decide decides an Ask beside others that are granted this much.
func (d *Draft) decideBeside(ask limit.Ask, asked int64) limit.Decision {
	return d.Row.Balance.Decide(d.Row.Limits, ask, d.lease-asked, d.now)
}

// A Write is a write of the counter. It stays the same however often it is
// sent.
type Write struct {
	Row       Row
	Built     time.Time
	Forfeited Forfeit // by instances that this write declares dead

	id           string
	seq          int64
	joined       bool // it is not the slot's first write
	reserved     int64
	returned     int64 // amount of the lease
	report       report
	number       int64 // of the report
	undone       int64 // amount of its excess, taken back since it was built
	alertPercent int   // percent of the quota that it is the first to reach; 0: none
}

// Commit turns a draft into a write that leaves the holder with this many
// leased until expiry, or as much as there is. What the write returns
// or closes leaves the holder's hands now, not when the answer comes: by then
// it may long have been applied. newID makes the id of a new slot. It returns
// ErrFull if there is no room for one.
func (h *Holder) Commit(d *Draft, lease int64, expiry time.Time, newID func() string) (*Write, error) {
	r := &d.Row
	slot := r.Slots.find(h.slot.id)
	if !h.slot.joined {
		if h.slot.id == "" {
			h.slot.id, h.slot.seq = newID(), 0
		}
		var err error
		if slot, err = r.join(h.slot.id); err != nil {
			return nil, err
		}
	}
	h.slot.seq++
	r.Rev++
	lease = max(0, min(lease, d.MaxLease()))
	slot.Seq, slot.Window, slot.Leased, slot.Expiry = h.slot.seq, r.Window, lease, expiry.Unix()
	r.sumLeases()
	r.Trim(r.Limits)
	body := &Write{Row: *r, Built: d.now, Forfeited: d.forfeited, id: h.slot.id, seq: h.slot.seq, joined: h.slot.joined, reserved: h.lease.reserved}
	body.report, body.number = h.reports.take()
	if d.closes {
		body.returned = d.returned
		h.lease.left, h.lease.open = 0, false
	} else if d.lease > lease {
		body.returned = d.lease - lease
		h.lease.left -= body.returned
	}
	h.lease.reserved, h.inFlight = 0, body
	return body, nil
}

// Charges returns what the write charges, less what it gives back.
func (b *Write) Charges() int64 { return b.reserved + b.report.sum() - b.undone }

// givesBack reports whether the row will have more left once the write is
// applied, if there is a write.
func (b *Write) givesBack() bool {
	return b != nil && (b.returned > 0 || b.reserved < 0 || len(b.report.refunds) > 0)
}

// MakeLast makes the write its holder's last: the slot becomes a tombstone.
// It does nothing if the write leaves a lease.
func (b *Write) MakeLast() {
	if slot := b.Row.Slots.find(b.id); slot.Leased == 0 {
		*slot = tombstone(*slot, b.Built)
	}
}

// Applied tells the holder that its write was applied and the counter is as
// written.
func (h *Holder) Applied() { h.takeLease(&h.inFlight.Row) }

// takeLease ends the write in flight, and takes the lease from the slot of
// the written counter or a later one.
func (h *Holder) takeLease(r *Row) {
	b := h.inFlight
	h.inFlight, h.slot.joined = nil, true
	h.lease.latestWindow = max(h.lease.latestWindow, r.Window)
	if b.report.excess > 0 {
		h.reports.book(b, b.Row.Epoch)
		h.reports.undo(b.number, b.undone, nil, h.epoch)
	}
	slot := r.Slots.find(b.id)
	if slot == nil || slot.Gone {
		h.loseLease()
		return
	}
	h.lease.open, h.lease.window, h.lease.period, h.lease.expiry = true, slot.Window, b.Row.PeriodStart, slot.Expiry
	h.lease.left = slot.Leased - h.lease.reserved
}

// Resolve finds out from a counter that was just read whether the write in
// doubt was applied. It was if the slot has its number. If not, and the
// counter's version has changed, it never will be. Otherwise it may still
// arrive, and known is false. After MaxDoubt nobody can tell: what it carried
// is dropped, not reported again.
func (h *Holder) Resolve(r *Row, changed bool, now time.Time) (known, applied bool) {
	b := h.inFlight
	if slot := r.Slots.find(b.id); slot != nil && slot.Seq >= b.seq {
		h.takeLease(r)
		h.Observe(r)
		return true, true
	}
	switch {
	case now.Sub(b.Built) > MaxDoubt:
		h.inFlight = nil
		h.reports.book(b, "")
		h.slot, h.lease = identity{}, heldLease{latestWindow: h.lease.latestWindow}
	case changed:
		h.takeBack()
	default:
		return false, false
	}
	h.Observe(r)
	return true, false
}

// takeBack ends a write that was not applied and never will be: what it
// carried is to be reported again.
func (h *Holder) takeBack() {
	b := h.inFlight
	h.inFlight = nil
	b.report.add(h.reports.pending)
	b.report.excess -= b.undone
	h.reports.pending = b.report
	if !b.joined {
		return
	}
	h.lease.reserved += b.reserved
	h.lease.left += b.returned // a lease that was to be closed stays so: no call may take of it
}
