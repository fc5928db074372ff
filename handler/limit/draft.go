package limit

import "time"

// A Draft is a write in the making: the counter with all that its holder has
// to report. Nothing has left the holder's hands yet.
type Draft struct {
	State         State
	now           time.Time
	lease         int64 // tokens of this minute's lease that no call has reserved
	asked         int64 // tokens granted by Decide
	closes        bool  // the write closes a lease of an earlier minute
	returned      int64 // tokens of such a lease
	alreadyClosed int   // number of closed minutes that the counter had already
	forfeited     int64
}

// Draft begins a write upon a counter that was just read. No write may be in
// doubt.
func (h *Holder) Draft(read State, limits Limits, now time.Time) *Draft {
	h.Observe(&read)
	d := &Draft{State: read.Clone(), now: now, alreadyClosed: len(read.Outbox)}
	s := &d.State
	s.Advance(limits, now)
	forfeited := s.Happened.Forfeited
	s.Reclaim(h.id, now)
	d.forfeited = s.Happened.Forfeited - forfeited
	if slot := s.slot(h.id); h.joined {
		d.lease, d.returned, d.closes = s.applyReport(slot, h)
	}
	for _, r := range h.pending.refunds {
		s.refund(r.window, r.period, r.tokens)
	}
	s.charge(h.pending.excess)
	return d
}

// applyReport moves reservations from a lease to what is spent, and returns
// the rest of the lease. A lease of an earlier minute is closed: it counted
// as spent when the minute turned, and the unreserved part is given back.
func (s *State) applyReport(slot *Slot, h *Holder) (lease, returned int64, closes bool) {
	if s.ofPeriod(slot.Window) && (h.consumed > 0 || h.period.Equal(s.PeriodStart)) {
		s.chargePeriod(h.consumed)
	}
	slot.Leased -= h.consumed
	if slot.Window == s.Window {
		s.Spent += h.consumed
		return slot.Leased, 0, false
	}
	returned = slot.Leased
	s.refundMinute(slot.Window, returned)
	slot.Leased = 0
	return 0, returned, true
}

// left returns the tokens of the minute and of the period that calls may
// still be granted.
func (d *Draft) left() (minute, period int64) {
	minute, period = d.State.left()
	return minute + d.lease - d.asked, period + d.lease - d.asked
}

// Pool returns the most tokens that the holder may have leased after this
// write. Below zero, they are owed.
func (d *Draft) Pool() int64 {
	minute, period := d.State.left()
	return min(minute, period) + d.lease
}

// Asked returns the tokens that Decide granted.
func (d *Draft) Asked() int64 { return d.asked }

// Decide decides an Ask. What it grants may be used once the write is
// applied.
func (d *Draft) Decide(ask Ask) Decision {
	minute, period := d.left()
	s := &d.State
	decision := s.Limits.decide(ask, minute, period, s.Window, s.PeriodStart, d.now)
	d.asked += decision.Tokens
	return decision
}

// DropFiled drops minutes from the outbox that are in the history already.
func (d *Draft) DropFiled(has func(minute int64) bool) {
	had, kept := d.alreadyClosed, d.State.Outbox[:0]
	for i, closed := range d.State.Outbox {
		switch {
		case !has(closed.Minute):
			kept = append(kept, closed)
		case i < had:
			d.alreadyClosed--
		}
	}
	d.State.Outbox = kept
}

// A Write is a write of the counter. It stays the same however often it is
// sent.
type Write struct {
	State State
	Built time.Time
	// Closed are the minutes that this write closes: their rows must be written
	// once it is applied.
	Closed []Closed
	// Forfeited counts the tokens of leases of instances that this write declares
	// dead.
	Forfeited int64

	id       string
	seq      int64
	joined   bool // it is not the slot's first write
	closes   bool
	window   int64 // minute of the lease that it reports on
	consumed int64
	returned int64 // tokens of the lease
	report   report
	number   int64 // of the report
	undone   int64 // tokens of its excess, taken back since it was built
}

