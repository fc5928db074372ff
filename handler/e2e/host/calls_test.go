package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/azure/azuretest"
	"tollgate/handler/counter/tablestore"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
	"tollgate/handler/subscription/subscriptiontest"
)

// startMinute runs a host for which a minute has just begun, so that a test's calls fall
// into one minute.
func startMinute(t *testing.T, limits subscriptiontest.Limits) *running {
	t.Helper()
	clock := azurite.NewClock(t, azurite.Shared(t))
	h := start(t, options{limits: limits, store: clock.ConnectionString})
	clock.Set(0)
	return h
}

// articleBody is the request body of the article's script.
const articleBody = `{"messages": [{"role": "system", "content": "You are a sarcastic, unhelpful assistant."}, {"role": "user", "content": "Can you tell me the time, please?"}], "model": "DeepSeek-R1"}`

func TestTheArticlesTenCallsUnderAHost(t *testing.T) {
	h := startMinute(t, subscriptiontest.Limits{TokensPerMinute: 300})
	for i, want := range []struct {
		status    int
		remaining string
	}{{200, "42"}, {200, "0"}, {429, "0"}, {429, "0"}, {429, "0"}, {429, "0"}, {429, "0"}, {429, "0"}, {429, "0"}, {429, "0"}} {
		request := must(http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/inference/models/chat/completions?api-version=2024-05-01-preview", strings.NewReader(articleBody)))
		request.Header.Set("api-key", h.key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if remaining := response.Header.Get("x-apim-remaining-tokens"); err != nil || response.StatusCode != want.status || remaining != want.remaining {
			t.Errorf("call %d: got %d with %s tokens left and error %v, want %d with %s", i+1, response.StatusCode, remaining, err, want.status, want.remaining)
		}
		if refused := response.StatusCode == http.StatusTooManyRequests; refused != (response.Header.Get("x-apim-retry-after") != "" && response.Header.Get("Retry-After") != "") ||
			refused && !strings.Contains(string(text), "Token limit is exceeded. Try again in ") {
			t.Errorf("call %d: got %v\n%s\nwant a refusal, and no other answer, to say when to try again", i+1, response.Header, text)
		}
	}
}

// runner sets the variables that the article's script expects.
const runner = `
apim_resource_gateway_url, apim_subscriptions = %q, [{"key": %q}]
inference_api_path, inference_api_version = "inference", "2024-05-01-preview"
models_config = [{"name": "DeepSeek-R1"}]
exec(open("../../cmd/demo/testdata/article.py", encoding="utf-8").read())
`

func TestTheArticlesScriptUnderAHost(t *testing.T) {
	python := ""
	for _, name := range []string{os.Getenv("PYTHON"), "python3", "/usr/bin/python3"} {
		if name != "" && exec.Command(name, "-c", "import requests").Run() == nil {
			python = name
			break
		}
	}
	if python == "" {
		t.Skip("no Python with requests: install Debian's python3-requests, or set PYTHON")
	}
	h := startMinute(t, subscriptiontest.Limits{TokensPerMinute: 300})
	script := exec.CommandContext(t.Context(), python, "-c", fmt.Sprintf(runner, h.url, h.key))
	script.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	output, err := script.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "'x-apim-remaining-tokens': '42'") || strings.Count(string(output), "status code:  429") != 8 {
		t.Errorf("got error %v and\n%s\nwant a first answer with 42 tokens left and eight times 429", err, output)
	}
}

// clients is the folder of the official clients.
const clients = "../../cmd/demo/clients"

func TestOfficialClientsUnderAHost(t *testing.T) {
	if _, err := os.Stat(clients + "/node_modules"); err != nil {
		t.Skip("the clients are not installed: run npm ci in handler/cmd/demo/clients")
	}
	h := start(t, options{})
	for _, client := range []string{"openai", "azure", "inference"} {
		for _, mode := range []string{"plain", "stream"} {
			command := exec.CommandContext(t.Context(), "node", clients+"/clients.mjs", client, mode, "0", h.url, h.key)
			command.Env = append(os.Environ(), "NO_PROXY=127.0.0.1")
			output, err := command.Output()
			var got struct{ Content, Error string }
			if err != nil || json.Unmarshal(output, &got) != nil || got.Error != "" || got.Content == "" {
				t.Errorf("%s %s: got error %v and\n%s\nwant an answer", client, mode, err, output)
			}
		}
	}
}

// A paused model streams one word, and the rest once resume is closed.
type paused struct {
	resume chan struct{} // closed to send the rest
	left   chan struct{} // closed when the gateway has left
}

func newPaused() *paused { return &paused{make(chan struct{}), make(chan struct{})} }

// ServeHTTP implements http.Handler.
func (p *paused) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	_, _ = fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{"content":"first words of it"}}]}`+"\n\n")
	_ = control.Flush()
	select {
	case <-p.resume:
	case <-r.Context().Done():
		close(p.left)
		return
	}
	_, _ = fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}`+
		"\n\ndata: [DONE]\n\n")
}

