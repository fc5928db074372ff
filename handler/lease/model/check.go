package model

import (
	"slices"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// check checks everything that must hold in a state.
func (s *state) check() {
	s.checkJoints()
	s.checkQuestions()
	for c := range s.rows {
		s.checkLimits(c)
		s.checkAccount(c)
		s.checkShares(c)
		s.checkAlerts(c)
		for i := range s.instances {
			s.checkLease(i, c)
			s.checkReport(i, c)
			s.checkQueue(i, c)
		}
		if r := &s.rows[c]; r.exists && !r.row.Plausible(s.world.last().Add(max(0, s.world.Trouble.ClockError))) {
			s.fail("I2", "got the implausible row %+v, want a plausible one", r.row)
		}
	}
}

// net returns what a call is charged to the minute of its lease: what it has reserved
// of it, or less if it turns out to use less.
func (k *call) net(c int) int64 {
	need := &k.needs[c]
	switch {
	case !need.held || need.degraded || need.uncharged:
		return 0
	case k.phase == settled:
		return min(k.used, need.hold.Amount)
	case k.phase == refused || k.phase == left:
		return 0
	}
	return need.hold.Amount
}

// charge returns what a call is charged in a counter in all.
func (k *call) charge(c int) int64 {
	need := &k.needs[c]
	switch {
	case !need.held || need.uncharged:
		return 0
	case k.phase == settled:
		return k.used
	case k.phase == refused || k.phase == left:
		return 0
	}
	return need.hold.Held()
}

// perMinute returns the highest limit that applied in a minute.
func (b *books) perMinute(m int64) (most int64) {
	for i, one := range b.perMinutes {
		if one.from > m {
			break
		}
		if one.from == m && i > 0 { // adopted in this minute: earlier limits applied in it too
			most = max(most, one.perMinute)
		} else {
			most = one.perMinute
		}
	}
	return most
}

// checkLimits checks I1: the charges of each minute, of successive minutes, and of each
// period are within the limits.
func (s *state) checkLimits(c int) {
	w, b := s.world, &s.books[c]
	if b.deleted {
		return
	}
	charged := make(map[int64]int64, 4)
	last := int64(0)
	for m, n := range b.covered {
		charged[m] += n
		last = max(last, m)
	}
	for i := range s.calls {
		if n := s.calls[i].net(c); n > 0 {
			m := w.minute(s.calls[i].needs[c].minute)
			charged[m] += n
			last = max(last, m)
		}
	}
	periods := make(map[int64]int64, 2)
	credit := w.credit()
	for m := int64(0); m <= last; m++ {
		n := charged[m]
		periods[w.Limits.Period.Start(limit.MinuteStart(limit.Minute(w.Start)+m)).Unix()] += n
		if w.Limits.PerMinute > 0 {
			credit = s.checkMinute(c, m, credit, charged)
		}
	}
	for _, n := range periods {
		if w.Limits.Quota > 0 && n > w.Limits.Quota {
			s.fail("I1", "got %d charged to a period, want at most the quota of %d", n, w.Limits.Quota)
		}
	}
}

// checkMinute checks the charges of a minute, and of each run of minutes that ends with
// it. credit is that of the minute before, charged what was charged to each minute. It
// returns the minute's credit.
func (s *state) checkMinute(c int, m, credit int64, charged map[int64]int64) int64 {
	w, b := s.world, &s.books[c]
	if m > 0 {
		debt := b.excess[m-1]
		if b.repaired || w.Callers.Raise > 0 { // the debt may be charged only after a later minute was spent, or be taken back
			debt = 0
		}
		credit = min(b.perMinute(m)+w.Limits.Burst, credit-charged[m-1]-debt+b.perMinute(m))
	} else {
		credit += b.perMinute(0) - w.Limits.PerMinute
	}
	if charged[m] > max(0, credit) {
		s.fail("I1", "got %d charged to minute %d, want at most its credit of %d", charged[m], m, credit)
	}
	sum, most := int64(0), w.Limits.Burst
	for k := m; k >= 0; k-- {
		sum += charged[k]
		most += b.perMinute(k)
		if sum > most {
			s.fail("I1", "got %d charged to minutes %d to %d, want at most %d", sum, k, m, most)
		}
	}
	return credit
}

// checkAccount checks I2 by the quota, which has one sum for all minutes: charges less
// refunds equal what was settled, reserved and forfeited, less what isn't reported yet.
// So each token is charged once, whatever happens, and nothing stays charged for a call
// that was refused or whose caller left.
func (s *state) checkAccount(c int) {
	b, r := &s.books[c], &s.rows[c]
	if b.deleted || b.repaired || !r.exists || s.world.Limits.Quota == 0 || s.world.turnsPeriod() {
		return
	}
	want := b.forfeited - b.dropped + s.charges(c)
	for i := range s.instances {
		if s.instances[i].stage != closed {
			want -= s.unreported(i, c)
		}
	}
	for _, m := range s.messages {
		if m.counter == c {
			want -= m.orphan
		}
	}
	if r.row.PeriodSpent != want {
		s.fail("I2", "got %d charged to the period, want %d", r.row.PeriodSpent, want)
	}
}

// turnsPeriod reports whether the world spans more than one period.
func (w *World) turnsPeriod() bool {
	return !w.Limits.Period.Start(w.Start).Equal(w.Limits.Period.Start(w.last().Add(max(0, w.Trouble.ClockError))))
}

// checkAlerts checks that there was an alert for the percent in the row, or that an
// instance may yet learn that its write was applied, and give it.
func (s *state) checkAlerts(c int) {
	percent := int(s.rows[c].row.Alerted)
	pending := slices.ContainsFunc(s.instances, func(n instance) bool { return len(n.parts) > 0 && n.parts[c].landed })
	if percent > 0 && !pending && s.happened.Crashes == 0 && !slices.Contains(s.books[c].alerts, percent) {
		s.fail("alerts", "got no alert for %d percent, want one", percent)
	}
}

// checkLease checks I3: what an instance holds or has reserved was leased to it.
func (s *state) checkLease(i, c int) {
	p := &s.instances[i].parts[c]
	h := holdingOf(&p.agent)
	if h.left < 0 {
		s.fail("I3", "got %d left of the lease of instance %d, want 0 or more", h.left, i)
	}
	if !s.rows[c].exists || !h.joined || h.left == 0 {
		return
	}
	reserved, given := h.reserved, int64(0)
	if h.flying && !p.landed {
		reserved, given = reserved+h.flight.reserved, h.flight.returned
	}
	for _, slot := range s.rows[c].row.Slots {
		if slot.ID == h.id && !slot.Gone && h.left+reserved+given > slot.Leased {
			s.fail("I3", "got %d held and %d reserved by instance %d, want no more than its lease of %d", h.left+given, reserved, i, slot.Leased)
		}
	}
}

// checkReport checks that an agent that rests with something to report will report it,
// even if no other call comes.
func (s *state) checkReport(i, c int) {
	p := &s.instances[i].parts[c]
	h := holdingOf(&p.agent)
	if p.op == nil && s.instances[i].stage != closed && (h.reserved != 0 || h.refunds != 0 || h.excess != 0) && p.agent.Due(s.moment(i)) >= lease.Never {
		s.fail("reports", "instance %d rests for ever with %d reserved, %d refunded and %d of excess to report", i, h.reserved, h.refunds, h.excess)
	}
}

// checkQueue checks the queue of an agent that rests: no call waits longer than it may
// or for nothing (Q1), and the first call doesn't wait while it fits (Q2).
func (s *state) checkQueue(i, c int) {
	p, at := &s.instances[i].parts[c], s.moment(i)
	waits := queueOf(&p.agent)
	due := p.agent.Due(at)
	if len(waits) == 0 || due <= 0 || s.instances[i].stage == closed || s.instances[i].clockError != 0 || p.op != nil {
		return
	}
	s.checkOverdue(i, c)
	h, claims := holdingOf(&p.agent), int64(0)
	first := slices.IndexFunc(waits, func(e entry) bool { return !e.claimed })
	for _, one := range waits {
		if one.blocked && claims == 0 && !h.flying {
			s.fail("Q1", "call %d waits for a claim to end, and no call ahead of it has one", one.id)
		}
		claims += one.claim
	}
	if s.pausing(i, c) > 0 && due <= longestPause {
		return
	}
	if claims > h.left || claims > 0 && !usable(h, at.Time) {
		s.fail("Q1", "calls have claims of %d on a lease of minute %d that has %d left", claims, s.world.minute(h.window), h.left)
	}
	if first < 0 {
		return
	}
	if due >= lease.Never && claims == 0 {
		s.fail("Q1", "%d calls wait, and their agent rests for ever", len(waits))
	}
	ask := s.asks(waits[first].id, c)
	if s.world.Callers.MinAsk > 0 {
		return
	}
	if usable(h, at.Time) && h.left-claims >= ask {
		s.fail("Q2", "the first call waits for %d while its instance has %d of its lease", ask, h.left-claims)
	}
	if left := s.known(i, c) - claims; left >= ask && !h.flying {
		s.fail("Q2", "the first call waits for %d while %d are known to be left", ask, left)
	}
}

// checkOverdue checks Q1 while an agent's operation is under way, or it rests: no call waits
// whose time is over, except calls that the operation grants an amount, and calls without a
// claim that fit together with those ahead of them beside no claim, as far as is known.
func (s *state) checkOverdue(i, c int) {
	p := &s.instances[i].parts[c]
	waits := queueOf(&p.agent)
	if view, _ := viewOf(&p.agent); view.Live == 0 || s.world.Trouble.WrongTimes > 0 || s.world.Callers.MinAsk > 0 {
		return
	}
	need := int64(0)
	for _, one := range waits {
		if one.claimedOrBlocked() {
			continue
		}
		need += s.asks(one.id, c)
		granted := one.granted > 0 && p.op != nil && p.op.action == lease.Send
		if s.overdue(one) && !granted && need > s.known(i, c) {
			s.fail("Q1", "call %d waits although its time is over", one.id)
		}
	}
}

// asks returns the amount that a call asks of a counter.
func (s *state) asks(n int64, c int) int64 {
	if more := s.world.Callers.AskElsewhere; c > 0 && more > 0 {
		return more
	}
	return s.calls[n].ask
}

// usable reports whether calls may spend a lease at a time.
func usable(h holding, now time.Time) bool {
	return h.window >= limit.Minute(now) && now.Unix() < h.expiry
}

// known returns the amount that a call at an instance could have, as far as its agent
// knows.
func (s *state) known(i, c int) int64 {
	a, now := &s.instances[i].parts[c].agent, s.moment(i).Time
	view, _ := viewOf(a)
	h, balance := holdingOf(a), view.At(now)
	own := -h.allExcess()
	if usable(h, now) {
		own += h.left
	}
	return balance.Left(view.Limits, own)
}

// checkAnswer checks a call's Answer when it is given: that it comes in the order of the
// queue (Q3), that its lease hasn't ended (I5), and that what it refuses isn't there (I7).
func (s *state) checkAnswer(n, c int, reply lease.Answer) {
	k := &s.calls[n]
	now := s.moment(k.owner).Time
	fromLease := reply.Held && !reply.Decision.Degraded && reply.Decision.Verdict == limit.Granted
	if fromLease {
		if h := holdingOf(&s.instances[k.owner].parts[c].agent); reply.Hold.Window < limit.Minute(now) || now.Unix() >= h.expiry && s.instances[k.owner].parts[c].unfrozen == nil {
			s.fail("I5", "got call %d granted by a lease of minute %d in minute %d, want a lease that hasn't ended", n, s.world.minute(reply.Hold.Window), s.world.minute(limit.Minute(now)))
		}
		for _, other := range queueOf(&s.instances[k.owner].parts[c].agent) {
			if int(other.id) < n && s.calls[other.id].phase == waiting && !other.claimed {
				s.fail("Q3", "call %d was granted before call %d, which came first", n, other.id)
			}
		}
	}
	if refusal := reply.Decision.Verdict; !reply.Held && !reply.Down && !reply.Decision.Degraded && (refusal == limit.RateExceeded || refusal == limit.QuotaExceeded) {
		s.checkRefusal(n, c)
	}
}

// checkRefusal checks I7: an amount that is refused isn't there. It is checked only when
// a single instance must know exactly what is there: in the first minute, without faults,
// with nothing forfeited, and with no call ahead.
func (s *state) checkRefusal(n, c int) {
	w, k, b := s.world, &s.calls[n], &s.books[c]
	at := s.moment(k.owner).Time
	changed := b.deleted || b.repaired || s.happened.WrongTimes > 0 || s.instances[k.owner].tier > 0 || w.turnsPeriod() || b.forfeited+b.dropped != 0
	troubled := s.happened.Faults+s.happened.Crashes+s.happened.Outages+s.happened.Stops > 0
	if w.Instances > 1 || changed || troubled || w.minute(limit.Minute(at)) != 0 || s.ahead(n, c) || len(w.Times) > 1 && s.instances[k.owner].at != k.arrivedAt {
		return
	}
	credit := w.credit()
	if w.Absent { // the row was made in this minute, without the burst
		credit = w.Limits.PerMinute
	}
	left := min(credit, w.Limits.Quota)
	for i := range s.calls {
		if s.calls[i].phase != waiting { // a call that waits may yet give back what it holds
			left -= s.calls[i].charge(c)
		}
	}
	if need := (limit.Ask{Amount: s.asks(int64(n), c), Min: w.Callers.MinAsk}).Needed(); need <= left {
		s.fail("I7", "got a refusal of %d, want it granted: %d were left", need, left)
	}
}

// ahead reports whether undecided calls are ahead of a call at a counter.
func (s *state) ahead(n, c int) bool {
	return slices.ContainsFunc(queueOf(&s.instances[s.calls[n].owner].parts[c].agent), func(e entry) bool { return !e.claimedOrBlocked() && e.id < int64(n) })
}
