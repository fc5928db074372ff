package limit

import (
	"slices"
	"time"
)

// A Holder is one instance's side of a counter: its lease, what calls have
// reserved of it, and what isn't reported yet. What it holds is prepaid:
// State counts all of it as spent. The zero Holder holds nothing.
type Holder struct {
	id     string // of the slot; empty: the next write takes a new one
	seq    int64  // of the last write
	joined bool   // the counter surely has the slot
	epoch  string // of the counter
	seen   int64  // the counter's minute when it was last read

	open     bool      // the lease may be spent: it is not lost or being closed
	window   int64     // the minute of the lease
	period   time.Time // start of the lease's period
	expiry   int64     // Unix seconds
	left     int64     // leased and not reserved; of a lease being closed, what must be given back
	consumed int64     // reserved since the last write was built, less refunds

	pending      report // since the last write was built
	reportNumber int64  // number of the pending report
	bookings     []booking
	inFlight     *Write // built, and its outcome is unknown; nil: there is none
}

// A report is what an instance's next write says.
type report struct {
	refunds  []refund // of calls whose lease is closed
	excess   int64    // tokens used beyond reservations, and not covered by the lease
	happened Happened
}

type refund struct {
	window int64
	period time.Time
	tokens int64
}

// Clone returns a copy that shares nothing that either side changes.
func (h *Holder) Clone() Holder {
	copied := *h
	copied.pending.refunds = slices.Clone(h.pending.refunds)
	copied.bookings = slices.Clone(h.bookings)
	if h.inFlight != nil {
		flight := *h.inFlight
		flight.report.refunds = slices.Clone(flight.report.refunds)
		copied.inFlight = &flight
	}
	return copied
}

// A Charge says where a call's reservation was charged, until it is settled.
type Charge struct {
	Tokens int64 // reserved from a lease
	Window int64 // the lease's minute
	period time.Time
	epoch  string
	free   bool  // charged to no limit
	excess int64 // tokens that Raise charged beyond the lease
	report int64 // number of the report that carries that excess
}

// Held returns the tokens that the call is charged until it is settled.
func (c Charge) Held() int64 { return c.Tokens + c.excess }

// FreeCharge returns the charge of a refused call that goes on all the same:
// it counts as usage and is charged to no limit.
func FreeCharge() Charge { return Charge{free: true} }

// OwedCharge returns the charge of a call that was decided without the
// counter: its usage is charged when it is settled.
func OwedCharge() Charge { return Charge{} }

// Reserve reserves tokens of the lease if it has them at that time.
func (h *Holder) Reserve(tokens int64, now time.Time) (Charge, bool) {
	if tokens > h.left || !h.usable(now) {
		return Charge{}, false
	}
	h.left -= tokens
	h.consumed += tokens
	return Charge{Tokens: tokens, Window: h.window, period: h.period, epoch: h.epoch}, true
}

// usable reports whether the lease may be spent at a time. Spending it later
// would exceed no limit, as it is prepaid, but would spend one minute's
// tokens in another.
func (h *Holder) usable(now time.Time) bool {
	return h.open && h.window >= max(Minute(now), h.seen) && now.Unix() < h.expiry
}

// Left returns the tokens of the lease that may still be reserved at a time.
func (h *Holder) Left(now time.Time) int64 {
	if !h.usable(now) {
		return 0
	}
	return h.left
}

// Settle replaces a reservation by the call's usage. Unused tokens go back to
// the lease or the minute they were reserved from. Usage beyond the
// reservation is taken from the lease as far as that goes; the rest is
// charged to the counter's minute, and becomes debt if that has no room.
func (h *Holder) Settle(c Charge, usage Usage) {
	h.pending.happened.add(Happened{Usage: usage, Requests: 1})
	if c.free {
		return
	}
	if excess := usage.Total() - c.Held(); excess > 0 {
		h.chargeExcess(excess)
	} else {
		h.reduceCharge(c, -excess)
	}
}

// Cancel gives the whole reservation back: the call was never made.
func (h *Holder) Cancel(c Charge) { h.reduceCharge(c, c.Held()) }

// reduceCharge gives back tokens of a charge, those beyond the lease first.
func (h *Holder) reduceCharge(c Charge, tokens int64) {
	beyond := min(tokens, c.excess)
	h.undoExcess(c.report, beyond)
	h.refund(c, tokens-beyond)
}

// Refuse counts a refused call. It causes no write; the next one carries it.
func (h *Holder) Refuse() { h.pending.happened.Refused++ }

