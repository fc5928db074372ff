package lease

import (
	"slices"
	"time"

	"tollgate/handler/limit"
)

// maxAmount is the largest plausible amount: small enough that no sum of amounts
// overflows.
const maxAmount = 1 << 53

// maxAhead bounds how far a counter's minute may be ahead of the clock. A minute that
// is less far ahead is adopted, as minutes never go back; any other would block the
// counter for too long.
const maxAhead = 15 * time.Minute

// Plausible reports whether Tollgate could have written the row. now is the store's
// time.
func (r *Row) Plausible(now time.Time) bool {
	return !r.tooFarAhead(now) && r.plausibleAmounts() && r.Slots.plausible(r.Window) && r.plausiblePeriods(now)
}

// tooFarAhead reports whether the row's minute is so far ahead that the row must have
// been edited, or written by a wrong clock.
func (r *Row) tooFarAhead(now time.Time) bool { return r.Window >= limit.Minute(now.Add(maxAhead)) }

// plausible reports whether all amounts are from 0 to maxAmount.
func plausible(amounts ...int64) bool {
	return !slices.ContainsFunc(amounts, func(n int64) bool { return n < 0 || n > maxAmount })
}

// plausiblePercent reports whether n is a percent for which there can be an alert, or 0.
func plausiblePercent(n int64) bool { return n >= 0 && n <= maxPercent }

// plausibleAmounts reports whether Tollgate could have written the row's amounts and
// minutes.
func (r *Row) plausibleAmounts() bool {
	most := max(r.PerMinute+r.Burst, r.Spent+r.Leased) // after the limit was cut, the credit may be as high as what was charged before
	return plausible(r.PerMinute, r.Burst, r.Quota, r.Spent, r.PeriodSpent) && plausiblePercent(r.Alerted) &&
		r.Credit <= most && r.Credit >= -maxAmount && r.plausibleSpans()
}

// plausibleSpans reports whether Tollgate could have written the row's Opened and Given.
func (r *Row) plausibleSpans() bool {
	n := len(r.Opened)
	return r.Opened.WellFormed() && r.Given.WellFormed() && (n == 0 || r.Opened[n-1].To <= r.Window)
}

// plausiblePeriods reports whether Tollgate could have written the row's periods. A
// quota's period that would never end is not plausible.
func (r *Row) plausiblePeriods(now time.Time) bool {
	if slices.ContainsFunc(r.Periods, func(c PeriodCharge) bool { return !plausible(c.Amount) || !plausiblePercent(c.Alerted) }) {
		return false
	}
	return r.Quota == 0 || !r.Period.Start(now).IsZero() && !r.PeriodStart.After(limit.MinuteStart(r.Window))
}

// Repaired returns a replacement for a row that isn't plausible. It keeps each part
// that is plausible by itself, grants nothing more this minute, and has a new epoch.
// A minute that is ahead by less than maxAhead is adopted; one further ahead grants
// nothing when it comes, as it may have been spent already. Leases count as spent.
// Slots become tombstones, so that no writer repeats a write that was applied.
func (r *Row) Repaired(limits limit.Limits, now time.Time, epoch string) Row {
	if r.Window > limit.Minute(now) && !r.tooFarAhead(now) {
		now = limit.MinuteStart(r.Window)
	}
	next := New(limits, now, epoch)
	next.Credit = min(next.Credit, 0)
	repairSpans(r, &next)
	repairPeriods(r, &next)
	for _, slot := range r.Slots {
		if slot.Seq > 0 && len(next.Slots) < maxSlots {
			next.Slots = append(next.Slots, tombstone(slot, now))
		}
	}
	return next
}

// repairSpans copies the minutes that got their credit, so that the repaired row
// gives no minute's amount again.
func repairSpans(r, next *Row) {
	opened := limit.Spans{{From: r.Window, To: r.Window}}
	if r.plausibleSpans() {
		for _, span := range slices.Concat(r.Opened, r.Given) {
			opened = opened.With(span)
		}
	}
	next.Given = opened.Since(next.Window + 1)
	for _, span := range opened {
		if span.From <= next.Window {
			next.Opened = next.Opened.With(limit.Span{From: span.From, To: min(span.To, next.Window)})
		}
	}
	if len(next.Given) > 0 && next.PerMinute > 0 { // the given minutes may have had the burst: the minutes before them pay for it
		next.Credit -= next.Burst
	}
}

// repairPeriods copies what the quota was charged in each period, as far as that is
// plausible.
func repairPeriods(r, next *Row) {
	if next.Quota == 0 || r.Quota == 0 || r.Period != next.Period {
		return
	}
	charged := append(slices.Clone(r.Periods), PeriodCharge{r.PeriodStart, r.PeriodSpent, r.Alerted})
	if r.plausibleAmounts() && r.Slots.plausible(r.Window) {
		charged[len(charged)-1].Amount += r.PeriodLeased
	}
	for _, c := range charged {
		if !plausiblePercent(c.Alerted) {
			c.Alerted = 0
		}
		if plausible(c.Amount) && c.Start.Equal(r.Period.Start(c.Start)) {
			next.Periods = next.Periods.with(c)
		}
	}
	c := next.takePeriod(next.PeriodStart)
	next.PeriodSpent, next.Alerted = c.Amount, c.Alerted
}
