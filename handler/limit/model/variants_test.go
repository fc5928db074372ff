package model

import "testing"

// TestTheSearchFindsEachRuleLeftOut shows that the search can fail: each variant of
// the rules that is known to be wrong does the harm it was left out for.
func TestTheSearchFindsEachRuleLeftOut(t *testing.T) {
	for _, w := range Variants() {
		t.Run(w.Name, func(t *testing.T) {
			r := w.Search()
			t.Log(r)
			if r.Violation == "" {
				t.Error("the search of a wrong variant: got no broken rule, want one")
			}
		})
	}
}
