package lease

import (
	"slices"
	"time"

	"tollgate/handler/limit"
)

// A Row is one counter as it is stored, shared by all instances. A copy of a Row
// shares its slices: Clone it before changing it.
type Row struct {
	limit.Limits              // the newest that any instance has written
	limit.Balance             // Leased and PeriodLeased are the sums of Slots: see SetSlots
	Periods       Periods     // other periods, to which time may return after a wrong clock
	Opened        limit.Spans // the latest minutes up to Window that got their credit
	Alerted       int64       // highest percent of the quota for which there was an alert this period; 0: none
	Slots         Slots
	Epoch         string // random, made with the counter: reports for another epoch are void
	Rev           int64  // number of writes
}

// New returns a counter to which nothing is charged.
func New(limits limit.Limits, now time.Time, epoch string) Row {
	minute := limit.Minute(now)
	return Row{Limits: limits, Balance: limit.NewBalance(limits, now), Opened: limit.Spans{{From: minute, To: minute}}, Epoch: epoch}
}

// Clone returns a copy that may be changed.
func (r *Row) Clone() Row {
	copied := *r
	copied.Slots, copied.Periods = slices.Clone(r.Slots), slices.Clone(r.Periods)
	copied.Opened, copied.Given = slices.Clone(r.Opened), slices.Clone(r.Given)
	return copied
}

// SetSlots replaces the slots, and updates Leased and PeriodLeased.
func (r *Row) SetSlots(slots Slots) {
	r.Slots = slots
	r.sumLeases()
}

// sumLeases updates Leased, the leases of the row's minute, and PeriodLeased, the
// leases of any minute of its period. Call it after changing a slot.
func (r *Row) sumLeases() {
	r.Leased, r.PeriodLeased = 0, 0
	for i := range r.Slots {
		if slot := &r.Slots[i]; slot.Window == r.Window {
			r.Leased += slot.Leased
		}
		if r.ofPeriod(r.Slots[i].Window) {
			r.PeriodLeased += r.Slots[i].Leased
		}
	}
}

// ofPeriod reports whether a minute's leases are charged to the row's period.
func (r *Row) ofPeriod(minute int64) bool {
	return r.Quota > 0 && minute >= limit.Minute(r.PeriodStart)
}

// Advance moves the counter to a time, and to these limits if they are newer than its
// own. Windows never go back.
func (r *Row) Advance(limits limit.Limits, now time.Time) {
	r.adopt(limits)
	if minute := limit.Minute(now); minute > r.Window {
		r.OpenMinute(r.Limits, minute)
		r.Opened = r.Opened.With(limit.Span{From: minute, To: minute})
	}
	if start, later := r.PeriodSince(r.Limits); later {
		r.Periods = r.Periods.with(PeriodCharge{r.PeriodStart, r.PeriodSpent + r.PeriodLeased, r.Alerted})
		c := r.takePeriod(start)
		r.OpenPeriod(start, c.Amount)
		r.Alerted = c.Alerted
		r.sumLeases()
	}
}

// adopt replaces the limits if these are newer, without changing what was charged. A
// new period starts by the counter's own minute, which no slow clock sets back.
func (r *Row) adopt(limits limit.Limits) {
	if limits.Version <= r.Version {
		return
	}
	r.ChangeLimits(r.Limits, limits)
	switch {
	case limits.Quota == 0:
		r.PeriodStart, r.PeriodSpent, r.Periods, r.Alerted = time.Time{}, 0, nil, 0
	case limits.Period != r.Period || r.Quota == 0:
		r.Periods, r.Alerted = nil, 0
		r.PeriodStart = limits.Period.Start(limit.MinuteStart(r.Window))
	case limits.Quota > r.Quota: // percents above what is used now get their alert again
		r.Alerted = min(r.Alerted, r.PeriodSpent*100/limits.Quota)
	}
	r.Limits = limits
	r.sumLeases()
}

// Standing returns the counter's standing at a time, as seen by an instance without a
// lease.
func (r *Row) Standing(now time.Time) limit.Standing {
	b := r.At(r.Limits, now)
	return b.Standing(r.Limits, 0, 0, 0)
}

// Deletable reports whether the row can be deleted without losing anything: it has no
// slots, debt or carried credit, and no later minute or period has been used.
func (r *Row) Deletable(now time.Time) bool {
	t := r.Clone()
	t.Advance(t.Limits, now)
	ahead := len(t.Given) > 0 || slices.ContainsFunc(t.Periods, func(c PeriodCharge) bool { return c.Start.After(t.PeriodStart) })
	return !ahead && len(t.Slots) == 0 && t.Spent == 0 && t.Credit == t.PerMinute && (t.Quota == 0 || t.PeriodSpent == 0)
}

// reachAlerts returns the highest of these ascending percents that the use of the
// quota has reached, and records it; 0: none that isn't recorded already.
func (r *Row) reachAlerts(alerts []int) (percent int) {
	if r.Quota == 0 {
		return 0
	}
	for _, p := range alerts {
		if int64(p) > r.Alerted && p <= maxPercent && r.PeriodSpent*100 >= int64(p)*r.Quota {
			percent = p
		}
	}
	r.Alerted = max(r.Alerted, int64(percent))
	return percent
}

// A PeriodCharge is the amount that a quota was charged in a period.
type PeriodCharge struct {
	Start   time.Time // of the period
	Amount  int64
	Alerted int64 // as in Row
}

// maxPercent is the highest percent of a quota for which there can be an alert.
const maxPercent = 100

// maxPeriods is the most periods that a counter remembers besides its own.
const maxPeriods = 4

// Periods are charges of a quota in ascending order of their periods.
type Periods []PeriodCharge

// with returns the periods with one more, without the oldest if there are too many.
func (p Periods) with(c PeriodCharge) Periods {
	p = append(p, c)
	slices.SortFunc(p, func(a, b PeriodCharge) int { return a.Start.Compare(b.Start) })
	if n := len(p); n > maxPeriods {
		p = slices.Delete(p, 0, n-maxPeriods)
	}
	return p
}

// takePeriod removes the charge of a period from Periods, and returns it. A period
// that a fast clock began, and whose charge is forgotten, counts as used up.
func (r *Row) takePeriod(start time.Time) PeriodCharge {
	for i, c := range r.Periods {
		if c.Start.Equal(start) {
			r.Periods = slices.Delete(r.Periods, i, i+1)
			return c
		}
	}
	if r.Given.Overlaps(r.Period, start) {
		return PeriodCharge{start, r.Quota, maxPercent}
	}
	return PeriodCharge{}
}
