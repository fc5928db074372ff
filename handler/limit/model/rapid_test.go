package model

import (
	"flag"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tollgate/handler/limit"
)

// TestLongRandomRunsKeepThePromises makes longer runs with larger numbers than can
// be searched exhaustively, by the same steps and with the same checks.
func TestLongRandomRunsKeepThePromises(t *testing.T) {
	unlessSet(t, "rapid.checks", "1000")
	unlessSet(t, "rapid.seed", "1") // the same runs each time; -rapid.seed=0 makes new ones
	unlessSet(t, "rapid.steps", "100")
	total := 0
	rapid.Check(t, func(t *rapid.T) {
		run := &random{state: begin(randomWorld(t)), deletes: rapid.IntRange(0, 7).Draw(t, "deletes") == 0}
		t.Repeat(map[string]func(*rapid.T){
			"tick":    run.instance(tick),
			"mislead": run.rare(run.mislead),
			"correct": run.instance(correct),
			"take":    run.take,
			"take ":   run.take, // twice as often
			"owe":     run.instance(owe),
			"pass":    run.instance(pass),
			"raise":   run.raise,
			"settle":  run.settle,
			"settle ": run.settle,
			"cancel":  run.cancel,
			"write":   run.write,
			"write ":  run.write,
			"read":    run.instance(refresh),
			"deliver": run.instance(deliver),
			"lose":    run.instance(lose),
			"answer":  run.instance(answer),
			"resolve": run.instance(resolve),
			"change":  run.instance(change),
			"crash":   run.rare(run.instance(crash)),
			"reclaim": run.rare(run.slot(reclaim, false)),
			"purge":   run.rare(run.slot(purge, true)),
			"delete":  run.rare(run.remove),
			"file":    run.file,
			"orphan":  run.orphan,
		})
		total += run.steps
	})
	t.Logf("%d steps", total)
	if total < 1000 {
		t.Errorf("steps made: got %d, want at least 1000", total)
	}
}

