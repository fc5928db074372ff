package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/gateway"
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	"tollgate/handler/limit"
	"tollgate/handler/subscription/subscriptiontest"
)

// usageResponse is the answer to GET /usage.
type usageResponse struct {
	Limits []struct {
		Counted *struct {
			CounterKey string
			Shared     bool
			Parts      map[string]string
		}
	}
	Minute, Quota *struct {
		Limit, Used, Held, Left int64
		StartedAt, ResetAt      time.Time
	}
	Hours  int64
	Total  ledger.Counts
	Models []struct {
		Model string
		ledger.Counts
	}
	Minutes []struct {
		Minute  time.Time
		Running bool
		ledger.Counts
	}
	Problem string
}

func (b *fixture) usage(t *testing.T, query string, headers ...string) usageResponse {
	t.Helper()
	response, body := b.get(t, "/usage"+query, headers...)
	var answer usageResponse
	if err := json.Unmarshal([]byte(body), &answer); response.StatusCode != 200 || err != nil {
		t.Fatalf("/usage%s: got %d %s, want 200 with JSON", query, response.StatusCode, body)
	}
	return answer
}

// addRow adds a row of another process to the fixture's ledger: what team-a used of a
// model, so many minutes ago.
func (b *fixture) addRow(t *testing.T, ago int64, model string, used ledger.Totals) {
	t.Helper()
	row := ledger.Row{Key: ledger.Key{Subscription: "team-a", Model: model, Span: ledger.Minute, Start: limit.Minute(b.now()) - ago}, Process: "OTHER", Revision: 1, Totals: used}
	if _, err := b.stored.Apply(t.Context(), []ledger.Change{{Row: row}}); err != nil {
		t.Fatal(err)
	}
}

func TestUsageHasTheRunningMinuteAndThoseBefore(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, TokenQuota: 10_000, TokenQuotaPeriod: limit.Hourly}, answering(233, 184))
	b.addRow(t, 181, "", ledger.Totals{Calls: 1, PromptTokens: 1000}) // longer ago than three hours
	b.addRow(t, 90, "DeepSeek-R1", ledger.Totals{Calls: 2, PromptTokens: 10, CachedTokens: 4, CompletionTokens: 15, ReasoningTokens: 12})
	b.addRow(t, 90, "gpt-4o", ledger.Totals{Calls: 1, CompletionTokens: 5})
	b.addRow(t, 1, "DeepSeek-R1", ledger.Totals{Calls: 1, Failed: 1, Shadowed: 1, Refused: 2, RefusedBy: map[string]int64{"quota": 2}, PromptTokens: 1})
	b.addRow(t, 0, "DeepSeek-R1", ledger.Totals{Calls: 1, PromptTokens: 3})
	for range 3 { // two are answered, one refused, and none is written yet
		b.post(t, demoPath, demo)
	}
	b.serving.Wait()
	got := b.usage(t, "")
	if got.Hours != 3 || len(got.Minutes) != 3 || got.Limits[0].Counted != nil || got.Minute.Used != 467 || got.Minute.Left != 0 {
		t.Fatalf("/usage after 3 calls: got %+v, want 3 minutes, and 467 used and 0 left of the minute's limit", got)
	}
	for i, want := range []ledger.Counts{
		{Calls: 3, PromptTokens: 10, CachedTokens: 4, CompletionTokens: 20, ReasoningTokens: 12, TotalTokens: 30},
		{Calls: 1, Failed: 1, Shadowed: 1, Refused: 2, RefusedBy: map[string]int64{"quota": 2}, PromptTokens: 1, TotalTokens: 1},
		{Calls: 3, Refused: 1, RefusedBy: map[string]int64{"tokens": 1}, PromptTokens: 53, CompletionTokens: 417, TotalTokens: 470, Unpriced: 2},
	} {
		at := limit.MinuteStart(limit.Minute(b.now()) - []int64{90, 1, 0}[i])
		if got := got.Minutes[i]; !got.Minute.Equal(at) || got.Running != (i == 2) || !cmp.Equal(got.Counts, want) {
			t.Errorf("minute %d: got %+v, want %+v at %v, running: %t", i, got, want, at, i == 2)
		}
	}
	want := ledger.Counts{Calls: 7, Failed: 1, Shadowed: 1, Refused: 3, RefusedBy: map[string]int64{"quota": 2, "tokens": 1}, PromptTokens: 64, CachedTokens: 4, CompletionTokens: 437, ReasoningTokens: 12, TotalTokens: 501, Unpriced: 2}
	if diff := cmp.Diff(want, got.Total); diff != "" {
		t.Errorf("total (-want +got):\n%s", diff)
	}
	if m := got.Models; len(m) != 2 || m[0].Model != "DeepSeek-R1" || m[0].TotalTokens != 496 || m[1].Model != "gpt-4o" || m[1].TotalTokens != 5 {
		t.Errorf("models: got %+v, want 496 tokens of DeepSeek-R1 and 5 of gpt-4o", m)
	}
	if q := got.Quota; q.Used != 467 || q.Left != 9533 || !q.StartedAt.Equal(b.now().Truncate(time.Hour)) || !q.ResetAt.Equal(q.StartedAt.Add(time.Hour)) {
		t.Errorf("quota: got %+v, want 467 used of this hour", q)
	}
	if longer := b.usage(t, "?hours=4"); len(longer.Minutes) != 4 || longer.Hours != 4 {
		t.Errorf("/usage?hours=4: got %+v, want 4 hours with 4 minutes", longer)
	}
	for _, hours := range []string{"0", "169", "x", "-1"} {
		if response, body := b.get(t, "/usage?hours="+hours); response.StatusCode != 400 || !strings.Contains(body, `"param":"hours"`) {
			t.Errorf("/usage?hours=%s: got %d %s, want 400 naming hours", hours, response.StatusCode, body)
		}
	}
	if response, body := b.get(t, "/usage?model=gpt-9"); response.StatusCode != 404 || !strings.Contains(body, "model_not_found") {
		t.Errorf("/usage of a model that is not served: got %d %s, want 404 model_not_found", response.StatusCode, body)
	}
}

