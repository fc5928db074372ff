package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// clients is the folder of the official clients.
const clients = "handler/cmd/demo/clients"

// refusedClients lists the clients whose refusals are checked, one for each SDK and operation,
// as clients.mjs names them.
var refusedClients = []string{"openai", "azure", "inference", "anthropic", "responses", "completions", "embeddings"}

// refusal returns a client's error for a 429.
func refusal(client string) string {
	if client == "inference" {
		return "isUnexpected"
	}
	return "RateLimitError"
}

// hasCompletion reports whether the answers to a client's calls have a completion, which can
// be streamed.
func hasCompletion(client string) bool { return client != "embeddings" }

// modes lists the modes that each client is run in. The answers in those of withoutUsage
// have no usage.
var modes = map[string]struct{ withUsage, withoutUsage []string }{
	"openai":    {[]string{"plain", "stream", "helper"}, []string{"tools", "model"}},
	"azure":     {[]string{"plain", "stream", "helper"}, []string{"tools", "model"}},
	"apim":      {[]string{"plain", "stream", "helper"}, []string{"tools", "model"}},
	"inference": {[]string{"plain"}, []string{"stream"}},
	"anthropic": {[]string{"plain", "stream", "helper", "tools", "beta"}, []string{"count", "model"}},
	"bearer":    {[]string{"plain", "stream"}, []string{"model"}},

	"responses":   {[]string{"plain", "stream", "helper", "tools", "stored"}, []string{"count"}},
	"completions": {[]string{"plain", "stream"}, nil},
	"embeddings":  {nil, []string{"plain"}},
}

// A result holds the answer or error that a client gave its caller.
type result struct {
	Content string
	Usage   struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
	Error  string
	Status int
}

// answered reports whether the result is a complete answer of the simulated model, with the
// model's usage or without any.
func (r result) answered(usage bool) bool {
	return r.Error == "" && r.Content != "" && (r.Usage.Completion == 60) == usage
}

// callWith makes a call with one of the official clients.
func (s *setup) callWith(t *testing.T, key, client, mode, retries string) result {
	t.Helper()
	return s.callInModes(t, key, client, retries, mode)[mode]
}

// callInModes makes a call in each mode with one of the official clients.
func (s *setup) callInModes(t *testing.T, key, client, retries string, modes ...string) map[string]result {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", clients+"/clients.mjs", client, strings.Join(modes, ","), retries, s.url, key)
	command.Env, command.Stderr = append(os.Environ(), "NO_PROXY=127.0.0.1"), os.Stderr
	output, err := command.Output()
	all := make(map[string]result)
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	for i := range min(len(lines), len(modes)) {
		var one result
		if bad := json.Unmarshal([]byte(lines[i]), &one); bad != nil {
			err = bad
		}
		all[modes[i]] = one
	}
	if err != nil || len(lines) != len(modes) {
		t.Errorf("%s %s: got %q and error %v, want a JSON result for each", client, modes, output, err)
	}
	return all
}

// openForClients starts a demo for a parallel test with official clients, which run in
// Node.js. It skips the test if they are not installed.
func openForClients(t *testing.T) demo {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short: it starts the demo and Node.js clients")
	}
	t.Parallel()
	if _, err := os.Stat(clients + "/node_modules"); err != nil {
		t.Skip("the clients are not installed: run npm ci in " + clients)
	}
	return open(t)
}

// TestOfficialClients checks that each client handles a refusal like one of the model's
// own, and gets answers, plain and streamed.
func TestOfficialClients(t *testing.T) {
	s := openForClients(t)
	s.checkRefusals(t)
	roomy := subscription.NewKey()
	if err := s.subscribe(t.Context(), "roomy", roomy, subscriptiontest.Tokens(1_000_000)); err != nil {
		t.Fatal(err)
	}
	for client, tried := range modes {
		for mode, got := range s.callInModes(t, roomy, client, "0", slices.Concat(tried.withUsage, tried.withoutUsage)...) {
			if !got.answered(slices.Contains(tried.withUsage, mode)) {
				t.Errorf("%s %s: got %+v, want an answer, with usage if there is any", client, mode, got)
			}
		}
	}
}

// checkRefusals checks that each client without retries returns a refusal to its caller.
func (s demo) checkRefusals(t *testing.T) {
	t.Helper()
	s.clock.Set(0) // so that all clients start and are refused in this minute
	s.useUp(t, s.key)
	var all sync.WaitGroup
	for _, client := range refusedClients {
		all.Go(func() {
			tried := []string{"plain", "stream"}
			if !hasCompletion(client) {
				tried = tried[:1]
			}
			for mode, got := range s.callInModes(t, s.key, client, "0", tried...) {
				if got.Error != refusal(client) || got.Status != http.StatusTooManyRequests {
					t.Errorf("%s %s, refused: got %+v, want %s with 429", client, mode, got, refusal(client))
				}
			}
		})
	}
	all.Wait()
}

// useUp makes calls with a key until one is refused. Their prompt is a single token, so
// that no other prompt fits after them.
func (s *setup) useUp(t *testing.T, key string) {
	t.Helper()
	for range 6 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/openai/v1/completions",
			strings.NewReader(`{"model":"gpt-3.5-turbo-instruct","prompt":"a","max_tokens":60}`))
		if err != nil {
			t.Error(err)
			return
		}
		request.Header.Set("Api-Key", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
		if response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusForbidden {
			return
		}
	}
	t.Error("got six answers, want a refusal within a minute's 300 tokens or a limit in calls")
}
