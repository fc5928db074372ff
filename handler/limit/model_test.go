package limit

import (
	"fmt"
	"slices"
	"time"
)

// The model: instances, their messages and the one counter, small enough that
// every order of events can be gone through. All that it decides by is State and
// Holder; it adds what lies between them (requests that are late, lost or
// delivered twice, crashes, clocks) and knows what each call was told.

// settings bound a world.
type settings struct {
	name      string
	instances int
	limits    Limits
	minutes   int64 // that clocks reach
	apart     int64 // minutes, at most, that clocks differ
	calls     int
	largest   int64   // a call's reservation
	excess    int64   // that a call takes beyond it
	leases    []int64 // that commits ask for
	commits   int     // of each instance
	late      int     // writes whose answer doesn't come in time, of all
	crashes   int
	reclaims  int
	deletes   int
	wrong     fault
}

// fault is a rule left out on purpose.
type fault int

const (
	right fault = iota
	checksFirst
	carryForgetsLeases
	reclaimReturns
	forgetsDoubt
	noTombstone
	noFreeze
	reusesSlot
)

// model is a state of the world.
type model struct {
	*settings
	entity  State
	version int // of the entity: its ETag
	epochs  int
	member  []member
	calls   []call
	spentBy [3]int64 // excess charged to each minute
	late, crashes, reclaims, deletes,
	lostRequests int // calls settled by an instance that crashed before it told, at most
	lostTokens int64
	forfeits   int64
	broken     string // the invariant that doesn't hold
}

// member is an instance, and the write that it has on the way.
type member struct {
	Holder
	alive    bool
	life     int
	clock    int64
	commits  int
	body     *Body // sent; nil: nothing is on the way
	base     int   // the version that it was sent for
	copies   int   // on the way
	applied  bool
	print    uint64 // of body's State
	old      *Body  // another that may still land, where doubt was forgotten
	oldBase  int
	oldPrint uint64
}

// call is a reservation and what it was told.
type call struct {
	owner, life int
	charge      Charge
	usage       int64
	settled     bool
}

func newModel(s *settings) *model {
	m := &model{settings: s, entity: New(s.limits, time.Unix(0, 0), "e0"), member: make([]member, s.instances)}
	for i := range m.member {
		m.member[i].alive = true
	}
	return m
}

// clone is a copy that shares only what never changes.
func (m *model) clone() *model {
	c := *m
	c.member, c.calls = slices.Clone(m.member), slices.Clone(m.calls)
	for i := range c.member {
		h := &c.member[i].Holder
		h.pending.refunds = slices.Clone(h.pending.refunds)
		if h.flight != nil {
			b := *h.flight
			b.report.refunds = slices.Clone(b.report.refunds)
			h.flight = &b
		}
	}
	return &c
}

// event is one step of the world.
type event struct {
	what string
	who  int
	n    int64
}

func (e event) String() string { return fmt.Sprintf("%s %d (%d)", e.what, e.who, e.n) }

// events are all that may ever happen.
func (s *settings) events() []event {
	var all []event
	for i := range s.instances {
		for _, what := range []string{"tick", "deliver", "deliver old", "lose", "answer", "resolve", "crash", "reclaim", "purge"} {
			all = append(all, event{what, i, 0})
		}
		for n := int64(1); n <= s.largest; n++ {
			all = append(all, event{"take", i, n})
		}
		for _, lease := range s.leases {
			all = append(all, event{"commit", i, lease}, event{"commit late", i, lease})
		}
	}
	for c := range s.calls {
		for n := int64(0); n <= s.largest+s.excess; n++ {
			all = append(all, event{"settle", c, n})
		}
	}
	if s.deletes > 0 {
		all = append(all, event{"delete", 0, 0})
	}
	return all
}

// step makes an event happen, where it can.
func (m *model) step(e event) bool {
	if e.what == "settle" {
		return m.settle(e.who, e.n)
	}
	p := &m.member[e.who]
	if !p.alive && e.what != "deliver" && e.what != "reclaim" && e.what != "purge" && e.what != "delete" {
		return false
	}
	switch e.what {
	case "tick":
		return m.tick(p)
	case "take":
		return m.take(e.who, e.n)
	case "commit", "commit late":
		return m.commit(e.who, e.n, e.what == "commit late")
	case "deliver", "deliver old":
		return m.deliver(p, e.what == "deliver old")
	case "lose":
		return p.copies > 0 && m.lose(p)
	case "answer":
		return m.answer(p)
	case "resolve":
		return m.resolve(p)
	case "crash":
		return m.crash(e.who)
	case "reclaim", "purge":
		return m.end(e.who, e.what == "purge")
	}
	return m.delete()
}

