package model

import "testing"

// TestTheSearchFindsAFaultInEachVariantWithoutARule shows that the search can fail: it finds a
// broken promise in each variant of the rules that leaves one out.
func TestTheSearchFindsAFaultInEachVariantWithoutARule(t *testing.T) {
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
