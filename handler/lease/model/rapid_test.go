package model

import (
	"flag"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tollgate/handler/limit"
)

// TestLongRandomRunsKeepThePromises makes longer runs, with larger numbers, than an
// exhaustive search can, by the same steps and with the same checks.
func TestLongRandomRunsKeepThePromises(t *testing.T) {
	unlessSet(t, "rapid.checks", "500")
	unlessSet(t, "rapid.seed", "1") // the same runs each time; with -rapid.seed=0, new ones
	total := 0
	rapid.Check(t, func(t *rapid.T) {
		run := &random{state: begin(randomWorld(t))}
		for range rapid.IntRange(20, 200).Draw(t, "length") {
			run.step(t)
		}
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

// randomWorld returns a world in which much may happen.
func randomWorld(t *rapid.T) *World {
	number := func(name string, low, high int64) int64 { return rapid.Int64Range(low, high).Draw(t, name) }
	count := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
	w := &World{Name: "random", Counters: 1 + count("more counters", 1), Instances: 1 + count("more instances", 3),
		Clocks: Clocks{Start: noon.Add(50 * time.Minute), Skew: 1 + count("more skew", 5)}, Full: rapid.Bool().Draw(t, "full"), Absent: rapid.Bool().Draw(t, "absent"),
		Patience: time.Duration(rapid.SampledFrom([]int{2, 3600}).Draw(t, "patience")) * time.Second}
	for at := time.Duration(0); len(w.Times) < 40; {
		at += time.Duration(rapid.SampledFrom([]int{1, 3, 5, 15, 45}).Draw(t, "seconds")) * time.Second
		w.Times = append(w.Times, at)
	}
	w.Limits = limit.Limits{PerMinute: number("tokens per minute", 1, 1000), Burst: number("burst", 0, 500), Quota: number("quota", 1, 5000),
		Period: rapid.SampledFrom([]limit.Period{limit.Hourly, limit.Daily, limit.Yearly}).Draw(t, "period"), Version: 1}
	// The promises hold while no tier is cut, except by the last change.
	next := w.Limits
	for range count("raises", 2) {
		next.PerMinute += number("raise", 0, 500)
		next.Version++
		w.Newer = append(w.Newer, next)
	}
	if rapid.Bool().Draw(t, "cut") {
		next.PerMinute = number("cut to", 1, next.PerMinute)
		next.Version++
		w.Newer = append(w.Newer, next)
	}
	w.Callers = Callers{Calls: 40, Asks: []int64{number("ask", 1, 50), number("ask", 1, 300)}, Excess: number("excess", 0, 1) * number("most", 0, 300),
		Raise: number("raises", 0, 1) * number("by", 1, 300), Cancel: true, Leave: true, Questions: 5, Policy: Policy{Shadow: rapid.IntRange(0, 7).Draw(t, "shadow") == 0,
			MaxWait: time.Duration(rapid.SampledFrom([]int{0, 20, 90}).Draw(t, "wait")) * time.Second,
			OnDown:  rapid.SampledFrom([][]limit.StoreDown{nil, {limit.Degrade}, {limit.FailOpen, limit.Degrade}}).Draw(t, "without the store")}}
	if w.Counters > 1 && rapid.Bool().Draw(t, "asks differ") {
		w.Callers.AskElsewhere = number("elsewhere", 1, 300)
	}
	for range 4 {
		w.Callers.Uses = append(w.Callers.Uses, number("use", 0, 400))
	}
	w.Trouble = Trouble{Faults: count("faults", 9), Slow: count("slow", 9), Outages: count("outages", 2), Crashes: count("crashes", 2),
		Reclaims: count("reclaims", 2), Purges: count("purges", 1), Stops: count("stops", 1),
		WrongTimes: count("misled", 2), ClockError: time.Duration(rapid.SampledFrom([]int{-3, 1, 3, 20}).Draw(t, "astray")) * time.Minute}
	if rapid.IntRange(0, 7).Draw(t, "deletes") == 0 { // rarely, as less can be checked afterwards
		w.Trouble.Deletes = 1
	}
	return w
}

// random is a random run.
type random struct {
	*state
	steps int
}

// step makes one of the possible steps, and checks the state that it leads to.
func (r *random) step(t *rapid.T) {
	all := r.state.steps()
	if len(all) == 0 {
		return
	}
	next := rapid.SampledFrom(all).Draw(t, "step")
	after, done := r.after(next)
	if !done {
		return
	}
	if after.broken == "" {
		after.check()
	}
	if after.broken != "" {
		t.Fatalf("%v: got a broken promise, %s, want none\n%v", next, after.broken, after)
	}
	r.state = after
	r.steps++
}
