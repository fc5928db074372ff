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

// body is what the article's script sends.
const body = `{"messages": [{"role": "system", "content": "You are a sarcastic, unhelpful assistant."}, {"role": "user", "content": "Can you tell me the time, please?"}], "model": "DeepSeek-R1"}`

// pace is the time from one call of the article's run to the next.
const pace = 1500 * time.Millisecond

// youth is how old a minute may be for ten calls to fall into it.
const youth = 35 * time.Second

// shown are the headers that the script prints, in its order.
var shown = []string{"x-apim-retry-after", "x-apim-remaining-tokens", "x-apim-tokens-consumed"}

// outcome is one call as the article shows it.
type outcome struct {
	status     int
	remaining  string
	retryAfter int
}

// tenCalls makes the article's calls, prints each as its script does, and says
// what isn't as it should be.
func (s *stage) tenCalls(ctx context.Context) error {
	if err := untilYoung(ctx, youth); err != nil {
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

// untilYoung waits until the minute is younger than that.
func untilYoung(ctx context.Context, youth time.Duration) error {
	now := time.Now()
	if now.Sub(now.Truncate(time.Minute)) < youth {
		return nil
	}
	wait := now.Truncate(time.Minute).Add(time.Minute + 500*time.Millisecond).Sub(now)
	fmt.Printf("Waiting %.0f s for the next minute, so that all calls fall into one.\n", wait.Seconds())
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stage) call(ctx context.Context, run int) (outcome, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		s.url+"/inference/models/chat/completions?api-version=2024-05-01-preview", strings.NewReader(body))
	if err != nil {
		return outcome{}, err
	}
	request.Header.Set("api-key", s.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return outcome{}, fmt.Errorf("call %d: %w", run, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return outcome{}, fmt.Errorf("call %d: %w", run, err)
	}
	show(run, response, text)
	retry, _ := strconv.Atoi(response.Header.Get("x-apim-retry-after")) // absent where granted
	return outcome{response.StatusCode, response.Header.Get("x-apim-remaining-tokens"), retry}, nil
}

// show prints a call's lines as the article's script does.
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
	_ = json.Unmarshal(text, &answer) // what isn't an answer shows as zeros
	fmt.Printf("▶️ Run:  %d status code:  %d ✅ input tokens:  %d output tokens:  %d total tokens:  %d\n%s\n",
		run, response.StatusCode, answer.Usage.Prompt, answer.Usage.Completion, answer.Usage.Total, headers(response.Header))
}

// headers is the dictionary that Python prints.
func headers(h http.Header) string {
	var parts []string
	for _, name := range shown {
		if value := h.Get(name); value != "" {
			parts = append(parts, fmt.Sprintf("'%s': '%s'", name, value))
		}
	}
	if parts == nil {
		return "headers: <none>"
	}
	return "headers: {" + strings.Join(parts, ", ") + "}"
}

// check says everything in which the calls aren't the article's.
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
			wrong = append(wrong, fmt.Errorf("call %d: %d with %s tokens left, not %d with %s", i+1, c.status, c.remaining, status, remaining))
		}
		if i > 2 && c.retryAfter > calls[i-1].retryAfter {
			wrong = append(wrong, fmt.Errorf("call %d: the wait rose to %d s", i+1, c.retryAfter))
		}
	}
	if fell := calls[2].retryAfter - calls[9].retryAfter; fell < 8 {
		wrong = append(wrong, fmt.Errorf("the wait fell by %d s from the third call to the tenth, not by 8 or more", fell))
	}
	return errors.Join(wrong...)
}
