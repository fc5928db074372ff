package model

import (
	"slices"
	"time"

	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// A question asks for a counter's standing.
type question struct {
	owner, counter int
	open           bool  // it has no answer yet
	minUsed        int64 // what the row's period was charged when it was asked: the answer may not be lower
}

// maxAge is the greatest age of a standing that is answered without asking the store.
const maxAge = 2 * time.Second

// firstQuestionID is above the ids of all calls.
const firstQuestionID = 1 << 20

// inquire asks for the standing of a counter.
func (s *state) inquire(i, c int) {
	id := firstQuestionID + len(s.questions)
	p, asked := s.own(i, c), question{owner: i, counter: c, open: true, minUsed: s.rows[c].row.PeriodSpent}
	if p.op != nil && p.op.done { // the operation's answer is on its way, and may answer the question
		asked.minUsed = 0
	}
	s.questions = append(s.questions, asked)
	a := &p.agent
	reply, decided := a.Status(s.moment(i), int64(id), s.limits(i))
	if s.world.Wrong == OldStanding && !decided {
		a.Leave(s.moment(i), int64(id))
		reply.Decision.Standing, decided = a.Known(s.moment(i))
	}
	if decided {
		s.questions[len(s.questions)-1].minUsed = 0
		if age := s.moment(i).Time.Sub(knownAt(a)); age > maxAge && !s.down && !givenUp(a, s.moment(i).Uptime) {
			s.fail("S2", "got a standing %v old, want at most %v", age, maxAge)
		}
		s.answered(id, reply)
	}
	s.hear(i, c)
}

// giveUp has the asker of a question leave.
func (s *state) giveUp(q int) {
	asked := &s.questions[q]
	asked.open = false
	s.own(asked.owner, asked.counter).agent.Leave(s.moment(asked.owner), int64(firstQuestionID+q))
	s.hear(asked.owner, asked.counter)
}

// onlyGrows reports whether charges only grow in a world: calls use all that they
// reserve, and nothing else changes what is charged.
func (w *World) onlyGrows() bool {
	all := len(w.Callers.Asks) == 1 && slices.Equal(w.Callers.Asks, w.Callers.Uses)
	return all && !w.Callers.Cancel && w.Trouble.Crashes+w.Trouble.Reclaims+w.Trouble.Deletes+w.Trouble.WrongTimes == 0 && !w.turnsPeriod()
}

// answered checks S1 and S2 for the answer to a question: it comes once, and if charges
// only grow, it is no lower than when the question was asked or the operation under way
// took effect, and no higher than what is charged. A single instance knows it exactly.
func (s *state) answered(id int, reply lease.Answer) {
	q := &s.questions[id-firstQuestionID]
	if !q.open {
		s.fail("S1", "a question was answered twice, or after its asker had left")
	}
	q.open = false
	used := reply.Decision.Standing.QuotaUsed
	switch charged := s.charges(q.counter); {
	case reply.Down && !s.down:
		s.fail("S1", "a question has no answer although the store is up")
	case reply.Down || s.happened.Outages > 0 || !s.world.onlyGrows():
	case used < q.minUsed:
		s.fail("S2", "got a standing of %d used, want at least the %d that the row had when it was asked", used, q.minUsed)
	case s.world.Instances == 1 && used != charged || used > charged:
		s.fail("S2", "got a standing of %d used, want the %d that calls are charged", used, charged)
	}
}

// checkQuestions checks S1: no question waits for nothing.
func (s *state) checkQuestions() {
	for n, q := range s.questions {
		if !q.open || s.instances[q.owner].stage == closed {
			continue
		}
		p := &s.instances[q.owner].parts[q.counter]
		if questionsOf(&p.agent, int64(firstQuestionID+n)) == 0 || p.op == nil && p.agent.Due(s.moment(q.owner)) >= lease.Never {
			s.fail("S1", "question %d waits for nothing", n)
		}
	}
}

// stepsOfQuestions adds the steps of questions.
func (s *state) stepsOfQuestions(add func(bool, kind, int, int, int)) {
	for i := range s.instances {
		for c := range s.rows {
			add(s.instances[i].stage == serving && len(s.questions) < s.world.Callers.Questions, inquire, i, c, 0)
		}
	}
	for n, q := range s.questions {
		add(q.open && s.world.Callers.Leave, giveUp, n, 0, 0)
	}
}

// questionWorlds ask for standings while calls come and go. Calls use all that they
// reserve, so that charges only grow.
func questionWorlds() []World {
	asked := func(name string, change func(*World)) World {
		return base(name, func(w *World) {
			w.Callers.Questions, w.Callers.Uses, w.Times = 1, []int64{2}, oneMinute
			change(w)
		})
	}
	return []World{
		asked("a standing at one instance", func(w *World) { w.Instances, w.Callers.Questions, w.Callers.Leave = 1, 2, true }),
		asked("a standing at two instances", func(w *World) { w.Trouble.Slow, w.Callers.Calls = 1, 1 }),
		asked("a standing while answers are lost", func(w *World) { w.Instances, w.Trouble.Faults = 1, 2 }),
		asked("a standing while calls queue", func(w *World) {
			w.Instances, w.Callers.Asks, w.Callers.Uses, w.Callers.MaxWait, w.Times = 1, []int64{3}, []int64{3}, time.Minute, twoMinutes
		}),
		asked("a standing while the store is down", func(w *World) {
			w.Instances, w.Trouble.Outages, w.Callers.Calls, w.Callers.OnDown, w.Limits = 1, 1, 1, []limit.StoreDown{limit.Degrade}, tier(8, 0)
		}),
		asked("a standing and a stop", func(w *World) { w.Instances, w.Trouble.Stops, w.Trouble.Slow, w.Callers.Calls = 1, 1, 1, 1 }),
	}
}