func TestAStreamComesThroughTheHostEventByEvent(t *testing.T) {
	model := newPaused()
	h := start(t, options{model: model})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	response, err := h.post(ctx, body(true))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "first words") {
	}
	close(model.resume) // the first event came before the model's answer was complete
	last := ""
	for lines.Scan() {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if lines.Err() != nil || last != "data: [DONE]" {
		t.Errorf("got a stream that ends with %q (error %v), want data: [DONE]", last, lines.Err())
	}
}

// yearly is a quota whose period doesn't end during a test.
var yearly = subscriptiontest.Limits{TokenQuota: 1_000_000, TokenQuotaPeriod: limit.Yearly}

func TestACallerThatLeavesPaysForTheWrittenTokens(t *testing.T) {
	model := newPaused()
	h := start(t, options{model: model, limits: yearly})
	ctx, leave := context.WithCancel(t.Context())
	response, err := h.post(ctx, body(true))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "first words") {
	}
	leave()
	select {
	case <-model.left:
	case <-time.After(patience):
		t.Fatal("got a model that goes on after its caller left, want its call cancelled")
	}
	asynctest.Until(t, "the call is logged as client_closed", func() bool { _, found := h.log.call("client_closed"); return found })
	line, _ := h.log.call("client_closed")
	if line.Completion < 2 || line.Completion > 10 || line.Prompt == 0 { // four words
		t.Errorf("got %d tokens of prompt and %d of completion charged, want some and 2 to 10", line.Prompt, line.Completion)
	}
	asynctest.Until(t, "the counter has what the log says", func() bool { return h.used(t) == line.Prompt+line.Completion })
}

// counterKeys returns the counters' keys that contain a text.
func counterKeys(t *testing.T, text string) (keys []string) {
	t.Helper()
	service := azuretest.Open(t, azurite.Shared(t))
	pages := service.NewClient(tablestore.DefaultTable).NewListEntitiesPager(nil)
	for pages.More() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, entity := range page.Entities {
			var row struct{ PartitionKey string }
			if err := json.Unmarshal(entity, &row); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(row.PartitionKey, text) {
				keys = append(keys, row.PartitionKey)
			}
		}
	}
	return keys
}

// A counter by client address uses the address that the platform saw, not one that the
// caller claims.
func TestTheClientAddressComesFromThePlatform(t *testing.T) {
	byAddress := subscriptiontest.Limits{TokensPerMinute: 10_000, CounterKey: "{client-ip}"}
	for name, c := range map[string]struct {
		o      options
		want   string
		claims []string
	}{
		"Host":     {options{}, "127.0.0.1", []string{"X-Forwarded-For", "6.6.6.6"}},
		"FrontEnd": {options{frontEnd: true}, "127.0.0.1", []string{"X-Forwarded-For", "6.6.6.6", "Client-IP", "6.6.6.6:1234", "X-Client-IP", "6.6.6.6"}},
		"FrontDoor": {options{frontEnd: true, settings: []string{"CLIENT_IP_HEADER=X-Azure-ClientIP"}}, "7.7.7.7",
			[]string{"X-Azure-ClientIP", "7.7.7.7", "X-Forwarded-For", "6.6.6.6", "X-Client-IP", "6.6.6.6"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.limits = byAddress
			h := start(t, c.o)
			if status, text := h.answer(t, body(false), c.claims...); status != http.StatusOK {
				t.Fatalf("got %d %s, want 200", status, text)
			}
			keys := counterKeys(t, h.id)
			if len(keys) != 1 || !strings.Contains(keys[0], c.want) {
				t.Errorf("got the counters %q, want one with %s", keys, c.want)
			}
		})
	}
}
