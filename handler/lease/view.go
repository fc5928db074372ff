package lease

import (
	"slices"
	"time"

	"tollgate/handler/limit"
)

// A View is a holder's summary of a row, without the slots.
type View struct {
	limit.Limits
	Balance limit.Balance
	Live    int  // number of live instances, including this one; 0: the counter was never read
	Shared  bool // the row has slots or tombstones of other instances
}

// View summarizes the row for a holder. If these limits are newer than the row's, it
// has them, as the next write will.
func (r *Row) View(h *Holder, limits limit.Limits, now time.Time) View {
	newer := *r
	newer.adopt(limits) // changes nothing that r shares
	own := newer.Slots.find(h.slot.id)
	live := newer.Slots.Live(now)
	if own == nil || own.Gone || own.Expiry < now.Unix() {
		live++
	}
	return View{Limits: newer.Limits, Balance: newer.Balance, Live: live,
		Shared: slices.ContainsFunc(newer.Slots, func(slot Slot) bool { return slot.ID != h.slot.id })}
}

// At returns the balance that the counter will have at a time if nothing is charged
// until then.
func (v *View) At(now time.Time) limit.Balance { return v.Balance.At(v.Limits, now) }

// Left returns what is left for all instances at a time, as far as is known.
func (v *View) Left(now time.Time) int64 {
	b := v.At(now)
	return b.Left(v.Limits, 0)
}

// Standing returns the counter's standing at a time, as far as a holder knows.
func (v *View) Standing(h *Holder, now time.Time) limit.Standing {
	b := v.At(now)
	minute, period := unreported(h, &b)
	return b.Standing(v.Limits, h.own(now), minute, period)
}

// unreported returns what a holder's reports will charge to a balance's minute and
// period. Reservations from a lease are charged to the lease's minute and period, even
// if they are reported in the next; refunds of a closed lease are subtracted.
func unreported(h *Holder, b *limit.Balance) (minute, period int64) {
	minute, period = h.Excess(), h.Excess()
	add := func(amount, of int64, since time.Time) {
		if of == b.Window {
			minute += amount
		}
		if since.Equal(b.PeriodStart) {
			period += amount
		}
	}
	reserved, given := h.lease.reserved, h.reports.pending.refunds
	if f := h.inFlight; f != nil {
		reserved += f.reserved
		given = slices.Concat(given, f.report.refunds)
	}
	for _, r := range given {
		add(-r.amount, r.window, r.period)
	}
	if h.slot.joined {
		add(reserved, h.lease.window, h.lease.period)
	}
	return minute, period
}

// Decide decides an Ask from what a holder knows of the counter. It reserves nothing.
func (v *View) Decide(h *Holder, ask limit.Ask, now time.Time) limit.Decision {
	return v.decideBeside(h, ask, 0, now)
}

// decideBeside decides an Ask like Decide, if other calls take an amount first.
func (v *View) decideBeside(h *Holder, ask limit.Ask, taken int64, now time.Time) limit.Decision {
	b := v.At(now)
	d := b.Decide(v.Limits, ask, h.own(now)-taken, now)
	d.Standing = v.Standing(h, now)
	return d
}