// Commit turns a draft into a write that leaves the holder with this many
// tokens leased until expiry, or as many as there are. What the write returns
// or closes leaves the holder's hands now, not when the answer comes: by then
// it may long have been applied. newID makes the id of a new slot. It returns
// ErrFull if there is no room for one.
func (h *Holder) Commit(d *Draft, lease int64, expiry time.Time, newID func() string) (*Write, error) {
	s := &d.State
	slot := s.slot(h.id)
	if !h.joined {
		if h.id == "" {
			h.id, h.seq = newID(), 0
		}
		var err error
		if slot, err = s.join(h.id); err != nil {
			return nil, err
		}
	}
	h.seq++
	s.Rev++
	lease = max(0, min(lease, d.Pool()))
	slot.Seq, slot.Window, slot.Leased, slot.Expiry = h.seq, s.Window, lease, expiry.Unix()
	s.Happened.add(h.pending.happened) // last, because deciding upon the draft may have added refusals
	s.trim()
	body := &Write{State: *s, Built: d.now, Closed: s.Outbox[d.alreadyClosed:], Forfeited: d.forfeited, id: h.id, seq: h.seq, joined: h.joined,
		closes: d.closes, window: h.window, consumed: h.consumed, report: h.pending, number: h.reportNumber}
	if d.closes {
		body.returned = d.returned
		h.left, h.open = 0, false
	} else if d.lease > lease {
		body.returned = d.lease - lease
		h.left -= body.returned
	}
	h.consumed, h.pending, h.inFlight = 0, report{}, body
	h.reportNumber++
	return body, nil
}

// InFlight returns the write under way or in doubt, or nil.
func (h *Holder) InFlight() *Write { return h.inFlight }

// Applied tells the holder that its write was applied and the counter is as
// written.
func (h *Holder) Applied() {
	b := h.inFlight
	h.takeLease(&b.State)
}

// takeLease ends the write in flight, and takes the lease from the slot of
// the written counter or a later one.
func (h *Holder) takeLease(s *State) {
	b := h.inFlight
	h.inFlight, h.joined = nil, true
	h.seen = max(h.seen, s.Window)
	if b.report.excess > 0 {
		h.recordBooking(b, b.State.Epoch)
		h.undoExcess(b.number, b.undone)
	}
	slot := s.slot(b.id)
	if slot == nil || slot.Gone {
		h.loseLease()
		return
	}
	h.open, h.window, h.period, h.expiry = true, slot.Window, b.State.PeriodStart, slot.Expiry
	h.left = slot.Leased - h.consumed
}

// Resolve finds out from a counter that was just read whether the write in
// doubt was applied. It was if the slot has its number. If not, and the
// counter's version has changed, it never will be. Otherwise it may still
// arrive, and known is false. After MaxDoubt nobody can tell: what it carried
// is dropped, not reported again.
func (h *Holder) Resolve(s *State, changed bool, now time.Time) (known, applied bool) {
	b := h.inFlight
	if slot := s.slot(b.id); slot != nil && slot.Seq >= b.seq {
		h.takeLease(s)
		h.Observe(s)
		return true, true
	}
	switch {
	case now.Sub(b.Built) > MaxDoubt:
		h.inFlight = nil
		h.recordBooking(b, "")
		h.dropLease()
	case changed:
		h.takeBack()
	default:
		return false, false
	}
	h.Observe(s)
	return true, false
}

// takeBack ends a write that was not applied and never will be: what it
// carried is to be reported again.
func (h *Holder) takeBack() {
	b := h.inFlight
	h.inFlight = nil
	b.report.add(h.pending)
	b.report.excess -= b.undone
	h.pending = b.report
	if !b.joined {
		return
	}
	h.consumed += b.consumed
	h.left += b.returned // a lease that was to be closed stays so: no call may take of it
}

// Usage returns the usage that the write reports.
func (b *Write) Usage() Usage { return b.report.happened.Usage }

// MakeLast makes the write its holder's last: the slot becomes a tombstone.
// It does nothing if the write leaves a lease.
func (b *Write) MakeLast() {
	if slot := b.State.slot(b.id); slot.Leased == 0 {
		*slot = tombstone(*slot, b.Built)
	}
}