func (m *model) tick(p *member) bool {
	for i := range m.member {
		if other := &m.member[i]; other.alive && p.clock+1 > other.clock+m.apart {
			return false
		}
	}
	p.clock++
	return p.clock < m.minutes
}

// now is the time as an instance has it.
func (p *member) now() time.Time { return MinuteStart(p.clock) }

func (m *model) take(who int, n int64) bool {
	p := &m.member[who]
	if len(m.calls) >= m.settings.calls {
		return false
	}
	charge, ok := p.Take(n, p.now())
	if m.wrong == checksFirst {
		minute, _ := m.entity.left()
		charge, ok = Charge{Tokens: n, Window: m.entity.Window, epoch: m.entity.Epoch}, minute >= n
	}
	if !ok {
		return false
	}
	if charge.Window < p.clock && m.wrong == right {
		m.broken = "I6: a minute's lease was spent after its minute"
	}
	m.calls = append(m.calls, call{owner: who, life: p.life, charge: charge})
	return true
}

func (m *model) settle(which int, usage int64) bool {
	if which >= len(m.calls) {
		return false
	}
	c := &m.calls[which]
	p := &m.member[c.owner]
	if c.settled || !p.alive || p.life != c.life || usage > c.charge.Tokens+m.excess {
		return false
	}
	c.settled, c.usage = true, usage
	if m.wrong == checksFirst {
		p.Holder.Settle(Owed(), Usage{PromptTokens: usage})
		return true
	}
	left, window := p.left, p.window
	p.Holder.Settle(c.charge, Usage{PromptTokens: usage})
	if usage > c.charge.Tokens && left > p.left {
		m.spentBy[window] += left - p.left
	}
	return true
}

// commit reads the counter and sends a write, which lands and is answered at
// once, or doesn't.
func (m *model) commit(who int, lease int64, late bool) bool {
	p := &m.member[who]
	if p.body != nil || p.commits >= m.commits || late && m.late >= m.settings.late {
		return false
	}
	if lease == 0 && p.Silent() && p.left == 0 {
		return false // says nothing
	}
	before := m.entity
	d := p.Draft(m.entity, m.limits, p.now())
	if m.wrong == carryForgetsLeases && d.State.Window > before.Window {
		d.State.Credit = min(d.State.TokensPerMinute+d.State.Burst, d.State.Credit+before.leased())
	}
	m.refuses(who, d)
	frozen, open := p.left, p.open
	body, err := p.Commit(d, lease, MinuteStart(1<<20), func() string { return fmt.Sprintf("%d.%d.%d", who, p.life, p.commits) })
	if err != nil {
		panic(err)
	}
	if m.wrong == noFreeze {
		p.left, p.open = frozen, open
	}
	p.commits++
	p.body, p.base, p.copies, p.applied, p.print = body, m.version, 1, false, fingerprint(&body.State)
	if late {
		m.late++
		return true
	}
	m.deliver(p, false)
	m.answer(p)
	return true
}

// refuses holds I7: what isn't granted isn't there, or is in others' hands.
func (m *model) refuses(who int, d *Draft) {
	if m.settings.crashes+m.settings.reclaims+m.settings.deletes > 0 || m.minutes > 2 || m.limits.Quota > 0 || m.wrong != right {
		return
	}
	elsewhere := int64(0)
	for i := range m.member {
		p := &m.member[i]
		if slot := d.State.slot(p.id); i != who && p.id != "" && slot != nil {
			elsewhere += slot.Leased
		}
		if i == who {
			continue
		}
		for _, r := range p.pending.refunds {
			elsewhere += r.tokens
		}
		if p.Holder.flight != nil {
			for _, r := range p.Holder.flight.report.refunds {
				elsewhere += r.tokens
			}
			elsewhere += max(0, -p.Holder.flight.consumed)
		}
		elsewhere += max(0, -p.consumed)
	}
	credit, charged := m.credit(d.State.Window)
	for n := int64(1); n <= m.largest; n++ {
		probe := *d
		if probe.Decide(Ask{Tokens: n}).Verdict != Granted && credit-charged-elsewhere >= n && n <= m.limits.TokensPerMinute+m.limits.Burst {
			m.broken = fmt.Sprintf("I7: %d tokens were refused of %d, %d charged, %d elsewhere", n, credit, charged, elsewhere)
		}
	}
}

