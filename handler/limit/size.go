package limit

import (
	"math"
	"time"
)

const (
	// minHorizon is the shortest time that a lease is meant to last.
	minHorizon = 5 * time.Second
	// writesPerSecond bounds what all instances together write of one counter by
	// lengthening the horizon: a conditional write takes 5-20 ms, one at a time, so
	// much beyond it they'd mostly conflict.
	writesPerSecond = 6.4
	// plenty is how many mean calls an instance's share must hold for leases
	// beyond what is asked for.
	plenty = 4
	// minShare is the share of the limit, over all instances, that a lease may
	// have however little is left: without it leases halve and halve again, a
	// write each.
	minShare = 0.02
	// demandMemory is the time constant of the moving averages of demand.
	demandMemory = 3 * time.Second
	// demandKept is how long after the last call demand is expected to go on.
	maxDemandAge = 2 * time.Second
	// learning is the weight of a call in the moving mean of what calls ask for.
	learning = 0.2
)

// Horizon is the time that a lease is meant to last, the same within which
// what happened is reported: longer the more instances share a counter.
func Horizon(live int) time.Duration {
	return max(minHorizon, time.Duration(float64(live)/writesPerSecond*float64(time.Second)))
}

// Expiry is when the lease of a write ends unless its holder writes again. An
// instance is live until then.
func Expiry(live int, now time.Time) time.Time { return now.Add(2*Horizon(live) + time.Second) }

// Demand is what calls ask an instance for, as moving averages.
type Demand struct {
	rate float64 // tokens a second
	mean float64 // tokens a call
	last time.Time
}

// Note takes in a call.
func (d *Demand) AddCall(tokens int64, now time.Time) {
	if d.last.IsZero() {
		d.mean = float64(tokens)
	}
	d.mean += learning * (float64(tokens) - d.mean)
	d.rate = d.decayed(now) + float64(tokens)/demandMemory.Seconds()
	d.last = now
}

// Excess takes in what a call took beyond what it had asked for.
func (d *Demand) AddExcess(tokens int64, now time.Time) {
	d.rate = d.decayed(now) + float64(tokens)/demandMemory.Seconds()
	d.last = now
}

func (d *Demand) decayed(now time.Time) float64 {
	if d.last.IsZero() || now.Before(d.last) {
		return d.rate
	}
	return d.rate * math.Exp(-now.Sub(d.last).Seconds()/demandMemory.Seconds())
}

// within is how many tokens calls will ask for in a time.
func (d *Demand) within(span time.Duration, now time.Time) int64 {
	if now.Sub(d.last) >= maxDemandAge {
		return 0
	}
	return int64(min(d.decayed(now)*span.Seconds(), maxAmount))
}

// Size is how many tokens the holder should have leased after a write, and
// whether tokens are scarce: then nobody takes more than is asked for, so that
// they go to whoever has a call for them.
func (d *Draft) Size(demand *Demand, live int) (lease int64, scarce bool) {
	s := &d.State
	pool := d.Pool()
	share := (pool - d.lease) / int64(max(live, 1))
	if s.TokensPerMinute > 0 {
		share = max(share, int64(minShare*float64(s.TokensPerMinute))/int64(max(live, 1)))
	}
	if float64(share) < plenty*demand.mean {
		return min(d.asked, pool), true
	}
	span := min(Horizon(live), MinuteStart(s.Window+1).Sub(d.now))
	want := demand.within(span, d.now) + d.asked
	return min(max(d.asked, min(want, share)), pool), false
}
