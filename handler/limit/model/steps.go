package model

import (
	"fmt"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// A kind is a kind of step.
type kind int

const (
	tick         kind = iota // an instance's clock goes on
	mislead                  // an instance is given a wrong minute
	correct                  // and the right one again
	take                     // a call reserves tokens of the lease
	owe                      // a call goes on that was decided without the counter
	pass                     // a call goes on although it was refused
	raise                    // a call is charged more than it reserved
	settle                   // a call ends
	cancel                   // a call is given up
	writeAtOnce              // a write is built, lands, and is answered
	writeSlowly              // a write is built and lands; the answer is under way
	writeInDoubt             // a write is built and sent, and no answer will come
	writeLast                // a write that lands at once and leaves a tombstone
	writeStale               // a write built upon what was known of old
	refresh                  // an instance reads
	deliver                  // a write in doubt lands
	lose                     // a write in doubt never arrives
	answer                   // a slow answer comes
	resolve                  // an instance finds out what became of a write in doubt
	crash                    // an instance ends, and another takes its place
	landOrphan               // the write of an instance that crashed lands
	loseOrphan               // or it never does
	reclaim                  // someone takes an instance for dead
	purge                    // a tombstone is over
	remove                   // someone deletes the counter
	change                   // an instance hears of newer limits
	file                     // closed minutes reach the history
)

var kindNames = []string{"tick", "mislead", "correct", "take", "owe", "pass", "raise", "settle", "cancel", "write at once", "write slowly", "write in doubt", "write last", "write stale", "read",
	"deliver", "lose", "answer", "resolve", "crash", "land orphan", "lose orphan", "reclaim", "purge", "delete", "change tier", "file"}

// A step is one event, at the instance, call, slot or orphan i, with n tokens
// or the write of that number.
type step struct {
	kind kind
	i, n int
}

func (s step) String() string { return fmt.Sprintf("%s %d, %d", kindNames[s.kind], s.i, s.n) }

// steps returns the steps that may be possible in a state.
func (s *state) steps() []step {
	w := s.world
	var all []step
	add := func(possible bool, kind kind, i, n int) {
		if possible {
			all = append(all, step{kind, i, n})
		}
	}
	for i := range s.instances {
		p := &s.instances[i]
		add(s.mayTick(i), tick, i, 0)
		add(s.misled < w.Misled && p.astray == 0, mislead, i, w.Astray)
		add(p.astray != 0, correct, i, 0)
		add(p.tier < len(w.Newer), change, i, 0)
		for _, n := range w.Asks {
			add(len(s.calls) < w.Calls, take, i, int(n))
		}
		add(w.Owed && len(s.calls) < w.Calls, owe, i, 0)
		add(w.Shadow && len(s.calls) < w.Calls, pass, i, 0)
		if p.write == nil && p.builds < w.Builds {
			for k := range w.Writes {
				add(true, writeAtOnce, i, k)
				add(s.answers < w.Answers, writeSlowly, i, k)
				add(s.late < w.Late, writeInDoubt, i, k)
				add(w.Leaves, writeLast, i, k)
				add(w.Stale && p.known != nil && p.at != s.etag(), writeStale, i, k)
			}
		}
		if p.write != nil {
			add(p.write.told, answer, i, 0)
			add(!p.write.told, resolve, i, 0)
			add(p.write.copies > 0, deliver, i, 0)
			add(p.write.copies > 0, lose, i, 0)
		}
		add(w.Stale && p.write == nil && s.exists && (p.known == nil || p.at != s.etag()), refresh, i, 0)
		add(s.crashes < w.Crashes, crash, i, 0)
	}
	for c := range s.calls {
		if s.calls[c].stage == open && !s.calls[c].lost {
			add(w.Raise > 0 && !s.calls[c].raised, raise, c, int(w.Raise))
			for used := range s.calls[c].reserved + s.calls[c].beyond + w.Excess + 1 {
				add(true, settle, c, int(used))
			}
			add(w.Cancel, cancel, c, 0)
		}
	}
	for i, slot := range s.stored.Slots {
		add(!slot.Gone && s.reclaims < w.Reclaims, reclaim, i, 0)
		add(slot.Gone && s.purges < w.Purges, purge, i, 0)
	}
	for i := range s.orphans {
		add(true, landOrphan, i, 0)
		add(true, loseOrphan, i, 0)
	}
	add(s.exists && s.deletes < w.Deletes, remove, 0, 0)
	add(w.LateRows && s.exists, file, 0, 0)
	return all
}

func (s *state) mayTick(i int) bool {
	next := s.instances[i].ticks + 1
	for j := range s.instances {
		if next > s.instances[j].ticks+s.world.Skew {
			return false
		}
	}
	return s.world.time(next).Before(s.world.Start.Add(time.Duration(s.world.Minutes) * time.Minute))
}

// after returns the state that a step leads to. done: the step was possible
// and changed something.
func (s *state) after(step step) (after *state, done bool) {
	c := s.clone()
	defer func() {
		if problem := recover(); problem != nil {
			c.broken = fmt.Sprint("panic: ", problem)
			after, done = c, true
		}
	}()
	return c, c.do(step)
}

func (s *state) do(step step) bool {
	i := step.i
	switch step.kind {
	case tick:
		s.instances[i].ticks++
	case mislead:
		s.misled++
		s.instances[i].astray = step.n
	case correct:
		s.instances[i].astray = 0
	case take:
		return s.take(i, int64(step.n))
	case owe:
		s.calls = append(s.calls, call{owner: i, charge: limit.OwedCharge(), minute: limit.Minute(s.world.Start)})
	case pass:
		s.own(i).holder.Refuse()
		s.calls = append(s.calls, call{owner: i, charge: limit.FreeCharge(), free: true, minute: limit.Minute(s.world.Start)})
	case raise:
		s.raiseCall(i, int64(step.n))
	case settle:
		s.settle(i, limit.Usage{PromptTokens: int64(step.n) / 2, CompletionTokens: int64(step.n+1) / 2})
	case cancel:
		s.cancel(i)
	case writeAtOnce, writeSlowly, writeInDoubt, writeLast, writeStale:
		return s.write(i, step.kind, s.world.Writes[step.n])
	case refresh:
		s.refresh(i)
	case deliver:
		return s.land(s.instances[i].write)
	case lose:
		s.instances[i].write.copies--
	case answer:
		s.answer(s.own(i), i)
	case resolve:
		return s.resolve(i)
	case crash:
		s.crash(i)
	case landOrphan:
		return s.land(&s.orphans[i].sent)
	case loseOrphan:
		s.bury(i)
	case reclaim:
		s.reclaim(i)
	case purge:
		return s.purge(i)
	case remove:
		s.remove()
	case change:
		s.instances[i].tier++
	case file:
		return s.file()
	}
	return true
}

// take reserves tokens of the lease.
func (s *state) take(i int, tokens int64) bool {
	p, now := s.own(i), s.now(i)
	if s.world.Wrong == CheckFirst {
		return s.takeUnseen(i, tokens)
	}
	charge, ok := p.holder.Reserve(tokens, now)
	if held := look(&p.holder); ok && (charge.Window < limit.Minute(now) || now.Unix() >= held.expiry) {
		s.fail("I5", "a lease was spent after its end")
	}
	if !ok && p.shadow != nil {
		charge, ok = p.shadow.Reserve(tokens, now)
	}
	if ok {
		s.calls = append(s.calls, call{owner: i, charge: charge, reserved: tokens, minute: charge.Window, epoch: s.epochOf(i)})
	}
	return ok
}

// epochOf returns the epoch of the counter of an instance's lease.
func (s *state) epochOf(i int) string { return look(&s.instances[i].holder).epoch }

func (s *state) settle(n int, usage limit.Usage) {
	c := &s.calls[n]
	p := s.own(c.owner)
	p.tells = append(p.tells, n)
	h := &p.holder
	before := h.Excess()
	h.Settle(c.charge, usage)
	c.stage, c.used = settled, usage.Total()
	if c.free {
		return
	}
	if c.raised {
		s.lower(n, min(c.beyond, max(0, c.charge.Held()-c.used)))
	}
	if over := c.used - c.charge.Held(); over > 0 {
		beyond := h.Excess() - before
		p.excess += beyond
		if covered := over - beyond; covered > 0 {
			s.books.covered[s.world.minute(look(h).window)] += covered
		}
	}
}

// raiseCall charges a call more. From then on, what the lease covers is part
// of its reservation.
func (s *state) raiseCall(n int, more int64) {
	c := &s.calls[n]
	p := s.own(c.owner)
	before := p.holder.Excess()
	p.holder.Raise(&c.charge, c.charge.Held()+more)
	c.raised, c.charged = true, -1
	if c.free {
		return
	}
	c.beyond = p.holder.Excess() - before
	c.reserved += more - c.beyond
	p.excess += c.beyond
	p.raised = append(p.raised, n)
}

// lower removes from the books what a raise charged in excess. A write that
// carries the raise carries less of it, even if it landed: should someone delete
// the counter, the instance reports that write again.
func (s *state) lower(n int, tokens int64) {
	c := &s.calls[n]
	c.beyond -= tokens
	w := s.instances[c.owner].write
	carried := w != nil && slices.Contains(w.raised, n)
	if carried {
		w.excess -= tokens
	}
	switch {
	case c.charged >= 0:
		s.books.excess[c.charged] -= tokens
	case !carried:
		s.instances[c.owner].excess -= tokens
	}
}

func (s *state) cancel(n int) {
	c := &s.calls[n]
	s.own(c.owner).holder.Cancel(c.charge)
	if c.raised {
		s.lower(n, c.beyond)
	}
	c.stage = cancelled
}

// file writes the rows of closed minutes.
func (s *state) file() bool {
	filed := false
	for _, closed := range s.stored.Outbox {
		kept := slices.IndexFunc(s.history, func(r row) bool { return r.Minute == closed.Minute && r.epoch == s.stored.Epoch })
		if kept >= 0 && s.history[kept].Closed != closed {
			s.fail("I8", "a closed minute changed")
		}
		if kept < 0 {
			s.history = append(s.history, row{closed, s.stored.Epoch})
			filed = true
		}
	}
	return filed
}

// filed returns a function that reports whether the history has a minute of
// the counter.
func (s *state) filed(epoch string) func(minute int64) bool {
	return func(minute int64) bool {
		return slices.ContainsFunc(s.history, func(r row) bool { return r.Minute == minute && r.epoch == epoch })
	}
}

// A row is a row of the history.
type row struct {
	limit.Closed
	epoch string
}
