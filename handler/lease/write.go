package lease

import (
	"time"

	"tollgate/handler/limit"
)

// A Draft is a write that is being built: the row with everything that its holder
// has to report. The holder keeps its lease and its reports until Commit.
type Draft struct {
	Row       Row
	now       time.Time
	lease     int64 // amount of this minute's lease that no call has reserved
	granted   int64 // amount granted, in all
	closes    bool  // the write closes a lease of an earlier minute
	returned  int64 // amount of such a lease
	forfeited Forfeit
}

// Draft begins a write upon a row that was just read. No write may be in flight.
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

// applyReport moves the reservations from a lease to what is spent, and returns the
// rest of the lease. A lease of an earlier minute is closed: all of it counted as spent
// when the next minute opened, and its unreserved part is given back.
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

// MaxLease returns the most that the holder may have leased after this write. Below
// zero, it is a debt.
func (d *Draft) maxLease() int64 { return d.Row.Left(d.Row.Limits, d.lease) }

// Granted returns the sum of the amounts granted.
func (d *Draft) Granted() int64 { return d.granted }

// Decide decides an Ask, in addition to what was granted.
func (d *Draft) Decide(ask limit.Ask) limit.Decision { return d.decideBeside(ask, d.granted) }

// Grant sets aside an amount for a call. The call may spend it once the write is
// applied.
func (d *Draft) Grant(amount int64) { d.granted += amount }

// decideBeside decides an Ask, if others are granted this much.
func (d *Draft) decideBeside(ask limit.Ask, asked int64) limit.Decision {
	return d.Row.Balance.Decide(d.Row.Limits, ask, d.lease-asked, d.now)
}

// A Write is a write of a row. It stays the same however often it is sent.
type Write struct {
	Row       Row       // as it is to be stored
	Built     time.Time // of the Commit that built it
	Forfeited Forfeit   // by instances that this write declares dead

	id           string
	seq          int64
	joined       bool   // it is not the slot's first write
	reserved     int64  // amount that calls reserved of the lease since the write before
	returned     int64  // amount of the lease that it gives back
	report       report // carried beside the lease
	number       int64  // of the report
	undone       int64  // amount of the report's excess that was taken back since it was built
	alertPercent int    // percent of the quota that it is the first to reach; 0: none
}

// Commit turns a draft into a write that leaves the holder with a lease of this
// amount until expiry, or of as much as there is. The holder gives up what the write
// returns or closes now, not when the answer comes: by then the write may have been
// applied long ago. newID makes the id of a new slot. Commit returns ErrFull if there
// is no room for one.
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
	lease = max(0, min(lease, d.maxLease()))
	slot.Seq, slot.Window, slot.Leased, slot.Expiry = h.slot.seq, r.Window, lease, expiry.Unix()
	r.sumLeases()
	r.Trim(r.Limits)
	w := &Write{Row: *r, Built: d.now, Forfeited: d.forfeited, id: h.slot.id, seq: h.slot.seq, joined: h.slot.joined, reserved: h.lease.reserved}
	w.report, w.number = h.reports.take()
	if d.closes {
		w.returned = d.returned
		h.lease.left, h.lease.open = 0, false
	} else if d.lease > lease {
		w.returned = d.lease - lease
		h.lease.left -= w.returned
	}
	h.lease.reserved, h.inFlight = 0, w
	return w, nil
}

// Charges returns what the write charges, less what it gives back.
func (w *Write) charges() int64 { return w.reserved + w.report.sum() - w.undone }

// givesBack reports whether there is a write that leaves the row with more once it is
// applied.
func (w *Write) givesBack() bool {
	return w != nil && (w.returned > 0 || w.reserved < 0 || len(w.report.refunds) > 0)
}

// MakeLast makes the write its holder's last, by making the slot a tombstone. It does
// nothing if the write leaves a lease.
func (w *Write) MakeLast() {
	if slot := w.Row.Slots.find(w.id); slot.Leased == 0 {
		*slot = tombstone(*slot, w.Built)
	}
}

// Applied updates the holder after its write was applied and the row is as written.
func (h *Holder) Applied() { h.takeLease(&h.inFlight.Row) }

// takeLease ends the write in flight, which was applied, and takes the lease from the
// holder's slot in the written row or a later one.
func (h *Holder) takeLease(r *Row) {
	w := h.inFlight
	h.inFlight, h.slot.joined = nil, true
	h.lease.latestWindow = max(h.lease.latestWindow, r.Window)
	if w.report.excess > 0 {
		h.reports.book(w, w.Row.Epoch)
		h.reports.undo(w.number, w.undone, nil, h.epoch)
	}
	slot := r.Slots.find(w.id)
	if slot == nil || slot.Gone {
		h.loseLease()
		return
	}
	h.lease.open, h.lease.window, h.lease.period, h.lease.expiry = true, slot.Window, w.Row.PeriodStart, slot.Expiry
	h.lease.left = slot.Leased - h.lease.reserved
}

// Resolve finds out from a row that was just read whether the write in flight was
// applied. It was if the slot has its number. If not, and changed says that the row has
// another version than the write was built upon, it never will be. Otherwise it may
// still arrive, and known is false. After MaxDoubt nobody can tell, and what it carried
// is dropped instead of being reported again.
func (h *Holder) Resolve(r *Row, changed bool, now time.Time) (known, applied bool) {
	w := h.inFlight
	if slot := r.Slots.find(w.id); slot != nil && slot.Seq >= w.seq {
		h.takeLease(r)
		h.Observe(r)
		return true, true
	}
	switch {
	case now.Sub(w.Built) > MaxDoubt:
		h.inFlight = nil
		h.reports.book(w, "")
		h.slot, h.lease = identity{}, heldLease{latestWindow: h.lease.latestWindow}
	case changed:
		h.takeBack()
	default:
		return false, false
	}
	h.Observe(r)
	return true, false
}

// takeBack ends a write that was not applied and never will be: what it carried must
// be reported again.
func (h *Holder) takeBack() {
	w := h.inFlight
	h.inFlight = nil
	w.report.add(h.reports.pending)
	w.report.excess -= w.undone
	h.reports.pending = w.report
	if !w.joined {
		return
	}
	h.lease.reserved += w.reserved
	h.lease.left += w.returned // a lease that the write closed stays closed: no call may spend it
}
