package limit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// found is where a search ended.
type found struct {
	states int
	broken string
	path   []event
}

func (f found) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, after %d states:", f.broken, f.states)
	for _, e := range f.path {
		fmt.Fprintf(&text, "\n  %v", e)
	}
	return text.String()
}

// search goes through all states of a world, the nearest first, until an
// invariant doesn't hold, there are no more, or there were so many.
func search(s settings, most int) found {
	type node struct {
		*model
		from int
		by   event
	}
	events := s.events()
	nodes := []node{{model: newModel(&s), from: -1}}
	seen := map[uint64]struct{}{nodes[0].print(): {}}
	for at := 0; at < len(nodes) && len(seen) < most; at++ {
		for _, e := range events {
			next := nodes[at].clone()
			if !next.step(e) {
				continue
			}
			if broken := next.check(); broken != "" {
				path := []event{e}
				for i := at; i > 0; i = nodes[i].from {
					path = append([]event{nodes[i].by}, path...)
				}
				return found{len(seen), broken, path}
			}
			print := next.print()
			if _, known := seen[print]; !known {
				seen[print] = struct{}{}
				nodes = append(nodes, node{next, at, e})
			}
		}
		nodes[at].model = nil
	}
	return found{states: len(seen)}
}

// small is the world that the others vary.
func small(name string, change func(*settings)) settings {
	s := settings{name: name, instances: 2, limits: Limits{TokensPerMinute: 2, Burst: 2, Version: 1}, minutes: 2, apart: 1,
		calls: 2, largest: 2, leases: []int64{0, 4}, commits: 2}
	change(&s)
	return s
}

func worlds() []settings {
	quota := func(s *settings) { s.limits.Quota, s.limits.Period = 3, Yearly }
	return []settings{
		small("two instances", func(*settings) {}),
		small("three minutes", func(s *settings) { s.minutes, s.calls, s.apart = 3, 1, 2 }),
		small("late and lost answers", func(s *settings) { s.late, s.calls = 1, 1; quota(s) }),
		small("two late answers, one call", func(s *settings) { s.late, s.calls, s.minutes = 2, 1, 1 }),
		small("instances taken for dead", func(s *settings) { s.reclaims, s.calls = 1, 1; quota(s) }),
		small("late answers of instances taken for dead", func(s *settings) { s.reclaims, s.late, s.calls, s.largest = 1, 1, 1, 1; quota(s) }),
		small("crashes", func(s *settings) { s.crashes, s.reclaims, s.calls = 1, 1, 1 }),
		small("a crash while a write is on its way", func(s *settings) { s.crashes, s.late, s.calls, s.largest = 1, 1, 1, 1 }),
		small("a quota", func(s *settings) { quota(s); s.limits.TokensPerMinute, s.limits.Burst, s.largest = 3, 0, 1 }),
		small("more taken than reserved", func(s *settings) { s.excess, s.calls = 1, 1; quota(s) }),
		small("a counter deleted", func(s *settings) { s.deletes, s.calls = 1, 1 }),
		small("three instances", func(s *settings) { s.instances, s.calls, s.largest, s.commits, s.leases = 3, 1, 1, 1, []int64{0, 2} }),
	}
}

// statesOfEach bounds the search of a world in a test run; make bench-counters
// goes through more.
func statesOfEach() int {
	if raceDetector {
		return 1_500
	}
	return 15_000
}

func TestEveryInterleaving(t *testing.T) {
	if total := searchAll(t, statesOfEach()); total < 10_000 {
		t.Errorf("only %d distinct states", total)
	}
}

// searchAll goes through so many states of each world, and prints how many there were.
func searchAll(t *testing.T, each int) (total int) {
	for _, world := range worlds() {
		f := search(world, each)
		if f.broken != "" {
			t.Errorf("%s: %v", world.name, f)
		}
		total += f.states
		t.Logf("%-45s %8d states", world.name, f.states)
	}
	t.Logf("%d distinct states", total)
	return total
}

func TestEachRuleLeftOutIsFound(t *testing.T) {
	one := func(s *settings) { s.calls, s.largest, s.minutes, s.leases, s.commits = 1, 1, 1, []int64{0, 1}, 3 }
	for _, world := range []settings{
		small("check first, count afterwards", func(s *settings) { s.wrong, s.minutes = checksFirst, 1 }),
		small("the carry forgets leases", func(s *settings) { s.wrong, s.largest, s.leases = carryForgetsLeases, 3, []int64{4} }),
		small("reclaim returns tokens", func(s *settings) { s.wrong, s.reclaims, s.minutes, s.leases = reclaimReturns, 1, 1, []int64{4} }),
		small("a doubt is forgotten", func(s *settings) { one(s); s.wrong, s.late = forgetsDoubt, 1 }),
		small("no tombstone", func(s *settings) { one(s); s.wrong, s.late, s.reclaims = noTombstone, 1, 1 }),
		small("no freeze", func(s *settings) { s.wrong, s.late, s.minutes = noFreeze, 1, 1 }),
		small("a slot id is used again", func(s *settings) { s.wrong, s.crashes, s.minutes = reusesSlot, 1, 1 }),
	} {
		f := search(world, 200_000)
		if f.broken == "" {
			t.Errorf("%s: no violation in %d states", world.name, f.states)
			continue
		}
		t.Logf("%s: %v", world.name, f)
	}
}

// TestFiguresOfTheModel is for make bench-counters.
func TestFiguresOfTheModel(t *testing.T) {
	name := os.Getenv("FIGURES")
	if name == "" {
		t.Skip("make bench-counters runs this")
	}
	line := fmt.Sprintf("figure model_states %d\n", searchAll(t, 50_000))
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(line); err != nil {
		t.Fatal(err)
	}
}