// unlessSet sets a flag unless the command line does.
func unlessSet(t *testing.T, name, value string) {
	if f := flag.Lookup(name); f.Value.String() == f.DefValue {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// randomWorld returns a world without bounds on its events.
func randomWorld(t *rapid.T) *World {
	w := &World{Name: "random", Instances: rapid.IntRange(1, 5).Draw(t, "instances"), Start: midnight.Add(50 * time.Minute), Minutes: 20,
		Tick: 20 * time.Second, Skew: rapid.IntRange(1, 8).Draw(t, "skew"), Cancel: true, Stale: true,
		Astray:   rapid.SampledFrom([]int{3, 9, 60}).Draw(t, "astray"), // a minute, three, or twenty
		LateRows: rapid.Bool().Draw(t, "rows are late"), Excess: rapid.Int64Range(0, 300).Draw(t, "excess")}
	w.Limits = limit.Limits{TokensPerMinute: rapid.Int64Range(1, 1000).Draw(t, "tokens per minute"), Burst: rapid.Int64Range(0, 500).Draw(t, "burst"),
		Quota: rapid.Int64Range(1, 5000).Draw(t, "quota"), Version: 1,
		Period: rapid.SampledFrom([]limit.Period{limit.Hourly, limit.Daily, limit.Yearly}).Draw(t, "period")}
	// The promises hold while no tier is cut, except by the last change.
	next := w.Limits
	for range rapid.IntRange(0, 2).Draw(t, "raises") {
		next.TokensPerMinute += rapid.Int64Range(0, 500).Draw(t, "raise")
		next.Version++
		w.Newer = append(w.Newer, next)
	}
	if rapid.Bool().Draw(t, "cut") {
		next.TokensPerMinute = rapid.Int64Range(1, next.TokensPerMinute).Draw(t, "cut to")
		next.Version++
		w.Newer = append(w.Newer, next)
	}
	w.Expiry = time.Duration(rapid.SampledFrom([]int{0, 15, 45, 90}).Draw(t, "expiry")) * time.Second
	for range 12 {
		w.Writes = append(w.Writes, Write{Ask: rapid.Int64Range(0, 300).Draw(t, "ask"), Lease: rapid.Int64Range(0, 600).Draw(t, "lease")})
	}
	w.Writes = append(w.Writes, Write{}, Write{Lease: 10_000})
	return w
}

// random is a random run.
type random struct {
	*state
	deletes bool // the counter may be deleted, so less can be checked
	steps   int
}

// step makes a step, if it is possible, and checks the state that it leads to.
func (r *random) step(t *rapid.T, kind kind, i, n int) {
	after, done := r.after(step{kind, i, n})
	if !done {
		return
	}
	if after.broken == "" {
		after.check()
	}
	if after.broken != "" {
		t.Fatalf("%v: got a broken rule, %s, want none\n%v", step{kind, i, n}, after.broken, after)
	}
	r.state = after
	r.steps++
}

// pick draws one of the possible elements. If there is none, it skips the action
// before anything is drawn, as rapid requires.
func pick[T any](t *rapid.T, all []T, possible func(i int, one *T) bool) int {
	var choice []int
	for i := range all {
		if possible(i, &all[i]) {
			choice = append(choice, i)
		}
	}
	if len(choice) == 0 {
		t.Skip("none is possible")
	}
	return rapid.SampledFrom(choice).Draw(t, "which")
}

// rare runs the action one time out of eight.
func (r *random) rare(action func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if rapid.IntRange(0, 7).Draw(t, "luck") == 0 {
			action(t)
		}
	}
}

// instance makes a step of an instance that is free to make it.
func (r *random) instance(kind kind) func(*rapid.T) {
	return func(t *rapid.T) {
		i := pick(t, r.instances, func(i int, p *instance) bool {
			switch kind {
			case tick:
				return r.mayTick(i)
			case correct:
				return p.astray != 0
			case change:
				return p.tier < len(r.world.Newer)
			case refresh:
				return p.write == nil && r.exists
			case deliver, lose:
				return p.write != nil && p.write.copies > 0
			case answer:
				return p.write != nil && p.write.told
			case resolve:
				return p.write != nil && !p.write.told
			}
			return true
		})
		r.step(t, kind, i, 0)
	}
}

func (r *random) take(t *rapid.T) {
	i := pick(t, r.instances, func(i int, p *instance) bool { return p.holder.Left(r.now(i)) > 0 })
	left := r.instances[i].holder.Left(r.now(i))
	r.step(t, take, i, int(rapid.Int64Range(1, left).Draw(t, "tokens")))
}

func going(_ int, c *call) bool { return c.stage == open && !c.lost }

func (r *random) mislead(t *rapid.T) {
	i := pick(t, r.instances, func(_ int, p *instance) bool { return p.astray == 0 })
	r.step(t, mislead, i, rapid.IntRange(-min(r.world.Astray, 9, r.instances[i].ticks), r.world.Astray).Draw(t, "ticks"))
}

func (r *random) raise(t *rapid.T) {
	c := pick(t, r.calls, func(n int, c *call) bool { return going(n, c) && !c.raised })
	r.step(t, raise, c, int(rapid.Int64Range(1, 300).Draw(t, "more")))
}

func (r *random) settle(t *rapid.T) {
	c := pick(t, r.calls, going)
	r.step(t, settle, c, int(rapid.Int64Range(0, r.calls[c].reserved+r.calls[c].beyond+r.world.Excess).Draw(t, "used")))
}

func (r *random) cancel(t *rapid.T) { r.step(t, cancel, pick(t, r.calls, going), 0) }

func (r *random) write(t *rapid.T) {
	i := pick(t, r.instances, func(_ int, p *instance) bool { return p.write == nil })
	kinds := []kind{writeAtOnce, writeAtOnce, writeSlowly, writeInDoubt, writeLast}
	if r.instances[i].known != nil {
		kinds = append(kinds, writeStale)
	}
	kind := rapid.SampledFrom(kinds).Draw(t, "how")
	r.step(t, kind, i, rapid.IntRange(0, len(r.world.Writes)-1).Draw(t, "what"))
}

func (r *random) slot(kind kind, gone bool) func(*rapid.T) {
	return func(t *rapid.T) {
		r.step(t, kind, pick(t, r.stored.Slots, func(_ int, s *limit.Slot) bool { return s.Gone == gone }), 0)
	}
}

// remove deletes the counter, unless the write that created it is unconfirmed:
// sent again, that write would bring the old row back, and refunds to it could
// make its charges negative, which readers take for an edited row.
func (r *random) remove(t *rapid.T) {
	made := func(p instance) bool { return p.write != nil && p.write.version < 0 }
	if r.exists && r.deletes && !slices.ContainsFunc(r.instances, made) {
		r.step(t, remove, 0, 0)
	}
}

func (r *random) file(t *rapid.T) {
	if !r.world.LateRows || !r.exists {
		t.Skip("none is late")
	}
	r.step(t, file, 0, 0)
}

func (r *random) orphan(t *rapid.T) {
	i := pick(t, r.orphans, func(int, *orphan) bool { return true })
	r.step(t, rapid.SampledFrom([]kind{landOrphan, loseOrphan}).Draw(t, "fate"), i, 0)
}
