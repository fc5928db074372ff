package limit

import "time"

// Draft is a write in the making: the counter as it would be with all that its
// holder has to report. Nothing has left the holder's hands.
type Draft struct {
	State         State
	now           time.Time
	lease         int64 // of this minute, still the holder's and not reserved
	asked         int64 // granted by Decide
	closes        bool  // the holder's lease is of an earlier minute
	returned      int64 // of such a lease
	alreadyClosed int   // closed minutes that the counter had already
	forfeited     int64
}

// Draft begins a write upon a counter that was just read. It must not have a
// write in doubt.
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

// reported moves what was reserved of a lease to what is spent, and tells what
// is left of it. A lease of an earlier minute is closed: it counted as spent at
// the turn, and what of it was not is given back.
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

// left is what calls may still be granted, of the minute and of the period.
func (d *Draft) left() (minute, period int64) {
	minute, period = d.State.left()
	return minute + d.lease - d.asked, period + d.lease - d.asked
}

// Pool is the most that the holder may have leased after this write, tokens.
// Below zero the counter is owed.
func (d *Draft) Pool() int64 {
	minute, period := d.State.left()
	return min(minute, period) + d.lease
}

// Asked is what calls were granted by Decide, in tokens.
func (d *Draft) Asked() int64 { return d.asked }

// Decide decides an Ask. What it grants is had once the write has landed.
func (d *Draft) Decide(ask Ask) Decision {
	minute, period := d.left()
	s := &d.State
	decision := s.Limits.decide(ask, minute, period, s.Window, s.PeriodStart, d.now)
	d.asked += decision.Tokens
	return decision
}

// Filed removes from the outbox what the history has.
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

// Body is a write: what it says stays the same however often it is sent.
type Write struct {
	State State
	Built time.Time
	// Closed are the minutes that this write closes: their rows are due once it
	// has landed.
	Closed []Closed
	// Forfeited are the tokens of instances taken for dead by this write.
	Forfeited int64

	id       string
	seq      int64
	joined   bool // it is not the slot's first
	closes   bool
	window   int64 // of the lease that it reports on
	consumed int64
	returned int64 // of the lease, returned
	report   report
	number   int64 // of the report
	undone   int64 // of its excess, taken back since it was built
}

// Commit makes a draft a write that leaves the holder with a lease of so many
// tokens, as far as there are, until its expiry. What the write returns or
// closes leaves the holder's hands now, not when the answer comes: it may have
// landed long before. fresh makes a slot's id. ErrFull.
func (h *Holder) Commit(d *Draft, lease int64, expiry time.Time, fresh func() string) (*Write, error) {
	s := &d.State
	slot := s.slot(h.id)
	if !h.joined {
		if h.id == "" {
			h.id, h.seq = fresh(), 0
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
	s.Happened.add(h.pending.happened) // not before: what was decided upon the draft may have been refused
	s.trim()
	body := &Write{State: *s, Built: d.now, Closed: s.Outbox[d.alreadyClosed:], Forfeited: d.forfeited, id: h.id, seq: h.seq, joined: h.joined,
		closes: d.closes, window: h.window, consumed: h.consumed, report: h.pending, number: h.reportNumber}
	if d.closes {
		body.returned = d.returned
		h.left, h.open, h.oldLease = 0, false, 0
	} else if d.lease > lease {
		body.returned = d.lease - lease
		h.left -= body.returned
	}
	h.consumed, h.pending, h.inFlight = 0, report{}, body
	h.reportNumber++
	return body, nil
}

// Flight is the write that is under way or in doubt; nil: none is.
func (h *Holder) InFlight() *Write { return h.inFlight }

// Landed notes that the write was applied, and that the counter is as it says.
func (h *Holder) Applied() {
	b := h.inFlight
	h.takeLease(&b.State)
}

// landed takes the lease as the slot has it, in the written counter or a later one.
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

// Resolve finds out from a counter that was just read what became of the write
// in doubt. It was applied where the counter bears its number. Where the counter
// is another than the write was for (changed), and doesn't, it never will be.
// Else it may still be on its way, and nobody knows. After DoubtKept nobody can:
// then what it carried is not told again.
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

// failed notes that the write was not applied and never will be: what it
// carried waits again.
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
	if b.closes { // closed it stays, by the write that comes next
		h.oldLease = b.returned
		return
	}
	h.left += b.returned
}

// Usage is what the write tells that calls took.
func (b *Write) Usage() Usage { return b.report.happened.Usage }

// Leave makes a write its holder's last: the slot becomes a tombstone. A write
// that leaves a lease for a call can't be the last, and stays as it is.
func (b *Write) MakeLast() {
	if slot := b.State.slot(b.id); slot.Leased == 0 {
		*slot = tombstone(*slot, b.Built)
	}
}
