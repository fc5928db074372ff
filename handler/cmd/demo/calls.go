package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// body is the request body of the article's script.
const body = `{"messages": [{"role": "system", "content": "You are a sarcastic, unhelpful assistant."}, {"role": "user", "content": "Can you tell me the time, please?"}], "model": "DeepSeek-R1"}`

// pace is the time between the article's calls.
const pace = 1500 * time.Millisecond

// maxAge is the age of a minute up to which ten calls still fit into it.
const maxAge = 35 * time.Second

// printed lists the headers that the script prints, in its order.
var printed = []string{"x-apim-retry-after", "x-apim-remaining-tokens", "x-apim-tokens-consumed"}

// An outcome is the result of one call, as the article shows it.
type outcome struct {
	status     int
	remaining  string // tokens that the minute has left
	retryAfter int    // in seconds; 0 for an answered call
}

// tenCalls makes the article's calls and prints each as its script does. It returns every
// difference from the article's calls.
func (s *setup) tenCalls(ctx context.Context) error {
	if err := waitForMinute(ctx); err != nil {
		return err
	}
	var outcomes []outcome
	next := time.NewTicker(pace)
	defer next.Stop()
	for i := range 10 {
		got, err := s.call(ctx, i+1)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, got)
		if i < 9 {
			select {
			case <-next.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return check(outcomes)
}

// waitForMinute waits for the next minute if this one is older than maxAge.
func waitForMinute(ctx context.Context) error {
	now := time.Now()
	if now.Sub(now.Truncate(time.Minute)) < maxAge {
		return nil
	}
	wait := now.Truncate(time.Minute).Add(time.Minute + 500*time.Millisecond).Sub(now)
	fmt.Printf("Waiting %.0f s for the next minute, so that all ten calls are in the same one.\n", wait.Seconds())
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call makes one of the article's calls and prints it. The first run is 1.
func (s *setup) call(ctx context.Context, run int) (outcome, error) {
	response, text, err := s.post(ctx, body)
	if err != nil {
		return outcome{}, fmt.Errorf("call %d: %w", run, err)
	}
	show(run, response, text)
	retry, _ := strconv.Atoi(response.Header.Get("x-apim-retry-after")) // absent from granted calls
	return outcome{response.StatusCode, response.Header.Get("x-apim-remaining-tokens"), retry}, nil
}

// post sends a chat to the gateway as the article's script does, and returns the whole
// answer.
func (s *setup) post(ctx context.Context, body string) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		s.url+"/inference/models/chat/completions?api-version=2024-05-01-preview", strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("api-key", s.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response, text, err
}

// show prints a call as the article's script does.
func show(run int, response *http.Response, text []byte) {
	if response.StatusCode != http.StatusOK {
		fmt.Printf("▶️ Run:  %d status code:  %d ⛔\n%s\n%s\n", run, response.StatusCode, headers(response.Header), text)
		return
	}
	var answer struct {
		Usage struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
			Total      int `json:"total_tokens"`
		} `json:"usage"`
	}
	_ = json.Unmarshal(text, &answer) // anything else shows as zeros
	fmt.Printf("▶️ Run:  %d status code:  %d ✅ input tokens:  %d output tokens:  %d total tokens:  %d\n%s\n",
		run, response.StatusCode, answer.Usage.Prompt, answer.Usage.Completion, answer.Usage.Total, headers(response.Header))
}

// headers formats the headers as Python prints a dictionary.
func headers(h http.Header) string {
	var parts []string
	for _, name := range printed {
		if value := h.Get(name); value != "" {
			parts = append(parts, fmt.Sprintf("'%s': '%s'", name, value))
		}
	}
	if parts == nil {
		return "headers: <none>"
	}
	return "headers: {" + strings.Join(parts, ", ") + "}"
}

// check returns every difference from the article's calls.
func check(calls []outcome) error {
	var wrong []error
	for i, c := range calls {
		status, remaining := http.StatusTooManyRequests, "0"
		if i < 2 {
			status = http.StatusOK
		}
		if i == 0 {
			remaining = "42"
		}
		if c.status != status || c.remaining != remaining {
			wrong = append(wrong, fmt.Errorf("call %d: got %d with %s tokens left, want %d with %s", i+1, c.status, c.remaining, status, remaining))
		}
		if i > 2 && c.retryAfter > calls[i-1].retryAfter {
			wrong = append(wrong, fmt.Errorf("call %d: the time to wait rose to %d s", i+1, c.retryAfter))
		}
	}
	if fell := calls[2].retryAfter - calls[9].retryAfter; fell < 8 {
		wrong = append(wrong, fmt.Errorf("the time to wait fell by %d s from the third call to the tenth, want 8 or more", fell))
	}
	return errors.Join(wrong...)
}
