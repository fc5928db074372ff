package model

import (
	"fmt"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// write builds and sends an instance's write. It does nothing if the instance
// has no reason for one.
func (s *state) write(i int, kind kind, what Write) bool {
	p := s.own(i)
	read, etag := s.read(i), s.etag()
	if kind == writeStale {
		read, etag = *p.known, p.at
	}
	draft := s.draft(i, read)
	decision := limit.Decision{}
	if what.Ask > 0 {
		decision = draft.Decide(limit.Ask{Tokens: what.Ask})
		if kind != writeStale { // a write upon what is known of old won't land
			s.checkDecision(i, &draft.State, what.Ask, decision)
		}
		if decision.Verdict != limit.Granted {
			return s.broken != ""
		}
	}
	if what == (Write{}) && !p.holder.MustReport() && p.holder.LeasedTokens() == 0 {
		return false
	}
	if kind == writeLast && slices.ContainsFunc(s.calls, func(c call) bool { return c.owner == i && c.stage == open && !c.lost }) {
		return false
	}
	w := s.build(i, draft, draft.Asked()+what.Lease, etag)
	switch kind {
	case writeInDoubt:
		s.late++
		w.copies = 1
		return true
	case writeLast:
		w.body.MakeLast()
	}
	if !s.land(w) { // a conflict: the instance reads, and knows
		return s.resolve(i)
	}
	if kind == writeSlowly {
		s.answers++
		w.told = true
	} else {
		s.answer(p, i)
	}
	return true
}

// draft begins a write.
func (s *state) draft(i int, read limit.State) *limit.Draft {
	p, now := &s.instances[i], s.now(i)
	read = s.mistaken(i, read)
	var draft *limit.Draft
	held := look(&p.holder)
	s.handle(i, func() { draft = p.holder.Draft(read, s.limits(i), now) })
	draft.DropFiled(s.filed(draft.State.Epoch))
	if s.world.Wrong == RefundAnyAge && held.window < draft.State.Window-1 {
		draft.State.Credit += held.left
	}
	return draft
}

// build makes a draft a write.
func (s *state) build(i int, draft *limit.Draft, lease int64, etag int) *sent {
	p := &s.instances[i]
	expiry := s.world.Start.Add(24 * time.Hour)
	if s.world.Expiry > 0 {
		expiry = s.now(i).Add(s.world.Expiry)
	}
	if s.world.Wrong == NoFreeze {
		shadow := p.holder.Clone()
		p.shadow = &shadow
	}
	body, err := p.holder.Commit(draft, lease, expiry, func() string { return s.freshID(i) })
	if err != nil {
		panic(err)
	}
	p.builds++
	p.write = &sent{body: body, id: look(&p.holder).id, version: etag, excess: p.excess}
	p.write.calls, p.tells = p.tells, nil
	p.write.raised, p.raised = p.raised, nil
	p.excess = 0
	return p.write
}

// freshID returns a slot id that was never used.
func (s *state) freshID(i int) string {
	if s.world.Wrong != ReusedID {
		s.instances[i].ids++
	}
	return fmt.Sprintf("%c%d", 'a'+i, s.instances[i].ids)
}

// land stores a write if the counter is still the version that it names.
func (s *state) land(w *sent) bool {
	if w.version != s.etag() {
		return false
	}
	next := w.body.State
	for _, closed := range s.stored.Outbox {
		if !slices.Contains(next.Outbox, closed) && !s.filed(s.stored.Epoch)(closed.Minute) {
			s.fail("I8", "a closed minute left the outbox before it was in the history")
		}
	}
	if s.exists && next.Window < s.stored.Window && next.Epoch == s.stored.Epoch {
		s.fail("I6", "a window went back")
	}
	for _, c := range w.calls {
		if s.calls[c].applied {
			s.fail("I4", "a settlement was applied twice")
		}
		s.calls[c].applied, s.calls[c].within = true, next.Epoch
	}
	for _, c := range w.raised {
		s.calls[c].charged = s.world.minute(next.Window)
	}
	if next.Version > s.stored.Version && s.exists {
		s.raise(s.world.minute(min(s.stored.Window, next.Window)), next.TokensPerMinute)
	}
	s.books.excess[s.world.minute(next.Window)] += w.excess
	s.store(next)
	w.applied, w.copies, w.landed = true, 0, s.version
	s.orphans = slices.DeleteFunc(s.orphans, func(o orphan) bool { return o.applied })
	s.invalidate()
	if !s.world.LateRows {
		s.file()
	}
	return true
}

// raise records newer limits: they apply from the minute in which they were
// adopted.
func (s *state) raise(from int, perMinute int64) {
	for m := from; m < len(s.books.tpm); m++ {
		s.books.tpm[m] = perMinute
		if m == from {
			s.books.tpm[m] = max(s.books.highest, perMinute)
		}
	}
	s.books.highest = max(s.books.highest, perMinute)
}

func (s *state) store(next limit.State) {
	s.stored, s.exists = next, true
	s.version++
}

// invalidate drops the writes that can't be applied any more.
func (s *state) invalidate() {
	for i := range s.instances {
		if w := s.instances[i].write; w != nil && w.version != s.etag() {
			w.copies = 0
		}
	}
	for i := len(s.orphans) - 1; i >= 0; i-- {
		if s.orphans[i].version != s.etag() {
			s.bury(i)
		}
	}
}

// bury drops the write of an instance that crashed.
func (s *state) bury(i int) {
	s.books.dropped += s.orphans[i].open
	s.orphans = slices.Delete(s.orphans, i, i+1)
}

// answer tells an instance that its write was applied.
func (s *state) answer(p *instance, i int) {
	s.handle(i, p.holder.Applied)
	s.learn(p, p.write.body.State, p.write.landed)
	p.write, p.shadow = nil, nil
}

func (s *state) learn(p *instance, known limit.State, version int) {
	if s.world.Stale {
		p.known, p.at = &known, version
	}
}

func (s *state) refresh(i int) {
	p := s.own(i)
	read := s.read(i)
	s.handle(i, func() { p.holder.Observe(&read) })
	s.learn(p, read, s.etag())
}

// resolve lets an instance find out whether its write was applied.
func (s *state) resolve(i int) bool {
	p, now := s.own(i), s.now(i)
	if p.aged {
		now = now.Add(2 * limit.MaxDoubt)
	}
	read, w := s.read(i), p.write
	changed := w.version != s.etag()
	if s.world.Wrong == DoubtForgotten && !changed && w.copies > 0 {
		changed = true
		s.orphans = append(s.orphans, orphan{sent: *w})
	}
	var known, landed bool
	s.handle(i, func() { known, landed = p.holder.Resolve(&read, changed, now) })
	if !known {
		w.copies++
		return w.copies <= 2
	}
	if landed && !w.applied {
		s.fail("I4", "a write was taken for applied and was not")
	}
	switch {
	case landed:
	case p.aged:
		for _, c := range w.calls {
			s.calls[c].lost = !s.calls[c].applied
		}
	default:
		p.tells = append(w.calls, p.tells...)
		p.raised = append(w.raised, p.raised...)
		p.excess += w.excess
	}
	s.learn(p, read, s.etag())
	p.write, p.shadow, p.aged = nil, nil, false
	return true
}