// chargeExcess takes tokens from the lease, and reports the rest as excess.
func (h *Holder) chargeExcess(tokens int64) {
	if h.open {
		covered := min(tokens, h.left)
		h.left -= covered
		h.consumed += covered
		tokens -= covered
	}
	h.pending.excess += tokens
}

// refund returns tokens of a charge. A charge to another epoch is void.
func (h *Holder) refund(c Charge, tokens int64) {
	switch {
	case tokens == 0 || c.epoch != h.epoch:
	case h.leasedIn(c):
		h.left += tokens
		h.consumed -= tokens
	default:
		h.pending.addRefund(refund{c.Window, c.period, tokens})
	}
}

func (r *report) addRefund(given refund) {
	for i := range r.refunds {
		if one := &r.refunds[i]; one.window == given.window && one.period.Equal(given.period) {
			one.tokens += given.tokens
			return
		}
	}
	r.refunds = append(r.refunds, given)
}

func (r *report) add(other report) {
	for _, one := range other.refunds {
		r.addRefund(one)
	}
	r.excess += other.excess
	r.happened.add(other.happened)
}

// MustReport reports whether something must be written to the counter.
// Refusals alone need no write.
func (h *Holder) MustReport() bool {
	p := &h.pending
	return h.consumed != 0 || p.excess != 0 || len(p.refunds) > 0 || p.happened.Requests > 0
}

// NothingToReport reports whether nothing is left to report, not even
// refusals, and no write is in doubt.
func (h *Holder) NothingToReport() bool {
	return !h.MustReport() && h.pending.happened == (Happened{}) && h.inFlight == nil
}

// UnconfirmedUsage returns the usage of calls that no write is known to have
// delivered.
func (h *Holder) UnconfirmedUsage() Happened {
	untold := h.pending.happened
	if h.inFlight != nil {
		untold.add(h.inFlight.report.happened)
	}
	return untold
}

// HasRefunds reports whether tokens of an earlier lease wait to be given
// back.
func (h *Holder) HasRefunds() bool { return len(h.pending.refunds) > 0 }

// Excess returns the tokens used beyond reservations and lease that no write
// is known to have delivered.
func (h *Holder) Excess() int64 {
	if h.inFlight != nil {
		return h.pending.excess + h.inFlight.report.excess - h.inFlight.undone
	}
	return h.pending.excess
}

// LeasedTokens returns the tokens of this instance's lease, from any minute,
// that no call has reserved.
func (h *Holder) LeasedTokens() int64 {
	if !h.joined {
		return 0
	}
	return h.left
}

// Observe updates the holder from a counter that was just read, while no
// write is in doubt. If the slot is gone, the lease and the reservations from
// it are charged already: both are dropped. Debts between the holder and
// another epoch are void.
func (h *Holder) Observe(s *State) {
	if h.epoch != s.Epoch {
		h.pending.refunds = nil
		h.dropLease()
		h.epoch, h.seen = s.Epoch, s.Window
	}
	h.seen = max(h.seen, s.Window)
	if slot := s.slot(h.id); h.joined && (slot == nil || slot.Gone) {
		h.loseLease()
	}
}

// loseLease drops a lease whose slot is gone, with the reservations from it:
// all of that is charged already. What calls gave back beyond those had been
// charged before, and must still be refunded.
func (h *Holder) loseLease() {
	if h.consumed < 0 {
		h.pending.addRefund(refund{h.window, h.period, -h.consumed})
	}
	h.dropLease()
}

// dropLease drops the lease, and makes the next write take a new slot.
func (h *Holder) dropLease() {
	h.id, h.seq, h.joined, h.open, h.left, h.consumed = "", 0, false, false, 0, 0
}

// A View is a summary of a counter, without its slots, for a holder.
type View struct {
	Limits
	balance
	Live   int  // instances, this one included
	Shared bool // other instances have, or had, a part in it
}

// View summarizes a counter for its holder, with its tier's limits if the
// counter has older ones: the next write will bring them.
func (s *State) View(h *Holder, limits Limits, now time.Time) View {
	newer := *s
	newer.adopt(limits) // touches nothing that is shared
	s = &newer
	own := s.slot(h.id)
	live := s.Live(now)
	if own == nil || own.Gone || own.Expiry < now.Unix() {
		live++
	}
	return View{Limits: s.Limits, balance: s.balance(), Live: live,
		Shared: slices.ContainsFunc(s.Slots, func(slot Slot) bool { return slot.ID != h.id })}
}

