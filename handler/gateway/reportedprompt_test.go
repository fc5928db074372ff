package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/operation/message"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// messageSample returns the conformance suite's message.
func messageSample() sample {
	return samples[slices.IndexFunc(samples, func(s sample) bool { return s.operation == &message.Operation })]
}

// manyWords is a prompt of many more bytes than tokens.
var manyWords = strings.Repeat("word ", 2000)

// A stream that its caller leaves, or its endpoint cuts, costs the prompt that its start
// reported, caches included, and a bound of the completion.
func TestAStreamWithoutItsEndIsChargedThePromptThatItsStartReported(t *testing.T) {
	s := messageSample()
	s.fields = `"messages":[{"role":"user","content":"` + manyWords + `"}]`
	for _, behaviour := range []string{"hold-after=1", "cached=500,cache-write=300,hold-after=4", "cut-after=1", "cut-after=9", "no-usage,cut-after=9"} {
		for _, reserve := range []subscription.Reserve{subscription.ReserveNone, subscription.ReserveFull} {
			t.Run(fmt.Sprint(behaviour, " ", reserve), func(t *testing.T) {
				t.Parallel()
				st := startOperation(t, s, subscriptiontest.Limits{Reserve: reserve}, behaviour, func(c *gateway.Config) {
					c.SettleTimeout = 500 * time.Millisecond // the gateway waits that long for an endpoint that sends no more
				})
				st.readUntil(t, `"stream":true,`, "message_start")
				reported, billed := <-st.reports, st.endpoint.Billed()
				if reported.Usage == nil {
					t.Fatalf("got nothing charged, want the prompt")
				}
				prompt, least := reported.Usage.PromptTokens, billed-90 // its cap
				reportsPrompt := !strings.Contains(behaviour, "no-usage")
				if total := reported.Usage.Total(); total < billed || reportsPrompt && (prompt > billed || prompt < least) || !reportsPrompt && prompt < int64(len(manyWords)) {
					t.Errorf("got %+v charged and %d billed, want the bill or more, and the prompt alone not more", reported.Usage, billed)
				}
				if cached := reported.Usage.CachedTokens; strings.HasPrefix(behaviour, "cached") && cached != 500 {
					t.Errorf("got %d cached tokens, want 500", cached)
				}
			})
		}
	}
}

// readUntil makes a call, and leaves it when a text has come.
func (s *operationFixture) readUntil(t *testing.T, more, text string) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request := s.newRequest(ctx, t, http.MethodPost, s.path(), strings.NewReader(s.body(more)))
	request.Header.Set(s.headers[0], s.headers[1])
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return // it was cut
	}
	defer response.Body.Close()
	var got []byte
	for buffer := make([]byte, 4096); err == nil && !strings.Contains(string(got), text); {
		var n int
		n, err = response.Body.Read(buffer)
		got = append(got, buffer[:n]...)
	}
}

