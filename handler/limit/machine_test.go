package limit

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestLongRuns walks at random through worlds that are too large for a search:
// more instances, calls, minutes and mishaps.
func TestLongRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSettings(t)
		m := newModel(&s)
		kinds := make(map[string][]event)
		for _, e := range s.events() {
			kinds[e.what] = append(kinds[e.what], e)
		}
		kind := rapid.SampledFrom(slices.Sorted(maps.Keys(kinds)))
		for range stepsOfRun {
			m.step(rapid.SampledFrom(kinds[kind.Draw(t, "kind")]).Draw(t, "event"))
			if broken := m.check(); broken != "" {
				t.Fatal(broken)
			}
		}
	})
}

const stepsOfRun = 2000

func drawSettings(t *rapid.T) settings {
	s := settings{
		instances: rapid.IntRange(1, 5).Draw(t, "instances"),
		limits:    Limits{TokensPerMinute: rapid.Int64Range(1, 40).Draw(t, "tpm"), Burst: rapid.Int64Range(0, 40).Draw(t, "burst"), Version: 1},
		minutes:   maxMinutes, apart: rapid.Int64Range(0, 3).Draw(t, "apart"),
		calls: 150, largest: rapid.Int64Range(1, 10).Draw(t, "largest"), excess: rapid.Int64Range(0, 3).Draw(t, "excess"),
		leases: []int64{0, 3, 10, 40}, commits: 1000, late: 1000,
		crashes: rapid.IntRange(0, 3).Draw(t, "crashes"), reclaims: rapid.IntRange(0, 5).Draw(t, "reclaims"),
		restarts: true,
	}
	if rapid.Bool().Draw(t, "with a quota") {
		s.limits.Quota, s.limits.Period = rapid.Int64Range(10, 200).Draw(t, "quota"), Yearly
	}
	return s
}
