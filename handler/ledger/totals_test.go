package ledger_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/ledger"
)

func TestCostsAddUpToAtMostTheLargestInt64(t *testing.T) {
	sum := ledger.Totals{Calls: 2, Cost: 40, Unpriced: 1}
	sum.Add(ledger.Totals{Calls: 3, Cost: 2, Unpriced: 2})
	if want := (ledger.Totals{Calls: 5, Cost: 42, Unpriced: 3}); !sum.Equal(want) {
		t.Errorf("a sum of two totals: got %+v, want %+v", sum, want)
	}
	sum.Add(ledger.Totals{Cost: math.MaxInt64 - 10})
	if want := int64(math.MaxInt64); sum.Cost != want {
		t.Errorf("a sum beyond the largest int64: got %d, want %d", sum.Cost, want)
	}
}

func TestTotalsSurviveConversionToCountsAndBack(t *testing.T) {
	want := ledger.Totals{Calls: 1, Failed: 2, UnknownUsage: 3, Shadowed: 4, Refused: 5, RefusedBy: map[string]int64{"tokens": 5},
		PromptTokens: 6, CachedTokens: 7, CacheWriteTokens: 8, CompletionTokens: 9, ReasoningTokens: 10, Cost: 11, Unpriced: 12}
	if diff := cmp.Diff(want, want.Counts().Totals()); diff != "" {
		t.Errorf("totals converted to counts and back (-want +got):\n%s", diff)
	}
}
