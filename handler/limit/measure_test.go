package limit_test

import (
	"math"
	"testing"

	"tollgate/handler/limit"
)

func TestACallIsChargedInTheLimitsUnit(t *testing.T) {
	used := limit.Usage{PromptTokens: 100, CompletionTokens: 50, CachedTokens: 60, CacheWriteTokens: 10, ReasoningTokens: 20, Cost: 77}
	even := limit.EvenWeights
	for name, c := range map[string]struct {
		measure limit.Measure
		want    int64
	}{
		"tokens":            {limit.Measure{Unit: limit.Tokens, Weights: even}, 150},
		"prompt-tokens":     {limit.Measure{Unit: limit.PromptTokens}, 100},
		"completion-tokens": {limit.Measure{Unit: limit.CompletionTokens}, 50},
		"calls":             {limit.Measure{Unit: limit.Calls}, 1},
		"cost":              {limit.Measure{Unit: limit.Cost}, 77},
		"weighted":          {limit.Measure{Unit: limit.Tokens, Weights: limit.Weights{Prompt: 1000, Cached: 100, CacheWrite: 1250, Completion: 4000, Reasoning: 3000}}, 30 + 6 + 13 + 120 + 60}, // 228.5, rounded up once
		"free":              {limit.Measure{Unit: limit.Tokens}, 0},
	} {
		if got := c.measure.Charge(used); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestWeightsAreRoundedUpOnce(t *testing.T) {
	m := limit.Measure{Unit: limit.Tokens, Weights: limit.Weights{Prompt: 1, Cached: 1, CacheWrite: 1, Completion: 1, Reasoning: 1}}
	for _, c := range []struct{ prompt, completion, want int64 }{{0, 0, 0}, {1, 0, 1}, {1, 1, 1}, {500, 500, 1}, {500, 501, 2}} {
		if got := m.Charge(limit.Usage{PromptTokens: c.prompt, CompletionTokens: c.completion}); got != c.want {
			t.Errorf("%d and %d tokens at a thousandth: got %d, want %d", c.prompt, c.completion, got, c.want)
		}
	}
}

// TestNoUsageIsChargedMoreThanWasReservedForIt over kinds of tokens and weights.
func TestNoUsageIsChargedMoreThanWasReservedForIt(t *testing.T) {
	weights := []int64{0, 1, 999, 1000, 1001, 1_000_000}
	for i := range 6 * 6 * 6 {
		w := limit.Weights{Prompt: weights[i%6], Cached: weights[i/6%6], CacheWrite: weights[i/36], Completion: weights[i/6%6], Reasoning: weights[i%6]}
		for _, unit := range []limit.Unit{limit.Tokens, limit.PromptTokens, limit.CompletionTokens, limit.Calls} {
			m := limit.Measure{Unit: unit, Weights: w}
			for cached := range int64(4) {
				for reasoning := range int64(4) {
					u := limit.Usage{PromptTokens: 4, CachedTokens: cached, CacheWriteTokens: 4 - cached, CompletionTokens: 3, ReasoningTokens: reasoning}
					if got, most := m.Charge(u), m.MaxCharge(4, 3); got > most {
						t.Fatalf("%+v, %+v: got a charge of %d, want at most the %d reserved", m, u, got, most)
					}
				}
			}
		}
	}
}

// TestTheCapIsTheLargestThatFits: with one more token, the call could be charged more than
// was granted.
func TestTheCapIsTheLargestThatFits(t *testing.T) {
	for _, m := range []limit.Measure{
		{Unit: limit.Tokens, Weights: limit.EvenWeights}, {Unit: limit.CompletionTokens},
		{Unit: limit.Tokens, Weights: limit.Weights{Prompt: 700, Completion: 333}}, {Unit: limit.Tokens, Weights: limit.Weights{Prompt: 5000, Completion: 1, Reasoning: 4001}},
	} {
		for _, granted := range []int64{50, 51, 100, 1e6, 1e15} {
			most := m.CompletionWithin(granted, 7)
			if got := m.MaxCharge(7, most); got > granted {
				t.Errorf("%+v, a cap of %d: got %d reserved, want at most %d", m, most, got, granted)
			}
			if got := m.MaxCharge(7, most+1); got <= granted {
				t.Errorf("%+v, a cap of %d: got room for one more token in %d, want none", m, most, granted)
			}
		}
		if got := m.CompletionWithin(1, 1000); m.Unit == limit.Tokens && got != 0 {
			t.Errorf("%+v: got a cap of %d beside a prompt that doesn't fit, want 0", m, got)
		}
	}
	for _, m := range []limit.Measure{{Unit: limit.Calls}, {Unit: limit.PromptTokens}, {Unit: limit.Tokens, Weights: limit.Weights{Prompt: 1000}}} {
		if got := m.CompletionWithin(10, 5); got != limit.Unlimited {
			t.Errorf("%+v: got a cap of %d, want none", m, got)
		}
	}
}

func TestHugeCountsSaturate(t *testing.T) {
	m := limit.Measure{Unit: limit.Tokens, Weights: limit.Weights{Prompt: 1_000_000, Completion: 1_000_000}}
	if got := m.MaxCharge(math.MaxInt64, math.MaxInt64); got != limit.Unlimited {
		t.Errorf("the most for the largest counts and weights: got %d, want Unlimited, %d", got, int64(limit.Unlimited))
	}
}
