package limit

// credit is what a minute may be charged and what it was, by what calls were
// told alone.
func (m *model) credit(window int64) (credit, charged int64) {
	credit = m.limits.TokensPerMinute
	for minute := int64(0); ; minute++ {
		charged = 0
		for _, c := range m.calls {
			if c.charge.Window == minute {
				charged += c.net()
			}
		}
		charged += m.spentBy[minute]
		if minute == window {
			return credit, charged
		}
		credit = min(m.limits.TokensPerMinute+m.limits.Burst, credit-charged+m.limits.TokensPerMinute)
	}
}

// net is what the call took of its reservation, or may yet.
func (c *call) net() int64 {
	if c.settled {
		return min(c.usage, c.charge.Tokens)
	}
	return c.charge.Tokens
}

// check names the invariant that doesn't hold, if there is one.
func (m *model) check() string {
	if m.broken != "" {
		return m.broken
	}
	if m.deletes == 0 {
		if broken := m.checkLimits(); broken != "" {
			return broken
		}
	}
	if broken := m.checkReports(); broken != "" {
		return broken
	}
	for _, slot := range m.entity.Slots {
		if slot.Leased < 0 {
			return "I3: more was spent than leased"
		}
	}
	for i := range m.member {
		if m.member[i].left < 0 {
			return "I3: more was reserved than leased"
		}
	}
	if m.entity.Spent < 0 || m.entity.PeriodSpent < 0 {
		return "I2: more was returned than charged"
	}
	return ""
}

// checkLimits is I1.
func (m *model) checkLimits() string {
	var total int64
	var byMinute [3]int64
	for _, c := range m.calls {
		byMinute[c.charge.Window] += c.net()
		total += c.net()
	}
	for minute := range m.minutes {
		if credit, _ := m.credit(minute); byMinute[minute] > max(0, credit) {
			return "I1: a minute was charged more than its credit"
		}
		var sum int64
		for k := minute; k >= 0; k-- {
			sum += byMinute[k]
			if sum > (minute-k+1)*m.limits.TokensPerMinute+m.limits.Burst {
				return "I1: k minutes were charged more than k limits and the burst"
			}
		}
	}
	if m.limits.Quota > 0 && m.settings.excess == 0 && total > m.limits.Quota {
		return "I1: a period was charged more than its quota"
	}
	return ""
}

// checkReports is I2, I4 and I8: what was settled is told once, now or later,
// and so is what was charged.
func (m *model) checkReports() string {
	told, charged := m.entity.Happened.Requests, m.entity.PeriodSpent
	for _, closed := range m.entity.Outbox {
		told += closed.Requests
	}
	for i := range m.member {
		p := &m.member[i]
		reports, consumed := []report{p.pending}, p.consumed
		if p.Holder.flight != nil && !p.applied {
			reports, consumed = append(reports, p.Holder.flight.report), consumed+p.Holder.flight.consumed
		}
		charged += consumed
		for _, r := range reports {
			told += r.happened.Requests
			charged += r.excess
			for _, refund := range r.refunds {
				charged -= refund.tokens
			}
		}
	}
	var settled, taken int64
	for _, c := range m.calls {
		if c.settled {
			settled++
			taken += c.usage
		} else {
			taken += c.charge.Tokens
		}
	}
	switch {
	case m.deletes > 0:
	case told > settled:
		return "I4: a settlement was applied twice"
	case told < settled-int64(m.lostRequests):
		return "I8: a settlement was lost without a crash"
	case m.crashes > 0 || m.limits.Quota == 0 || m.wrong == checksFirst:
	case charged < taken:
		return "I2: tokens were taken and not charged"
	case charged > taken+m.forfeits:
		return "I2: tokens were charged and not taken"
	}
	return ""
}

// fingerprint sums up a counter. What decides nothing is left out.
func fingerprint(s *State) uint64 {
	var h digest
	h.state(s)
	return h.sum()
}

// digest is a 64-bit hash of numbers.
type digest uint64

func (h *digest) add(numbers ...int64) {
	for _, n := range numbers {
		x := (uint64(*h) ^ uint64(n)) * 0x9e3779b97f4a7c15
		x ^= x >> 29
		x *= 0xbf58476d1ce4e5b9
		*h = digest(x ^ x>>32)
	}
}

func (h *digest) text(s string) {
	for i := range len(s) {
		h.add(int64(s[i]))
	}
	h.add(-1)
}

func (h *digest) truth(b bool) {
	if b {
		h.add(1)
	} else {
		h.add(2)
	}
}

func (h *digest) sum() uint64 { return uint64(*h) }

func (h *digest) state(s *State) {
	h.add(s.Window, s.Credit, s.Spent, s.PeriodSpent, s.Happened.Requests, int64(len(s.Outbox)), int64(len(s.Slots)))
	for _, c := range s.Outbox {
		h.add(c.Requests)
	}
	for _, slot := range s.Slots {
		h.text(slot.ID)
		h.add(slot.Seq, slot.Window, slot.Leased)
		h.truth(slot.Gone)
	}
	h.text(s.Epoch)
}

func (h *digest) report(r *report) {
	h.add(r.excess, r.happened.Requests, int64(len(r.refunds)))
	for _, one := range r.refunds {
		h.add(one.window, one.tokens)
	}
}

// print tells states of the world apart.
func (m *model) print() uint64 {
	var h digest
	h.state(&m.entity)
	h.add(int64(m.late), int64(m.crashes), int64(m.reclaims), int64(m.deletes), int64(m.lostRequests), m.forfeits)
	h.add(m.spentBy[:]...)
	for i := range m.member {
		p := &m.member[i]
		h.text(p.id)
		h.text(p.epoch)
		h.add(p.seq, p.seen, p.window, p.left, p.consumed, p.clock, int64(p.life), int64(p.commits), int64(p.copies), int64(p.print), int64(p.oldPrint))
		h.truth(p.joined)
		h.truth(p.open)
		h.truth(p.alive)
		h.truth(p.applied)
		h.truth(p.base == m.version)
		h.truth(p.old != nil && p.oldBase == m.version)
		h.report(&p.pending)
		if b := p.Holder.flight; b != nil {
			h.report(&b.report)
			h.add(b.consumed, b.given, b.window)
		}
	}
	for _, c := range m.calls {
		h.add(int64(c.owner), int64(c.life), c.charge.Tokens, c.charge.Window, c.usage)
		h.text(c.charge.epoch)
		h.truth(c.settled)
	}
	return h.sum()
}
