package model

import (
	"slices"
	"testing"
)

func TestACircleOfStepsThatTakeNoTimeIsFound(t *testing.T) {
	type edge struct {
		from int32
		kind kind
		to   int32
	}
	for name, test := range map[string]struct {
		edges []edge
		at    int32
		want  []step
	}{
		"two ways to one state": {edges: []edge{{0, proceed, 1}, {0, complete, 2}, {1, complete, 3}, {2, proceed, 3}}},
		"time passes":           {edges: []edge{{0, proceed, 1}, {1, tick, 0}}},
		"a state leads to itself": {edges: []edge{{0, complete, 1}, {1, proceed, 1}},
			at: 1, want: []step{{kind: proceed}}},
		"three states, behind another": {edges: []edge{{0, reserve, 1}, {1, decide, 2}, {2, proceed, 3}, {3, answer, 4}, {3, complete, 5}, {5, decide, 2}},
			at: 2, want: []step{{kind: proceed}, {kind: complete}, {kind: decide}}},
	} {
		graph := &moveGraph{}
		for _, e := range test.edges {
			graph.add(e.from, step{kind: e.kind}, e.to)
		}
		if at, got := graph.circle(); at != test.at || !slices.Equal(got, test.want) {
			t.Errorf("%s: got the circle %v at state %d, want %v at %d", name, got, at, test.want, test.at)
		}
	}
}
