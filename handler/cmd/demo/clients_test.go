package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"
)

// seen is what a client's caller sees.
type seen struct {
	Content string
	Usage   struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
	}
	Error   string
	Status  int
	Message string
}

// through makes a call through one of the official clients.
func (s *stage) through(t *testing.T, client, mode, retries string) seen {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", "handler/cmd/demo/clients/clients.mjs", client, mode, retries, s.url, s.key)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", client, mode, err)
	}
	var got seen
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatalf("%s %s printed %s", client, mode, output)
	}
	return got
}

// clientStage is a demo's stage, at the repository's root, with the clients installed.
func clientStage(t *testing.T) *stage {
	t.Helper()
	if _, err := os.Stat("clients/node_modules"); err != nil {
		t.Skip("the clients are not installed: run npm ci in handler/cmd/demo/clients")
	}
	t.Chdir("../../..")
	if err := untilEarly(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := start(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

var clientNames = []string{"openai", "azure", "inference"}

// TestOfficialClients: each client gets answers, plain and streamed, and meets
// a refusal as it meets one of the model's own; with its retries on, the call
// waits for the minute's end and succeeds by itself.
func TestOfficialClients(t *testing.T) {
	s := clientStage(t)
	refusals := map[string]string{"openai": "RateLimitError", "azure": "RateLimitError", "inference": "isUnexpected"}
	answered := 0
	for _, client := range clientNames {
		for _, mode := range []string{"plain", "stream"} {
			got := s.through(t, client, mode, "0")
			if got.Status == 429 && answered >= 4 { // four answers of 69 tokens and more use the minute up
				continue
			}
			answered++
			if got.Error != "" || got.Content == "" || got.Usage.Prompt == 0 || got.Usage.Completion != 60 {
				t.Errorf("%s %s: %+v", client, mode, got)
			}
		}
	}
	for _, client := range clientNames {
		for _, mode := range []string{"plain", "stream"} {
			if got := s.through(t, client, mode, "0"); got.Error != refusals[client] || got.Status != 429 {
				t.Errorf("%s %s, refused: %+v", client, mode, got)
			}
		}
	}
	untilSecond(t, 54)
	if got := s.through(t, "openai", "plain", "2"); got.Error != "" || got.Content == "" {
		t.Errorf("retried: %+v", got)
	}
}

// untilSecond waits for a second of the minute, so that a retry is short.
func untilSecond(t *testing.T, second int) {
	t.Helper()
	wait := time.Duration(second)*time.Second - time.Since(time.Now().Truncate(time.Minute))
	select {
	case <-time.After(max(wait, 0)):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