// Standing returns the counter's standing at a time, seen without a lease.
func (s *State) Standing(now time.Time) Standing {
	var nobody Holder
	v := s.View(&nobody, s.Limits, now)
	return nobody.Standing(&v, now)
}

// advance moves the view to a time, as Advance moves the counter.
func (v *View) advance(now time.Time) {
	minute := Minute(now)
	if minute <= v.Window {
		return
	}
	v.openMinute(v.Limits, minute)
	if start, later := v.periodSince(v.PeriodStart, minute); later {
		v.PeriodStart, v.PeriodSpent, v.leasedOfPeriod = start, 0, 0
	}
}

// Left returns the tokens left for anyone at a time, as far as is known.
func (v *View) Left(now time.Time) int64 {
	minute, period := (&Holder{}).available(v, now)
	return min(minute, period)
}

// available returns the tokens that a call of this instance could have at a
// time, as far as is known: the counter's rest plus the lease, less what is
// still to be reported.
func (h *Holder) available(v *View, now time.Time) (minute, period int64) {
	v.advance(now)
	minute, period = v.left(v.Limits)
	own := h.Left(now) - h.Excess()
	if v.TokensPerMinute > 0 {
		minute += own
	}
	if v.Quota > 0 {
		period += own
	}
	return minute, period
}

// Decide decides an Ask from what is known of the counter, and reserves
// nothing.
func (h *Holder) Decide(v *View, ask Ask, now time.Time) Decision {
	minute, period := h.available(v, now)
	d := v.Limits.decide(ask, minute, period, v.Window, v.PeriodStart, now)
	d.Standing = h.Standing(v, now)
	return d
}

// FitsAfter returns the time until this many tokens fit that don't fit now,
// as far as is known, counting this instance's share of each minute's tokens.
// Without a minute limit, that is the end of the period. exceeded names the
// limit that they wait for.
func (h *Holder) FitsAfter(v *View, tokens int64, now time.Time) (after time.Duration, exceeded Verdict) {
	minute, _ := h.available(v, now)
	if v.TokensPerMinute == 0 {
		return v.Period.Next(v.PeriodStart).Sub(now), QuotaExceeded
	}
	if tokens > v.TokensPerMinute+v.Burst { // more than the next minute has: of what is left, it has the burst
		minute = min(minute, v.Burst)
	}
	perMinute := max(1, v.TokensPerMinute/int64(max(v.Live, 1)))
	return MinuteStart(v.Window + minutesUntil(tokens, minute, perMinute)).Sub(now), RateExceeded
}

// Standing returns the counter's standing as far as the holder knows.
func (h *Holder) Standing(v *View, now time.Time) Standing {
	minute, period := h.available(v, now)
	used, ofPeriod := h.unreportedCharges(v)
	st := Standing{Limits: v.Limits, Used: max(0, v.Spent+used), ResetAt: MinuteStart(v.Window + 1)}
	st.Remaining, st.Owed = splitLeft(minute)
	if v.TokensPerMinute > 0 {
		st.ResetAt = MinuteStart(v.Window + minutesUntil(1, minute, v.TokensPerMinute))
		st.Held = max(0, v.Credit-st.Used-minute)
	}
	if v.Quota > 0 {
		st.QuotaUsed = max(0, v.PeriodSpent+ofPeriod)
		st.QuotaRemaining, st.QuotaOwed = splitLeft(period)
		st.QuotaHeld = max(0, v.Quota-st.QuotaUsed-period)
		st.QuotaStartedAt, st.QuotaResetAt = v.PeriodStart, v.Period.Next(v.PeriodStart)
	}
	return st
}

// unreportedCharges returns the tokens that the minute and the period will be
// charged by this holder's reports. Reservations from a lease are charged to
// the lease's minute and period, even if reported in the next; refunds of a
// closed lease are subtracted.
func (h *Holder) unreportedCharges(v *View) (minute, period int64) {
	minute, period = h.Excess(), h.Excess()
	add := func(tokens, window int64, start time.Time) {
		if window == v.Window {
			minute += tokens
		}
		if start.Equal(v.PeriodStart) {
			period += tokens
		}
	}
	for _, r := range h.pending.refunds {
		add(-r.tokens, r.window, r.period)
	}
	reserved := h.consumed
	if b := h.inFlight; b != nil {
		reserved += b.consumed
		for _, r := range b.report.refunds {
			add(-r.tokens, r.window, r.period)
		}
	}
	if h.joined {
		add(reserved, h.window, h.period)
	}
	return minute, period
}
