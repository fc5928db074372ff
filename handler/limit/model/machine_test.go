package model

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"tollgate/handler/limit"
)

// stepsOfRun is how long a random run is.
const stepsOfRun = 400

// TestLongRuns walks at random through worlds that are too large for a search:
// more instances, calls, minutes and mishaps, and any of the mishaps together.
func TestLongRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		s := begin(&w)
		for range stepsOfRun {
			possible := s.steps()
			if len(possible) == 0 {
				return
			}
			step := rapid.SampledFrom(possible).Draw(t, "step")
			after, done := s.after(step)
			if !done {
				continue
			}
			if after.broken == "" {
				after.check()
			}
			if s = after; s.broken != "" {
				t.Fatalf("%s: %v", s.broken, s)
			}
		}
	})
}

// TestALongRunFindsARuleLeftOut shows that a walk can fail.
func TestALongRunFindsARuleLeftOut(t *testing.T) {
	for seed := range 200 {
		w := rapid.Custom(drawWorld).Example(seed)
		w.Wrong, w.Harm, w.Deletes, w.Reclaims = ReclaimReturns, "I1", 0, 5
		s := begin(&w)
		for n := range stepsOfRun {
			possible := s.steps()
			if len(possible) == 0 {
				break
			}
			if after, done := s.after(possible[(n*7919+seed)%len(possible)]); done {
				after.check()
				s = after
			}
			if s.broken != "" {
				return
			}
		}
	}
	t.Error("nothing wrong was found")
}

func drawWorld(t *rapid.T) World {
	most := func(name string, n int) int { return rapid.IntRange(0, n).Draw(t, name) }
	w := World{
		Name: "a long run", Instances: 1 + most("more instances", 4), Start: midnight, Minutes: 8, Skew: 1 + most("skew", 2),
		Limits: tier(rapid.Int64Range(1, 40).Draw(t, "tokens per minute"), rapid.Int64Range(0, 40).Draw(t, "burst")),
		Calls:  60, Asks: []int64{1, 3, 7}, Excess: int64(most("excess", 2)), Cancel: true,
		Writes: []Write{{}, {Lease: 5}, {Ask: 3}, {Ask: 7, Lease: 20}}, Builds: 100,
		Late: most("late", 30), Answers: most("answers", 30), Crashes: most("crashes", 4), Reclaims: most("reclaims", 6),
	}
	if rapid.Bool().Draw(t, "a small quota") {
		w.Limits.Quota = rapid.Int64Range(10, 200).Draw(t, "quota")
	}
	if rapid.Bool().Draw(t, "a period that turns") {
		w.Limits.Period, w.Start = limit.Hourly, midnight.Add(57*time.Minute)
	}
	return w
}
