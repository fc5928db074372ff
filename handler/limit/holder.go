package limit

import (
	"slices"
	"time"
)

// Holder is one instance's side of a counter: the lease it took, what calls
// reserved of it since, and what isn't reported yet. The zero Holder holds
// nothing. What it holds is prepaid: State counts all of it as spent.
type Holder struct {
	id     string // of the slot; empty: the next write takes a new one
	seq    int64  // of the last write
	joined bool   // the counter is known to have the slot
	epoch  string // of the counter
	seen   int64  // the counter's minute when it was last seen

	open     bool      // the lease may be spent: it is neither lost nor being closed
	window   int64     // the minute of the lease
	period   time.Time // the period's start then
	expiry   int64     // Unix seconds
	left     int64     // leased and not reserved
	oldLease int64     // of a lease of an earlier minute that must still be closed
	consumed int64     // reserved since the last write was built, less what came back

	pending      report // since the last write was built
	reportNumber int64  // number of the pending report
	bookings     []booking
	inFlight     *Write // built, and not known to have failed or succeeded
}

// report is what an instance tells with its next write.
type report struct {
	refunds  []refund // of calls whose lease is closed
	excess   int64    // taken beyond reservations, and not covered by the lease
	happened Happened
}

type refund struct {
	window int64
	period time.Time
	tokens int64
}

// Clone is a copy that shares nothing with the original that either changes.
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

// Charge is what a reservation was charged to, kept until it is settled.
type Charge struct {
	Tokens int64 // taken from a lease
	Window int64 // the lease's minute
	period time.Time
	epoch  string
	free   bool  // charged to no limit
	excess int64 // tokens that Raise charged beyond the lease
	report int64 // number of the report that carries them
}

// Held is what the call is charged until it is settled, in tokens.
func (c Charge) Held() int64 { return c.Tokens + c.excess }

// Free is the charge of a call that goes on although it was refused: it counts
// as usage and is charged to no limit.
func FreeCharge() Charge { return Charge{free: true} }

// Owed is the charge of a call that was decided without the counter: all that
// it takes is charged when it is settled.
func OwedCharge() Charge { return Charge{} }

// Take reserves tokens of the lease, where it has them at that time.
func (h *Holder) Reserve(tokens int64, now time.Time) (Charge, bool) {
	if tokens > h.left || !h.usable(now) {
		return Charge{}, false
	}
	h.left -= tokens
	h.consumed += tokens
	return Charge{Tokens: tokens, Window: h.window, period: h.period, epoch: h.epoch}, true
}

// usable says whether the lease may be spent at a time. Spending it later would
// pass no limit either, for it is prepaid; but it would be a minute's tokens in
// another minute.
func (h *Holder) usable(now time.Time) bool {
	return h.open && h.window >= max(Minute(now), h.seen) && now.Unix() < h.expiry
}

// Left is what of the lease may still be reserved at a time.
func (h *Holder) Left(now time.Time) int64 {
	if !h.usable(now) {
		return 0
	}
	return h.left
}

// Settle replaces a reservation by what the call took. What was reserved in
// vain goes back to the lease it was taken from, or to its minute. What was
// taken beyond the reservation is taken from the lease as far as that goes; the
// rest is charged to the counter's minute, and becomes debt where that has no
// room.
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

// Cancel gives a whole reservation back: the call was never made.
func (h *Holder) Cancel(c Charge) { h.reduceCharge(c, c.Held()) }

// lower gives back tokens of a charge, those beyond the lease first.
func (h *Holder) reduceCharge(c Charge, tokens int64) {
	beyond := min(tokens, c.excess)
	h.undoExcess(c.report, beyond)
	h.refund(c, tokens-beyond)
}

// Refuse counts a refused call, with whatever write comes next.
func (h *Holder) Refuse() { h.pending.happened.Refused++ }

func (h *Holder) chargeExcess(tokens int64) {
	if h.open {
		covered := min(tokens, h.left)
		h.left -= covered
		h.consumed += covered
		tokens -= covered
	}
	h.pending.excess += tokens
}

// giveBack returns tokens of a charge. What was charged to another epoch is void.
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

// Unreported says whether the counter must be told of something. Refusals alone
// are no reason for a write.
func (h *Holder) MustReport() bool {
	p := &h.pending
	return h.consumed != 0 || p.excess != 0 || len(p.refunds) > 0 || p.happened.Requests > 0
}

// Silent says that nothing at all waits to be told, and nothing is in doubt.
func (h *Holder) NothingToReport() bool {
	return !h.MustReport() && h.pending.happened == (Happened{}) && h.inFlight == nil
}

// Untold is what calls took, as far as no write is known to have told it.
func (h *Holder) UnconfirmedUsage() Happened {
	untold := h.pending.happened
	if h.inFlight != nil {
		untold.add(h.inFlight.report.happened)
	}
	return untold
}

// Returns says that tokens of an earlier lease wait to be given back.
func (h *Holder) HasRefunds() bool { return len(h.pending.refunds) > 0 }

// Excess is what was taken beyond reservations and lease, and isn't written yet.
func (h *Holder) Excess() int64 {
	if h.inFlight != nil {
		return h.pending.excess + h.inFlight.report.excess - h.inFlight.undone
	}
	return h.pending.excess
}