// deliver has a copy of a request arrive: it is applied where the counter is
// still the one that it was sent for.
func (m *model) deliver(p *member, old bool) bool {
	body, base := p.body, p.base
	if old {
		body, base, p.old, p.oldPrint = p.old, p.oldBase, nil, 0
	}
	if body == nil || !old && p.copies == 0 {
		return false
	}
	if !old {
		p.copies--
	}
	if base != m.version {
		return true
	}
	m.entity = body.State.Clone()
	m.version++
	m.spentBy[m.entity.Window] += body.report.excess
	if !old {
		p.applied = true
	}
	return true
}

func (m *model) lose(p *member) bool {
	p.copies--
	return true
}

// answer has the instance told that its write was applied.
func (m *model) answer(p *member) bool {
	if p.body == nil || !p.applied {
		return false
	}
	p.Landed()
	p.done()
	return true
}

// done forgets a request. Copies that are still on the way find another counter.
func (p *member) done() { p.body, p.copies, p.applied, p.print = nil, 0, false, 0 }

// resolve has the instance read what became of its write.
func (m *model) resolve(p *member) bool {
	if p.body == nil {
		return false
	}
	body, changed := p.body, p.base != m.version
	if m.wrong == forgetsDoubt && !changed {
		p.old, p.oldBase, p.oldPrint = body, p.base, p.print
		changed = true
	}
	read := m.entity.Clone()
	known, _ := p.Resolve(&read, changed, p.now())
	if !known {
		if p.copies >= 2 {
			return false
		}
		p.copies++
		return true
	}
	p.done()
	return true
}

func (m *model) crash(who int) bool {
	if m.crashes >= m.settings.crashes {
		return false
	}
	m.crashes++
	p := &m.member[who]
	m.lostRequests += int(p.pending.happened.Requests)
	if p.body != nil && !p.applied {
		m.lostRequests += int(p.body.report.happened.Requests)
	}
	id, seq, commits := p.id, p.seq, p.commits
	p.Holder = Holder{}
	p.life++
	if m.wrong == reusesSlot {
		p.Holder = Holder{id: id, seq: seq, joined: id != "", epoch: m.entity.Epoch}
		if slot := m.entity.slot(id); slot != nil && !slot.Gone {
			p.open, p.window, p.left, p.expiry, p.period = true, slot.Window, slot.Leased, slot.Expiry, m.entity.PeriodStart
		}
		p.done()
		return true
	}
	p.alive, p.commits = false, commits
	if p.copies == 0 {
		p.done()
	}
	return true
}

// end takes an instance for dead, at any time whatever, or drops its tombstone
// when none of its writes is in doubt.
func (m *model) end(who int, purge bool) bool {
	p := &m.member[who]
	for i := range m.entity.Slots {
		slot := m.entity.Slots[i]
		if slot.ID[0] != byte('0'+who) || slot.Gone != purge {
			continue
		}
		if purge && p.body != nil || !purge && m.reclaims >= m.settings.reclaims {
			continue
		}
		m.version++
		m.entity = m.entity.Clone()
		if purge {
			m.entity.Slots = slices.Delete(m.entity.Slots, i, i+1)
			return true
		}
		m.reclaims++
		m.forfeits += slot.Leased
		m.entity.reclaim(&m.entity.Slots[i], MinuteStart(0))
		switch m.wrong {
		case reclaimReturns:
			if slot.Window == m.entity.Window {
				m.entity.Spent -= slot.Leased
			}
		case noTombstone:
			m.entity.Slots = slices.Delete(m.entity.Slots, i, i+1)
		}
		return true
	}
	return false
}

// delete has someone delete the entity, which the next write makes anew.
func (m *model) delete() bool {
	if m.deletes >= m.settings.deletes {
		return false
	}
	m.deletes++
	m.version++
	window := m.entity.Window
	m.entity = New(m.limits, MinuteStart(window), fmt.Sprintf("e%d", m.deletes))
	return true
}