func TestUsageNamesTheCallsThatACounterCounts(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, CounterKey: "{client-ip}/{model}"}, answering(5))
	b.post(t, demoPath, demo, "Client-Ip", "192.0.2.1:5")
	for ip, used := range map[string]int64{"192.0.2.1": 30, "192.0.2.2": 0} {
		got := b.usage(t, "", "Client-Ip", ip+":9")
		counted := got.Limits[0].Counted
		if counted == nil || !counted.Shared || fmt.Sprint(counted.Parts) != "map[client-ip:"+ip+" model:DeepSeek-R1]" || got.Minute.Used != used {
			t.Errorf("%s: got %+v of %+v, want %d used by this client alone", ip, got.Minute, counted, used)
		}
	}
}

func TestUsageIsAnsweredWithoutTheLedger(t *testing.T) {
	broken := ledgermem.New(func(string) (bool, error) { return false, errors.New("the ledger is down") })
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, answering(5), func(c *gateway.Config) { c.Usage = ledger.Reader{Store: broken} })
	b.post(t, demoPath, demo)
	b.serving.Wait()
	got := b.usage(t, "")
	if got.Problem == "" || len(got.Minutes) != 1 || got.Minute.Used != 30 || got.Total.TotalTokens != 30 {
		t.Errorf("/usage: got %+v, want a problem and this instance's minute with 30 used", got)
	}
	if !strings.Contains(b.logged(), "ledger is down") {
		t.Errorf("got the log %s, want \"ledger is down\" in it", b.logged())
	}
}

// A mute ledger never answers.
type mute struct{}

func (mute) Rows(ctx context.Context, _ string, _, _ time.Time) ([]ledger.Row, error) {
	select {
	case <-ctx.Done():
	case <-time.After(2 * time.Minute): // as long as a client may retry
	}
	return nil, errors.New("no answer")
}

// What the counters know must be answered without waiting minutes for the ledger.
func TestUsageDoesNotWaitForASlowLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t, subscriptiontest.Limits{TokensPerMinute: 300}, time.Now)
		config := b.config(t, nil)
		config.Usage = mute{}
		g := gateway.New(config)
		began, w := time.Now(), httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/usage", nil)
		r.Header.Set("Api-Key", b.key)
		g.ServeHTTP(w, r)
		if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, `"problem":`) || !strings.Contains(body, `"limit":300`) || time.Since(began) > 15*time.Second {
			t.Errorf("after %v: got %d %s, want 200 with a problem and the limit within 15s", time.Since(began), w.Code, body)
		}
	})
}

func (b *fixture) get(t *testing.T, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	return fetch(t, b.newRequest(t.Context(), t, http.MethodGet, path, nil, headers...))
}

// Answers to requests that reserve no tokens have the headers too.
func TestEveryAuthenticatedAnswerHasLimitHeaders(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, TokenQuota: 1000, TokenQuotaPeriod: limit.Daily}, answering(233))
	b.post(t, demoPath, demo)
	malformed, _ := b.post(t, demoPath, `{"messages":1}`)
	unknown, _ := b.post(t, demoPath, strings.Replace(demo, "DeepSeek-R1", "gpt-9", 1))
	list, _ := b.get(t, "/openai/v1/models")
	for what, answer := range map[int]*http.Response{400: malformed, 404: unknown, 200: list} {
		h := answer.Header
		if answer.StatusCode != what || h.Get("x-apim-remaining-tokens") != "42" || h.Get("x-apim-remaining-quota-tokens") != "742" || h.Get("x-ratelimit-limit-tokens") != "300" {
			t.Errorf("got %d %v, want %d with 42 of 300 tokens left of the minute and 742 of the quota", answer.StatusCode, h, what)
		}
	}
	if wrong, _ := b.get(t, "/openai/v1/models", "Api-Key", "wrong"); wrong.StatusCode != 401 || wrong.Header.Get("x-apim-remaining-tokens") != "" {
		t.Errorf("a wrong key: got %d %v, want 401 without x-apim-remaining-tokens", wrong.StatusCode, wrong.Header)
	}
}