// The prompt that the start reports counts only if it can be true, and if the model can't
// have read more since: else a caller could make it search the web, and leave before that is
// reported.
func TestAPromptReportedAtTheStartIsNotTheChargeIfTheModelMayReadMore(t *testing.T) {
	const (
		usage = `"input_tokens":20,"cache_creation_input_tokens":3,"cache_read_input_tokens":100,"output_tokens":1`
		image = `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUFB"}},`
	)
	for name, test := range map[string]struct {
		fields, blocks, usage string
		prompt                int64 // 0: the prompt is bounded
	}{
		"plain":             {"", "", usage, 123},
		"an image":          {"", image, usage, 123},
		"own tools":         {`"tools":[{"name":"f","input_schema":{}}],`, "", usage, 123},
		"a web search":      {`"tools":[{"type":"web_search_20250305","name":"web_search"}],`, "", usage, 0},
		"a compaction":      {`"context_management":{"edits":[{"type":"compact_20260112"}]},`, "", usage, 0},
		"an MCP server":     {`"mcp_servers":[{"type":"url","url":"https://x/","name":"x"}],`, "", usage, 0},
		"more than a bound": {`"mcp_servers":[{"type":"url","url":"https://x/","name":"x"}],`, "", strings.Replace(usage, "20,", "50000,", 1), 50103},
		"nothing":           {"", "", `"output_tokens":1`, 0},
		"zeros":             {"", "", `"input_tokens":0,"output_tokens":0`, 0},
		"a negative count":  {"", "", strings.Replace(usage, "20,", "-20,", 1), 0},
		"too large a count": {"", "", strings.Replace(usage, "20,", "99999999999,", 1), 0},
	} {
		for _, leaves := range []bool{true, false} {
			log := make(logLines, 100)
			b := start(t, subscriptiontest.Limits{TokenQuota: 1_000_000, TokenQuotaPeriod: "Yearly"}, nil, func(c *gateway.Config) {
				at := upstream.Endpoint{Shape: shape.Anthropic, Key: secret.New("k"), URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"type\":\"message\",\"content\":[],\"usage\":{"+test.usage+"}}}\n\n")
					if _ = http.NewResponseController(w).Flush(); leaves {
						<-r.Context().Done()
					}
					panic(http.ErrAbortHandler)
				})}
				c.Upstream, c.Models, c.SettleTimeout = newUpstream(t, upstream.Timeouts{}, at), []string{"claude-sonnet-5"}, 20*time.Millisecond
				c.Log = slog.New(slog.NewJSONHandler(log, nil))
			})
			st := &operationFixture{fixture: b, sample: messageSample()}
			st.fields = test.fields + `"messages":[{"role":"user","content":[` + test.blocks + `{"type":"text","text":"` + manyWords + `"}]}]`
			st.readUntil(t, `"stream":true,`, "message_start")
			if line := log.chat(t); test.prompt > 0 && line.Prompt != test.prompt || line.Prompt < int64(len(manyWords)) && test.prompt == 0 || line.Completion > 90 {
				t.Errorf("%s, left: %t: got %+v, want a prompt of %d tokens, or if that is 0 its bytes or more; and a completion within its cap", name, leaves, line, test.prompt)
			}
		}
	}
}

// A cap of 0 fills the cache of prompts: it stays in the body, and what the call can use is
// its prompt alone.
func TestAMessageThatOnlyFillsTheCacheIsCharged(t *testing.T) {
	s := messageSample()
	s.required = `"max_tokens":0,"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],`
	for _, mode := range []string{"", `"stream":true,`} {
		for _, reserve := range []subscription.Reserve{subscription.ReserveNone, subscription.ReservePrompt, subscription.ReserveFull} {
			st := startOperation(t, s, subscriptiontest.Limits{Reserve: reserve, MaxCompletionTokens: 200}, "cache-write=5")
			status, _, answer, err := st.call(t, mode)
			if status != 200 || err != nil || !strings.Contains(*st.asked.Load(), `"max_tokens":0,`) {
				t.Fatalf("%s: got %d %s, %v for %s; want an answer, and the cap unchanged", reserve, status, answer, err, *st.asked.Load())
			}
			st.wantCharge(t, true)
			untold := startOperation(t, s, subscriptiontest.Limits{Reserve: reserve, MaxCompletionTokens: 200}, "no-usage")
			if status, _, answer, err = untold.call(t, mode); status != 200 || err != nil {
				t.Fatalf("%s: got %d %s, %v; want an answer", reserve, status, answer, err)
			}
			if reported := untold.wantCharge(t, false); reported.Usage == nil || reported.Usage.CompletionTokens > 1 {
				t.Errorf("%s, without usage: got %+v, want one token of completion at most", reserve, reported.Usage)
			}
		}
	}
	s.required = `"max_tokens":0,`
	st := startOperation(t, s, subscriptiontest.Limits{}, "")
	if status, _, answer, _ := st.call(t, ""); status != 400 || !strings.Contains(answer, "max_tokens") {
		t.Errorf("without a part to cache: got %d %s, want the endpoint's 400", status, answer)
	}
	st.wantCharge(t, true)
}
