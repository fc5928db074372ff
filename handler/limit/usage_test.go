package limit_test

import (
	"testing"

	"tollgate/handler/limit"
)

func TestAnImpossiblePartOfAUsageIsDroppedAndTheRestKept(t *testing.T) {
	whole := limit.Usage{PromptTokens: 100, CompletionTokens: 50}
	with := func(cached, written, reasoning int64) limit.Usage {
		u := whole
		u.CachedTokens, u.CacheWriteTokens, u.ReasoningTokens = cached, written, reasoning
		return u
	}
	for name, c := range map[string]struct{ sent, want limit.Usage }{
		"no parts":                      {whole, whole},
		"parts as large as their whole": {with(60, 40, 50), with(60, 40, 50)},
		"negative parts":                {with(-1, -1, -1), whole},
		"cached beyond the prompt":      {with(101, 40, 50), with(0, 40, 50)},
		"written beyond the prompt":     {with(60, 101, 50), with(60, 0, 50)},
		"reasoning beyond completion":   {with(60, 40, 51), with(60, 40, 0)},
		"together beyond the prompt":    {with(60, 41, 50), with(0, 0, 50)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.sent.WithoutImpossibleParts(); got != c.want {
				t.Errorf("%+v: got %+v, want %+v", c.sent, got, c.want)
			}
		})
	}
}

func TestShortCacheWritesArePartOfAllCacheWrites(t *testing.T) {
	for name, c := range map[string]struct{ written, short, want int64 }{
		"a part": {40, 30, 30}, "all": {40, 40, 40}, "more than all": {40, 41, 0}, "negative": {40, -1, 0}, "of impossible writes": {101, 30, 0},
	} {
		u := limit.Usage{PromptTokens: 100, CacheWriteTokens: c.written, ShortCacheWriteTokens: c.short}
		if got := u.WithoutImpossibleParts().ShortCacheWriteTokens; got != c.want {
			t.Errorf("%s: got %d tokens written for a short time, want %d", name, got, c.want)
		}
	}
}
