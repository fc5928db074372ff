package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/upstream"
)

// usageResponse is the answer to GET /usage.
type usageResponse struct {
	Counted *struct {
		CounterKey string
		Shared     bool
		Parts      map[string]string
	}
	Minute, Quota *struct{ Limit, Used, Left int64 }
	Hours         int64
	Total         amounts
	Minutes       []struct {
		Minute  time.Time
		Running bool
		amounts
	}
	Problem string
}

type amounts struct{ PromptTokens, CompletionTokens, TotalTokens, Requests, Refused int64 }

func (b *bench) usage(t *testing.T, query string, headers ...string) usageResponse {
	t.Helper()
	response, body := b.get(t, "/usage"+query, headers...)
	var answer usageResponse
	if err := json.Unmarshal([]byte(body), &answer); response.StatusCode != 200 || err != nil {
		t.Fatalf("/usage%s: got %d %s, want 200 with JSON", query, response.StatusCode, body)
	}
	return answer
}

// happened adds a row of another process to the bench's ledger: what team-a used of a
// model, so many minutes ago.
func (b *bench) happened(t *testing.T, ago int64, model string, used ledger.Totals) {
	t.Helper()
	row := ledger.Row{Key: ledger.Key{Subscription: "team-a", Model: model, Span: ledger.Minute, Start: limit.Minute(b.now()) - ago}, Process: "OTHER", Revision: 1, Totals: used}
	if _, err := b.stored.Apply(t.Context(), []ledger.Change{{Row: row}}); err != nil {
		t.Fatal(err)
	}
}

func TestUsageHasTheRunningMinuteAndThoseBefore(t *testing.T) {
	b := open(t, subscription.Limits{TokensPerMinute: 300}, answering(233, 184))
	b.happened(t, 181, "", ledger.Totals{Calls: 1, PromptTokens: 1000}) // longer ago than three hours
	b.happened(t, 90, "DeepSeek-R1", ledger.Totals{Calls: 2, PromptTokens: 10, CompletionTokens: 15})
	b.happened(t, 90, "gpt-4o", ledger.Totals{Calls: 1, CompletionTokens: 5})
	b.happened(t, 1, "DeepSeek-R1", ledger.Totals{Calls: 1, Refused: 2, PromptTokens: 1})
	b.happened(t, 0, "DeepSeek-R1", ledger.Totals{Calls: 1, PromptTokens: 3})
	for range 3 { // two are answered, one refused, and none is written yet
		b.post(t, path, demo)
	}
	b.serving.Wait()
	got := b.usage(t, "")
	if got.Hours != 3 || len(got.Minutes) != 3 || got.Counted != nil || got.Minute.Used != 467 || got.Minute.Left != 0 {
		t.Fatalf("/usage after 3 calls: got %+v, want 3 minutes, and 467 used and 0 left of the minute's limit", got)
	}
	want := amounts{PromptTokens: 10, CompletionTokens: 20, TotalTokens: 30, Requests: 3}
	if first := got.Minutes[0]; first.amounts != want || !first.Minute.Equal(limit.MinuteStart(limit.Minute(b.now())-90)) || first.Running {
		t.Errorf("first minute: got %+v, want %+v of both models 90 minutes ago, not running", first, want)
	}
	want = amounts{PromptTokens: 53, CompletionTokens: 417, TotalTokens: 470, Requests: 3, Refused: 1}
	if last := got.Minutes[2]; last.amounts != want || !last.Running {
		t.Errorf("running minute: got %+v, want %+v", last, want)
	}
	want = amounts{PromptTokens: 64, CompletionTokens: 437, TotalTokens: 501, Requests: 7, Refused: 3}
	if got.Total != want {
		t.Errorf("total: got %+v, want %+v", got.Total, want)
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
	b := open(t, subscription.Limits{TokensPerMinute: 300, CounterKey: "{client-ip}/{model}"}, answering(5))
	b.post(t, path, demo, "Client-Ip", "192.0.2.1:5")
	for ip, used := range map[string]int64{"192.0.2.1": 30, "192.0.2.2": 0} {
		got := b.usage(t, "", "Client-Ip", ip+":9")
		if got.Counted == nil || !got.Counted.Shared || fmt.Sprint(got.Counted.Parts) != "map[client-ip:"+ip+" model:DeepSeek-R1]" || got.Minute.Used != used {
			t.Errorf("%s: got %+v of %+v, want %d used by this client alone", ip, got.Minute, got.Counted, used)
		}
	}
}

func TestUsageIsAnsweredWithoutTheLedger(t *testing.T) {
	broken := ledgermem.New(func(string) (bool, error) { return false, errors.New("the ledger is down") })
	b := openWith(t, subscription.Limits{TokensPerMinute: 300}, func(c *gateway.Config) { c.Usage = ledger.Reader{Store: broken} }, upstream.Timeouts{}, answering(5))
	b.post(t, path, demo)
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
		b := newBench(t, subscription.Limits{TokensPerMinute: 300}, time.Now)
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

func (b *bench) get(t *testing.T, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Api-Key", b.key)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	return response, string(answer)
}

// Answers to requests that reserve no tokens have the headers too.
func TestEveryAuthenticatedAnswerHasLimitHeaders(t *testing.T) {
	b := open(t, subscription.Limits{TokensPerMinute: 300, TokenQuota: 1000, TokenQuotaPeriod: limit.Daily}, answering(233))
	b.post(t, path, demo)
	malformed, _ := b.post(t, path, `{"messages":1}`)
	unknown, _ := b.post(t, path, strings.Replace(demo, "DeepSeek-R1", "gpt-9", 1))
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
