package model

import (
	"slices"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// check checks all invariants.
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
			s.fail("I2", "the counter is implausible: %+v", r.row)
		}
	}
}

// net returns what a call is charged to the minute of its lease: what
// it holds, and once its use is known, no more than that.
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

// charge returns what a call is charged in a counter altogether.
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

// perMinute returns the highest limit of a minute.
func (b *books) perMinute(m int64) (most int64) {
	for i, one := range b.perMinutes {
		if one.from > m {
			break
		}
		if one.from == m && i > 0 { // adopted in this minute: the ones before count too
			most = max(most, one.perMinute)
		} else {
			most = one.perMinute
		}
	}
	return most
}

// checkLimits checks I1: the charges of a minute, of successive minutes, and
// of a period.
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
			s.fail("I1", "a period was charged %d of a quota of %d", n, w.Limits.Quota)
		}
	}
}

// checkMinute checks a minute, and those before it, and returns its credit.
func (s *state) checkMinute(c int, m, credit int64, charged map[int64]int64) int64 {
	w, b := s.world, &s.books[c]
	if m > 0 {
		debt := b.excess[m-1]
		if b.repaired || w.Callers.Raise > 0 { // it may be charged after a later minute was spent, or taken back
			debt = 0
		}
		credit = min(b.perMinute(m)+w.Limits.Burst, credit-charged[m-1]-debt+b.perMinute(m))
	} else {
		credit += b.perMinute(0) - w.Limits.PerMinute
	}
	if charged[m] > max(0, credit) {
		s.fail("I1", "minute %d was charged %d of a credit of %d", m, charged[m], credit)
	}
	sum, most := int64(0), w.Limits.Burst
	for k := m; k >= 0; k-- {
		sum += charged[k]
		most += b.perMinute(k)
		if sum > most {
			s.fail("I1", "minutes %d to %d were charged %d, and may be %d", k, m, sum, most)
		}
	}
	return credit
}

// checkAccount checks I2 with the quota's account, which knows no minutes:
// charges less refunds equal what was settled, reserved and forfeited, less
// what isn't reported yet. So each token is charged once, whatever happens,
// and nothing stays charged for a call that was refused or whose caller left.
func (s *state) checkAccount(c int) {
	b, r := &s.books[c], &s.rows[c]
	if b.deleted || b.repaired || !r.exists || s.world.Limits.Quota == 0 || s.world.turnsPeriod() {
		return
	}
	must := b.forfeited - b.dropped + s.charges(c)
	for i := range s.instances {
		if s.instances[i].stage != closed {
			must -= s.unreported(i, c)
		}
	}
	for _, m := range s.messages {
		if m.counter == c {
			must -= m.orphan
		}
	}
	if r.row.PeriodSpent != must {
		s.fail("I2", "the period was charged %d, want %d", r.row.PeriodSpent, must)
	}
}

// turnsPeriod reports whether the world spans more than one period.
func (w *World) turnsPeriod() bool {
	return !w.Limits.Period.Start(w.Start).Equal(w.Limits.Period.Start(w.last().Add(max(0, w.Trouble.ClockError))))
}

// checkAlerts checks that what the row says was told has been told, or will be by the
// instance whose write that was.
func (s *state) checkAlerts(c int) {
	told := int(s.rows[c].row.Alerted)
	waits := slices.ContainsFunc(s.instances, func(n instance) bool { return len(n.parts) > 0 && n.parts[c].landed })
	if told > 0 && !waits && s.happened.Crashes == 0 && !slices.Contains(s.books[c].alerts, told) {
		s.fail("alerts", "nobody was told of %d percent", told)
	}
}

// checkLease is I3: what an instance holds was leased to it, and it has spent no
// more.
func (s *state) checkLease(i, c int) {
	p := &s.instances[i].parts[c]
	h := holdingOf(&p.agent)
	if h.left < 0 {
		s.fail("I3", "instance %d holds %d tokens", i, h.left)
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
			s.fail("I3", "instance %d holds %d and reserved %d of a lease of %d", i, h.left+given, reserved, slot.Leased)
		}
	}
}

// checkReport checks that an agent that rests with something to report will
// report it, whether or not another call comes.
func (s *state) checkReport(i, c int) {
	p := &s.instances[i].parts[c]
	h := holdingOf(&p.agent)
	if p.op == nil && s.instances[i].stage != closed && (h.reserved != 0 || h.refunds != 0 || h.excess != 0) && p.agent.Due(s.moment(i)) >= lease.Never {
		s.fail("reports", "instance %d never reports %d reserved, %d given back and %d beyond its lease", i, h.reserved, h.refunds, h.excess)
	}
}

