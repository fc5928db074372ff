package gateway_test

import (
	"maps"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/gateway"
	"tollgate/handler/ledger"
	"tollgate/handler/subscription/subscriptiontest"
)

// totals is a ledger that only sums, by subscription and model.
type totals struct {
	mu  sync.Mutex
	all map[[2]string]ledger.Totals
}

func (l *totals) Record(subscription, model string, happened ledger.Totals) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[[2]string]ledger.Totals)
	}
	sum := l.all[[2]string{subscription, model}]
	sum.Add(happened)
	l.all[[2]string{subscription, model}] = sum
}

func (*totals) Pending(string) []ledger.Row { return nil }

func (l *totals) recorded() map[[2]string]ledger.Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.all)
}

// startRecorded starts a gateway, and sums in a ledger what its calls used.
func startRecorded(t *testing.T, limits subscriptiontest.Limits, model http.HandlerFunc) (*fixture, *totals) {
	t.Helper()
	l := &totals{}
	return start(t, limits, model, func(c *gateway.Config) { c.Ledger = l }), l
}

func TestTheLedgerGetsEveryCallOnce(t *testing.T) {
	b, l := startRecorded(t, subscriptiontest.Limits{TokensPerMinute: 300}, answering(233, 184))
	for range 5 { // two are answered, three refused
		b.post(t, demoPath, demo)
	}
	b.post(t, demoPath, `{"messages":1}`)
	b.post(t, demoPath, demo, "Api-Key", "wrong")
	b.get(t, "/usage")
	b.get(t, "/openai/v1/models")
	b.serving.Wait()
	want := map[[2]string]ledger.Totals{
		{"team-a", "DeepSeek-R1"}: {Calls: 2, PromptTokens: 50, CompletionTokens: 417, Unpriced: 2, Refused: 3, RefusedBy: map[string]int64{"tokens": 3}},
		{"team-a", ""}:            {Calls: 1, Failed: 1},
	}
	if diff := cmp.Diff(want, l.recorded()); diff != "" {
		t.Errorf("the ledger after 2 answered, 3 refused and 1 malformed call (-want +got):\n%s", diff)
	}
}

func TestTheLedgerCountsShadowFailuresAndUnknownUsageSeparately(t *testing.T) {
	for name, world := range map[string]struct {
		limits subscriptiontest.Limits
		model  http.HandlerFunc
		want   ledger.Totals
	}{
		"in shadow": {subscriptiontest.Limits{TokensPerMinute: 1, Shadow: true}, answering(5),
			ledger.Totals{Calls: 1, Shadowed: 1, PromptTokens: 25, CompletionTokens: 5, Unpriced: 1}},
		"an endpoint that fails": {subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			ledger.Totals{Calls: 1, Failed: 1}},
		"cached and reasoning tokens": {subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"choices":[{"message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":40,"completion_tokens":9,` +
				`"prompt_tokens_details":{"cached_tokens":20,"cache_write_tokens":4},"completion_tokens_details":{"reasoning_tokens":7}}}`))
		}, ledger.Totals{Calls: 1, PromptTokens: 40, CachedTokens: 20, CacheWriteTokens: 4, CompletionTokens: 9, ReasoningTokens: 7, Unpriced: 1}},
		"no usage in the answer": {subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`))
		}, ledger.Totals{Calls: 1, UnknownUsage: 1, PromptTokens: 25, CompletionTokens: 1, Unpriced: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b, l := startRecorded(t, world.limits, world.model)
			b.post(t, demoPath, demo)
			b.serving.Wait()
			if diff := cmp.Diff(map[[2]string]ledger.Totals{{"team-a", "DeepSeek-R1"}: world.want}, l.recorded()); diff != "" {
				t.Errorf("the ledger (-want +got):\n%s", diff)
			}
		})
	}
}
