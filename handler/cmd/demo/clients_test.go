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

// clients is where the official clients are installed.
const clients = "handler/cmd/demo/clients"

var clientNames = []string{"openai", "azure", "inference"}

// refusals are how each client tells its caller of a 429.
var refusals = map[string]string{"openai": "RateLimitError", "azure": "RateLimitError", "inference": "isUnexpected"}

// seen is what a client's caller sees.
type seen struct {
	Content string
	Usage   struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
	Error  string
	Status int
}

// answered is whether it was a whole answer of the simulated model, with its
// usage where that was asked for.
func (s seen) answered(usage bool) bool {
	return s.Error == "" && s.Content != "" && (s.Usage.Completion == 60) == usage
}

// through makes a call through one of the official clients.
func (s *stage) through(t *testing.T, key, client, mode, retries string) (got seen) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", clients+"/clients.mjs", client, mode, retries, s.url, key)
	command.Env, command.Stderr = append(os.Environ(), "NO_PROXY=127.0.0.1"), os.Stderr
	output, err := command.Output()
	if err == nil {
		err = json.Unmarshal(output, &got)
	}
	if err != nil {
		t.Errorf("%s %s printed %q: %v", client, mode, output, err)
	}
	return got
}

// TestOfficialClients: each client gets answers, plain and streamed, and meets
// a refusal as it meets one of the model's own; with its retries on, a call
// that is refused for the last seconds of a minute succeeds by itself.
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
				t.Errorf("%s %s: %+v", client, mode, got)
			}
		}
	}
	for _, client := range append(clientNames, "apim") {
		for _, mode := range []string{"plain", "stream"} {
			if got := s.through(t, roomy, client, mode, "0"); !got.answered(client != "inference" || mode == "plain") {
				t.Errorf("%s %s: %+v", client, mode, got)
			}
		}
	}
	if err := untilYoung(t.Context(), 5*time.Second); err != nil { // six clients must start and be refused in it
		t.Fatal(err)
	}
	minute := time.Now().Truncate(time.Minute)
	s.useUp(t)
	for _, client := range clientNames {
		for _, mode := range []string{"plain", "stream"} {
			if got := s.through(t, s.key, client, mode, "0"); got.Error != refusals[client] || got.Status != 429 {
				t.Errorf("%s %s, refused: %+v", client, mode, got)
			}
		}
	}
	until(t, minute.Add(54*time.Second))
	var all sync.WaitGroup // at once, on few processors too: all are to be refused in this minute
	for _, client := range clientNames {
		all.Go(func() {
			if got := s.through(t, s.key, client, "plain", "3"); !got.answered(true) || time.Now().Before(minute.Add(time.Minute)) {
				t.Errorf("%s, with retries: %+v at %s", client, got, time.Now())
			}
		})
	}
	all.Wait()
}

// useUp makes calls until the minute's tokens are used up.
func (s *stage) useUp(t *testing.T) {
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
	t.Fatal("six answers of 60 tokens and more fit into 300 tokens a minute")
}

// until waits for a time.
func until(t *testing.T, when time.Time) {
	t.Helper()
	select {
	case <-time.After(time.Until(when)):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
