package model

import (
	"slices"

	"tollgate/handler/limit"
)

// A share is the most that an instance may admit of a counter in a minute.
type share struct {
	minute int64 // the instance's minute when the outage began
	now    int64 // amount for that minute
	later  int64 // amount for any other minute
}

// shareOf returns an instance's share of a counter, by what it knows now.
func (s *state) shareOf(i, c int) share {
	view, _ := viewOf(&s.instances[i].parts[c].agent)
	now := s.moment(i).Time
	minute, floor := s.world.minute(limit.Minute(now)), s.world.Limits.PerMinute/4
	if view.Live == 0 {
		return share{minute, floor, floor}
	}
	whole := view.PerMinute / int64(view.Live)
	if view.Balance.Window == limit.Minute(now) {
		left := max(0, view.Left(now)/int64(view.Live))
		return share{minute, left, max(left, whole)}
	}
	return share{minute, whole, whole}
}

// noteShare updates an instance's share when it learns of the row while the store is
// down, by an answer that was on its way.
func (s *state) noteShare(i, c int) {
	if !s.down || len(s.outage.shares) == 0 {
		return
	}
	was, is := s.outage.shares[c][i], s.shareOf(i, c)
	s.outage.shares = slices.Clone(s.outage.shares)
	s.outage.shares[c] = slices.Clone(s.outage.shares[c])
	s.outage.shares[c][i] = share{was.minute, max(was.now, is.now), max(was.later, is.later)}
}

// An outage is the bound on what all instances admit while the store is down.
type outage struct {
	minute    int64     // when it began
	exact     bool      // each instance knew the rows as they were, or had never read them
	left      []int64   // what was left of each counter
	neverRead int       // instances that had never read them
	shares    [][]share // of each counter: each instance's share by what it knew, right or not
}

// shares returns the bound for an outage that begins now.
func (s *state) shares() outage {
	o := outage{minute: s.world.minute(limit.Minute(s.moment(0).Time)), exact: true, left: make([]int64, len(s.rows)), shares: make([][]share, len(s.rows))}
	for c := range s.rows {
		r := &s.rows[c]
		balance := r.row.At(r.row.Limits, s.moment(0).Time)
		o.left[c] = max(0, balance.Left(r.row.Limits, 0))
		for i := range s.instances {
			o.shares[c] = append(o.shares[c], s.shareOf(i, c))
			a := &s.instances[i].parts[c].agent
			view, version := viewOf(a)
			h := holdingOf(a)
			switch {
			case view.Live == 0:
				o.neverRead++
			case version != r.etag() || h.flying || h.reserved != 0 || h.excess != 0 || r.row.Window != limit.Minute(s.moment(i).Time):
				o.exact = false
			}
		}
	}
	return o
}

// most returns the most that all instances together may admit of a counter in a minute.
func (o *outage) most(c int, minute, perMinute int64) (most int64) {
	for _, one := range o.shares[c] {
		if minute == one.minute {
			most += one.now
		} else {
			most += one.later
		}
	}
	if !o.exact {
		return most
	}
	left := perMinute
	if minute == o.minute {
		left = o.left[c]
	}
	return min(most, left+int64(o.neverRead)*perMinute/4)
}

// checkShares checks that with Degrade all instances together admit no more than the sum
// of their shares: each one's share of what it knew to be left, or a quarter of the limit
// if it had never read the counter. If all knew the rows as they were, that is no more
// than what was left, plus the quarters.
func (s *state) checkShares(c int) {
	w := s.world
	if len(s.outage.left) == 0 || s.happened.Outages > 1 || s.happened.WrongTimes > 0 || w.Callers.Excess > 0 || w.Callers.Raise > 0 || w.Callers.Shadow || len(w.Newer) > 0 {
		return
	}
	admitted := make(map[int64]int64, 2)
	for i := range s.calls {
		k := &s.calls[i]
		if need := &k.needs[c]; need.held && need.degraded && k.onDown == limit.Degrade && k.phase != refused && k.phase != left {
			n := need.reserved
			if k.phase == settled {
				n = min(n, k.used)
			}
			admitted[w.minute(need.minute)] += n
		}
	}
	for m, n := range admitted {
		if most := s.outage.most(c, m, w.Limits.PerMinute); n > most {
			s.fail("shares", "got %d admitted without the store in minute %d, want at most %d", n, m, most)
		}
	}
}
