package lease

import (
	"math"
	"time"

	"tollgate/handler/limit"
)

const (
	// minHorizon is the shortest horizon.
	minHorizon = 5 * time.Second
	// writesPerSecond bounds the writes of all instances to one counter, by
	// making the horizon longer: a conditional write takes 5-20 ms, one at a
	// time, so far more than this would mostly conflict.
	writesPerSecond = 6.4
	// minCallsPerShare is the number of calls of mean size below which an instance's
	// share counts as scarce.
	minCallsPerShare = 4
	// minShare is the share of the limit that all instances' leases together may have
	// however little is left. Without it, leases would halve again and again, with a
	// write each time.
	minShare = 0.02
	// demandMemory is the time constant of the moving averages of demand.
	demandMemory = 3 * time.Second
	// maxDemandAge is the time after the last call when demand counts as zero.
	maxDemandAge = 2 * time.Second
	// meanWeight is the weight of a call in the moving mean of what calls ask for.
	meanWeight = 0.2
)

// Horizon returns the time that a lease is meant to last, and within which usage is
// reported. It grows with the number of live instances, those that wrote recently.
func Horizon(live int) time.Duration {
	return max(minHorizon, time.Duration(float64(live)/writesPerSecond*float64(time.Second)))
}

// Expiry returns the time when a lease that is written now expires. Until then its
// instance counts as live.
func Expiry(live int, now time.Time) time.Time { return now.Add(2*Horizon(live) + time.Second) }

// demand keeps moving averages of the amounts that calls ask of an instance.
type demand struct {
	rate float64 // amount a second
	mean float64 // amount a call
	last time.Time
}

// addCall records the amount that a call asks for.
func (d *demand) addCall(amount int64, now time.Time) {
	if d.last.IsZero() {
		d.mean = float64(amount)
	}
	d.mean += meanWeight * (float64(amount) - d.mean)
	d.rate = d.decayed(now) + float64(amount)/demandMemory.Seconds()
	d.last = now
}

// addExcess records the amount that a call used beyond what it asked for.
func (d *demand) addExcess(amount int64, now time.Time) {
	d.rate = d.decayed(now) + float64(amount)/demandMemory.Seconds()
	d.last = now
}

// decayed returns the rate at a time, in amount a second.
func (d *demand) decayed(now time.Time) float64 {
	if d.last.IsZero() || now.Before(d.last) {
		return d.rate
	}
	return d.rate * math.Exp(-now.Sub(d.last).Seconds()/demandMemory.Seconds())
}

// expected returns the amount that calls will probably ask for within a time.
func (d *demand) expected(span time.Duration, now time.Time) int64 {
	if now.Sub(d.last) >= maxDemandAge {
		return 0
	}
	return int64(min(d.decayed(now)*span.Seconds(), maxAmount))
}

// sizeLease returns the amount that the holder should have leased after a write, and
// whether the counter's amount is scarce. If so, an instance leases only what its
// queued calls ask for, so that the rest goes to instances that have calls for it.
func (d *Draft) sizeLease(demand *demand, live int) (lease int64, scarce bool) {
	r := &d.Row
	pool := d.maxLease()
	share := (pool - d.lease) / int64(max(live, 1))
	if r.PerMinute > 0 {
		share = max(share, int64(minShare*float64(r.PerMinute))/int64(max(live, 1)))
	}
	if float64(share) < minCallsPerShare*demand.mean {
		return min(d.granted, pool), true
	}
	span := min(Horizon(live), limit.MinuteStart(r.Window+1).Sub(d.now))
	want := demand.expected(span, d.now) + d.granted
	return min(max(d.granted, min(want, share)), pool), false
}

// lowShare is the share of a lease, in percent, below which it is renewed.
const lowShare = 15

// sizing decides how large this instance's leases are, and when they are renewed.
type sizing struct {
	demand     demand
	leased     int64 // amount of the lease when it was taken
	renewBelow int64 // the lease is renewed when less than this is left
	scarce     bool  // the last write found the counter's amount scarce
}

// took records the amount of a lease that was just taken.
func (s *sizing) took(amount int64) { s.leased, s.renewBelow = amount, amount*lowShare/100 }

// low reports whether a lease with this much left should be renewed.
func (s *sizing) low(left int64) bool { return left < s.renewBelow && !s.scarce }