// checkQueue checks an agent's queue while the agent rests: no call waits longer
// than it may, or for nothing.
func (s *state) checkQueue(i, c int) {
	p, at := &s.instances[i].parts[c], s.moment(i)
	waits := queueOf(&p.agent)
	due := p.agent.Due(at)
	if len(waits) == 0 || due <= 0 || s.instances[i].stage == closed || s.instances[i].clockError != 0 {
		return
	}
	view, _ := viewOf(&p.agent)
	claims := int64(0)
	first := slices.IndexFunc(waits, func(e entry) bool { return !e.claimed })
	for place, one := range waits {
		n, k := one.id, &s.calls[one.id]
		if claims += one.claim; one.settled() {
			continue
		}
		over := at.Time.Sub(s.world.time(k.arrivedAt).Add(k.wait))
		fits := place == first && s.known(i, c)-claims >= s.asks(n, c)
		if k.wait > 0 && over >= 0 && p.op == nil && view.Live > 0 && !fits && s.world.Trouble.WrongTimes == 0 {
			s.fail("Q1", "call %d waits %v longer than it may", n, over)
		}
	}
	if p.op != nil || s.pausing(i, c) > 0 && due <= longestPause || first < 0 {
		return
	}
	if due >= lease.Never && !slices.ContainsFunc(waits, entry.settled) {
		s.fail("Q1", "%d calls wait for nothing", len(waits))
	}
	h, ask := holdingOf(&p.agent), s.asks(waits[first].id, c)
	if s.world.Callers.MinAsk > 0 {
		return
	}
	if usable(h, at.Time) && h.left-claims >= ask {
		s.fail("Q2", "the first call waits for %d while its instance has %d in hand", ask, h.left-claims)
	}
	if left := s.known(i, c) - claims; left >= ask && !h.flying {
		s.fail("Q2", "the first call waits for %d while %d are known to be left", ask, left)
	}
}

// asks returns what a call asks of a counter.
func (s *state) asks(n int64, c int) int64 {
	if more := s.world.Callers.AskElsewhere; c > 0 && more > 0 {
		return more
	}
	return s.calls[n].ask
}

func usable(h holding, now time.Time) bool {
	return h.window >= limit.Minute(now) && now.Unix() < h.expiry
}

// known returns what a call of a node could have, as far as its
// agent knows.
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

// checkAnswer checks a call's answer when it is given: its order, its lease's
// end, and that what is refused isn't there.
func (s *state) checkAnswer(n, c int, reply lease.Answer) {
	k := &s.calls[n]
	now := s.moment(k.owner).Time
	fromLease := reply.Held && !reply.Decision.Degraded && reply.Decision.Verdict == limit.Granted
	if fromLease {
		if h := holdingOf(&s.instances[k.owner].parts[c].agent); reply.Hold.Window < limit.Minute(now) || now.Unix() >= h.expiry && s.instances[k.owner].parts[c].unfrozen == nil {
			s.fail("I5", "a lease was spent after its end")
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

// checkRefusal checks I7: a refusal means that the tokens aren't there. It
// applies where one instance alone must know exactly what there is: in the
// first minute, with no write in doubt, nothing forfeited, and nobody ahead.
func (s *state) checkRefusal(n, c int) {
	w, k, b := s.world, &s.calls[n], &s.books[c]
	at := s.moment(k.owner).Time
	changed := b.deleted || b.repaired || s.happened.WrongTimes > 0 || s.instances[k.owner].tier > 0 || w.turnsPeriod() || b.forfeited+b.dropped != 0
	troubled := s.happened.Faults+s.happened.Crashes+s.happened.Outages+s.happened.Stops > 0
	if w.Instances > 1 || changed || troubled || w.minute(limit.Minute(at)) != 0 || s.ahead(n, c) || len(w.Times) > 1 && s.instances[k.owner].at != k.arrivedAt {
		return
	}
	credit := w.credit()
	if w.Absent { // it was made now, and carries nothing
		credit = w.Limits.PerMinute
	}
	left := min(credit, w.Limits.Quota)
	for i := range s.calls {
		if s.calls[i].phase != waiting { // a call that waits may yet give back what it holds
			left -= s.calls[i].charge(c)
		}
	}
	if need := (limit.Ask{Amount: s.asks(int64(n), c), Min: w.Callers.MinAsk}).Needed(); need <= left {
		s.fail("I7", "%d tokens were refused while %d were left", need, left)
	}
}

// ahead reports whether calls wait before a call in a counter, of which it isn't known
// yet that they will have nothing.
func (s *state) ahead(n, c int) bool {
	return slices.ContainsFunc(queueOf(&s.instances[s.calls[n].owner].parts[c].agent), func(e entry) bool { return !e.settled() && e.id < int64(n) })
}

// An outage is the bound on what all instances admit while the store is down.
type outage struct {
	minute    int64     // when it began
	exact     bool      // each instance knew the rows as they were, or had never read them
	left      []int64   // of each counter
	neverRead int       // instances that had never read them
	shares    [][]share // of each counter: each instance's, of what it knew, right or not
}
