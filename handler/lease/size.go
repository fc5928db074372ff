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
	// plenty: if an instance's share holds fewer mean calls than this, the amount is
	// scarce.
	minCallsPerShare = 4
	// minShare is the share of the limit, over all instances, that a lease may
	// have however little is left. Without it leases halve again and again, a
	// write each.
	minShare = 0.02
	// demandMemory is the time constant of the moving averages of demand.
	demandMemory = 3 * time.Second
	// maxDemandAge: demand counts as zero this long after the last call.
	maxDemandAge = 2 * time.Second
	// learning is the weight of a call in the moving mean of what calls ask for.
	meanWeight = 0.2
)

// Horizon returns the time that a lease is meant to last, and within which
// usage is reported. It grows with the number of instances that share the
// counter.
func Horizon(live int) time.Duration {
	return max(minHorizon, time.Duration(float64(live)/writesPerSecond*float64(time.Second)))
}

// Expiry returns the time when a lease ends unless its holder writes again.
// Until then the instance is live.
func Expiry(live int, now time.Time) time.Time { return now.Add(2*Horizon(live) + time.Second) }

// Demand keeps moving averages of the amount that calls ask an instance for.
type Demand struct {
	rate float64 // amount a second
	mean float64 // amount a call
	last time.Time
}

// AddCall adds a call's request.
func (d *Demand) AddCall(amount int64, now time.Time) {
	if d.last.IsZero() {
		d.mean = float64(amount)
	}
	d.mean += meanWeight * (float64(amount) - d.mean)
	d.rate = d.decayed(now) + float64(amount)/demandMemory.Seconds()
	d.last = now
}

// AddExcess adds the amount that a call used beyond its request.
func (d *Demand) AddExcess(amount int64, now time.Time) {
	d.rate = d.decayed(now) + float64(amount)/demandMemory.Seconds()
	d.last = now
}

func (d *Demand) decayed(now time.Time) float64 {
	if d.last.IsZero() || now.Before(d.last) {
		return d.rate
	}
	return d.rate * math.Exp(-now.Sub(d.last).Seconds()/demandMemory.Seconds())
}

// within returns what calls will probably ask for in a time.
func (d *Demand) expected(span time.Duration, now time.Time) int64 {
	if now.Sub(d.last) >= maxDemandAge {
		return 0
	}
	return int64(min(d.decayed(now)*span.Seconds(), maxAmount))
}

// Size returns what the holder should have leased after a write,
// and whether it is scarce. Then an instance takes only what its calls
// ask for, so that the rest goes to instances with calls for it.
func (d *Draft) Size(demand *Demand, live int) (lease int64, scarce bool) {
	r := &d.Row
	pool := d.MaxLease()
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

// A sizing is how large this instance's leases are.
type sizing struct {
	demand     Demand
	leased     int64 // amount of the lease when it was taken
	renewBelow int64 // a lease with less left is renewed
	scarce     bool  // the last write found too little for leases
}

// took records a lease that was just taken.
func (s *sizing) took(amount int64) { s.leased, s.renewBelow = amount, amount*lowShare/100 }

// low reports whether a lease with this much left must be renewed.
func (s *sizing) low(left int64) bool { return left < s.renewBelow && !s.scarce }
