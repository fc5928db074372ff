package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/handler/subscription"
)

// clients is the folder of the official clients.
const clients = "handler/cmd/demo/clients"

var clientNames = []string{"openai", "azure", "inference", "anthropic"}

// refusals holds each client's error for a 429.
var refusals = map[string]string{"openai": "RateLimitError", "azure": "RateLimitError", "inference": "isUnexpected", "anthropic": "RateLimitError"}

// modes are what the clients of the other operations are tried with. An answer to those
// under quiet has no usage.
var modes = map[string]struct{ told, quiet []string }{
	"anthropic": {[]string{"plain", "stream", "helper", "tools", "beta"}, []string{"count", "model"}},
	"bearer":    {[]string{"plain", "stream"}, []string{"model"}},
}

// A seen is the result that a client gives its caller.
type seen struct {
	Content string
	Usage   struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
	Error  string
	Status int
}

// answered reports whether it is a complete answer of the simulated model, with usage if
// that was requested.
func (s seen) answered(usage bool) bool {
	return s.Error == "" && s.Content != "" && (s.Usage.Completion == 60) == usage
}

// through makes a call with one of the official clients.
func (s *setup) through(t *testing.T, key, client, mode, retries string) (got seen) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", clients+"/clients.mjs", client, mode, retries, s.url, key)
	command.Env, command.Stderr = append(os.Environ(), "NO_PROXY=127.0.0.1"), os.Stderr
	output, err := command.Output()
	if err == nil {
		err = json.Unmarshal(output, &got)
	}
	if err != nil {
		t.Errorf("%s %s: got %q and error %v, want its JSON result", client, mode, output, err)
	}
	return got
}

// TestOfficialClients checks that each client gets answers, plain and streamed, and
// handles a refusal like one of the model's own; with retries on, a call that is refused
// in the last seconds of a minute succeeds.
func TestOfficialClients(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it starts the demo and Node.js clients")
	}
	t.Parallel()
	if _, err := os.Stat(clients + "/node_modules"); err != nil {
		t.Skip("the clients are not installed: run npm ci in " + clients)
	}
	s := open(t)
	roomy := subscription.NewKey()
	if err := s.subscribe(t.Context(), "roomy", roomy, 1_000_000); err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"openai", "azure", "apim"} {
		for _, mode := range []string{"helper", "tools", "model"} {
			if got := s.through(t, roomy, client, mode, "0"); !got.answered(mode == "helper") {
				t.Errorf("%s %s: got %+v, want an answer", client, mode, got)
			}
		}
	}
	for _, client := range append(clientNames, "apim") {
		for _, mode := range []string{"plain", "stream"} {
			if got := s.through(t, roomy, client, mode, "0"); !got.answered(client != "inference" || mode == "plain") {
				t.Errorf("%s %s: got %+v, want an answer", client, mode, got)
			}
		}
	}
	for client, tried := range modes {
		for _, mode := range tried.told {
			if got := s.through(t, roomy, client, mode, "0"); !got.answered(true) {
				t.Errorf("%s %s: got %+v, want an answer with its usage", client, mode, got)
			}
		}
		for _, mode := range tried.quiet {
			if got := s.through(t, roomy, client, mode, "0"); !got.answered(false) {
				t.Errorf("%s %s: got %+v, want an answer", client, mode, got)
			}
		}
	}
	if err := waitForMinute(t.Context(), 5*time.Second); err != nil { // all clients must start and be refused in it
		t.Fatal(err)
	}
	minute := time.Now().Truncate(time.Minute)
	s.useUp(t)
	for _, client := range clientNames {
		for _, mode := range []string{"plain", "stream"} {
			if got := s.through(t, s.key, client, mode, "0"); got.Error != refusals[client] || got.Status != 429 {
				t.Errorf("%s %s, refused: got %+v, want %s with 429", client, mode, got, refusals[client])
			}
		}
	}
	until(t, minute.Add(54*time.Second))
	var all sync.WaitGroup // concurrently, since all must be refused in this minute
	for _, client := range clientNames {
		all.Go(func() {
			if got := s.through(t, s.key, client, "plain", "3"); !got.answered(true) || time.Now().Before(minute.Add(time.Minute)) {
				t.Errorf("%s, with retries: got %+v at %s, want an answer in the next minute", client, got, time.Now())
			}
		})
	}
	all.Wait()
}

// useUp makes calls until one is refused.
func (s *setup) useUp(t *testing.T) {
	t.Helper()
	for range 6 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/openai/v1/chat/completions",
			strings.NewReader(`{"model":"DeepSeek-R1","messages":[{"role":"user","content":"Can you tell me the time, please?"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Api-Key", s.key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode == http.StatusTooManyRequests {
			return
		}
	}
	t.Fatal("six answers of 60 tokens and more were accepted, want a refusal at 300 tokens a minute")
}

// until waits for a time.
func until(t *testing.T, when time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(when)):
	case <-t.Context().Done():
		t.Fatalf("got %v before %s, want to reach that time", t.Context().Err(), when)
	}
}