// Holds is what the counter counts as this instance's lease of whatever minute,
// that no call has reserved.
func (h *Holder) LeasedTokens() int64 {
	if !h.joined {
		return 0
	}
	return h.left + h.oldLease
}

// Meet takes note of a counter that was just read, where no write is in doubt.
// Where the slot is gone, the lease and what was reserved of it are charged
// already: both are dropped. What is owed to or by another epoch is void.
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

// lose drops a lease whose slot is gone, and what was reserved of it: all of
// that is charged. What calls gave back beyond it had been charged before, and
// is still to be returned.
func (h *Holder) loseLease() {
	if h.consumed < 0 {
		h.pending.addRefund(refund{h.window, h.period, -h.consumed})
	}
	h.dropLease()
}

// forget drops the lease, and has the next write take a new slot.
func (h *Holder) dropLease() {
	h.id, h.seq, h.joined, h.open, h.left, h.oldLease, h.consumed = "", 0, false, false, 0, 0, 0
}

// View is what a holder knows of its counter without its slots.
type View struct {
	Limits
	Window, Credit, Spent int64
	PeriodStart           time.Time
	PeriodSpent           int64
	Live                  int  // instances, this one included
	Shared                bool // other instances have, or had, a part in it
	leased, ofPeriod      int64
	given                 Spans
}

// View sums up a counter for its holder, by its tier's limits where the counter
// has older ones: so it will be with the next write.
func (s *State) View(h *Holder, limits Limits, now time.Time) View {
	newer := *s
	newer.adopt(limits) // touches nothing that is shared
	s = &newer
	own := s.slot(h.id)
	live := s.Live(now)
	if own == nil || own.Gone || own.Expiry < now.Unix() {
		live++
	}
	return View{Limits: s.Limits, Window: s.Window, Credit: s.Credit, Spent: s.Spent,
		PeriodStart: s.PeriodStart, PeriodSpent: s.PeriodSpent, Live: live,
		Shared: slices.ContainsFunc(s.Slots, func(slot Slot) bool { return slot.ID != h.id }),
		leased: s.leased(), ofPeriod: s.leasedOfPeriod(), given: s.Given}
}

// Standing is where the counter stands at a time for someone who holds nothing of it.
func (s *State) Standing(now time.Time) Standing {
	var nobody Holder
	v := s.View(&nobody, s.Limits, now)
	return nobody.Standing(&v, now)
}

// advance brings the view to a time, as Advance does the counter.
func (v *View) advance(now time.Time) {
	minute := Minute(now)
	if minute <= v.Window {
		return
	}
	v.Credit = v.given.credit(v.Limits, v.Credit-v.Spent-v.leased, v.Window, minute)
	v.Window, v.Spent, v.leased = minute, 0, 0
	if v.Quota == 0 {
		return
	}
	if start := v.Period.Start(MinuteStart(minute)); start.After(v.PeriodStart) {
		v.PeriodStart, v.PeriodSpent, v.ofPeriod = start, 0, 0
	}
}

// Left is what the counter has at a time, for anyone, as far as is known.
func (v *View) Left(now time.Time) int64 {
	minute, period := (&Holder{}).available(v, now)
	return min(minute, period)
}

// known is what a call of this instance could have at a time, as far as it
// knows: what the counter had, the lease, less what it must yet report.
func (h *Holder) available(v *View, now time.Time) (minute, period int64) {
	v.advance(now)
	minute, period = Unlimited, Unlimited
	own := h.Left(now) - h.Excess()
	if v.TokensPerMinute > 0 {
		minute = v.Credit - v.Spent - v.leased + own
	}
	if v.Quota > 0 {
		period = v.Quota - v.PeriodSpent - v.ofPeriod + own
	}
	return minute, period
}

// Judge decides an Ask by what is known of the counter alone, and reserves nothing.
func (h *Holder) Decide(v *View, ask Ask, now time.Time) Decision {
	minute, period := h.available(v, now)
	d := v.Limits.decide(ask, minute, period, v.Window, v.PeriodStart, now)
	d.Standing = h.Standing(v, now)
	return d
}

// FitsAfter is how long it will be until so many tokens fit for which there is
// nothing now, as far as is known and by this instance's share of what each
// minute brings; without a limit of the minute, when the period is over. exceeded
// is what they wait for.
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

// Standing is where the counter stands as far as a holder knows.
func (h *Holder) Standing(v *View, now time.Time) Standing {
	minute, period := h.available(v, now)
	used, ofPeriod := h.unreportedCharges(v)
	st := Standing{Limits: v.Limits, Used: max(0, v.Spent+used), ResetAt: MinuteStart(v.Window + 1)}
	st.Remaining, st.Owed = splitLeft(minute)
	if v.TokensPerMinute > 0 {
		st.ResetAt = MinuteStart(v.Window + minutesUntil(1, minute, v.TokensPerMinute))
	}
	if v.Quota > 0 {
		st.QuotaUsed = max(0, v.PeriodSpent+ofPeriod)
		st.QuotaRemaining, st.QuotaOwed = splitLeft(period)
		st.QuotaResetAt = v.Period.Next(v.PeriodStart)
	}
	return st
}

// untold is what the minute and the period will be charged once the counter
// knows all that this holder does. What was reserved of a lease is charged to
// the lease's minute and period, although it may be told in the next; what came
// back of a lease that is closed is charged no more.
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
