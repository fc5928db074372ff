package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

const (
	// atOnce is the number of callers that send a long prompt at the same time.
	atOnce = 200
	// modelDelay is the model's time before an answer, and between a stream's events. It
	// is a fast model's.
	modelDelay = 100 * time.Millisecond
	// streamEvents makes a stream of 10 s.
	streamEvents = 100
	// otherCallers is the number of the other caller's concurrent calls: enough for a p99
	// within the few seconds of a load.
	otherCallers = 8
	// aloneTime is the time for which the other caller is measured alone.
	aloneTime = 5 * time.Second

	// The limits: memory in megabytes, and the other caller's p99 under load as a multiple
	// of its p99 alone.
	maxStreamsMB, maxCallsMB = 260, 400
	maxSlowdown              = 3
)

// The two loads: streams of 1 MB, and calls of 4 MB.
var loads = map[string]call{
	"streams": {body: longBody(1e6, `"stream":true,`), stream: true},
	"calls":   {body: longBody(4e6, "")},
}

func longBody(bytes int, fields string) string {
	const text = "Tell me what a token bucket is, and why. "
	return `{` + fields + `"model":"DeepSeek-R1","messages":[{"role":"user","content":"` + strings.Repeat(text, bytes/len(text)) + `"}]}`
}

// serveSlowModel serves a model that discards prompts and waits modelDelay before each
// answer or event.
func serveSlowModel([]string) error {
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(modelDelay)
		const usage = `"usage":{"prompt_tokens":250000,"completion_tokens":100,"total_tokens":250100}`
		if r.Header.Get("Accept") != "text/event-stream" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"A bucket."},"finish_reason":"stop"}],%s}`, usage)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range streamEvents {
			fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{"content":"A bucket. "}}]}`+"\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(modelDelay)
		}
		fmt.Fprintf(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],%s}`+"\n\ndata: [DONE]\n\n", usage)
	}))
}

// benchMemory sends many long prompts at once, and measures the gateway's memory and another
// caller's latency.
func benchMemory(ctx context.Context, _ []string) error {
	binary, err := buildGateway(ctx)
	if err != nil {
		return err
	}
	model, err := startPart("part-slow-model")
	if err != nil {
		return err
	}
	defer model.stop()
	streams, err := benchLoad(ctx, binary, model.url, "streams")
	if err != nil {
		return err
	}
	calls, err := benchLoad(ctx, binary, model.url, "calls")
	if err != nil {
		return err
	}
	fmt.Printf("%d streams of 1 MB: %v\n%d calls of 4 MB: %v\n\n", atOnce, streams, atOnce, calls)
	for _, figure := range []struct {
		name  string
		value float64
	}{
		{"rss_200_streams_1mb_mb", streams.peakMB}, {"rss_200_calls_4mb_mb", calls.peakMB},
		{"streams_1mb_answered", float64(streams.Answered)}, {"calls_4mb_answered", float64(calls.Answered)},
		{"streams_1mb_other_p99", streams.slowdown()}, {"calls_4mb_other_p99", calls.slowdown()},
	} {
		fmt.Printf("figure %s %.4g\n", figure.name, figure.value)
	}
	return errors.Join(streams.check("streams of 1 MB", maxStreamsMB), calls.check("calls of 4 MB", maxCallsMB))
}

// A loadResult is the result of a load.
type loadResult struct {
	callCounts
	peakMB, endMB       float64       // resident memory, peak and at the end, in megabytes
	p99Alone, p99Loaded time.Duration // the other caller's p99, without and under the load
}

// A callCounts counts how the calls of a crowd ended: the output of part-load.
type callCounts struct {
	Answered, Refused, Failed int
	Example                   string // one of the failures
}

func (c *loadResult) slowdown() float64 { return float64(c.p99Loaded) / float64(c.p99Alone) }

func (c *loadResult) String() string {
	return fmt.Sprintf("%d answered, %d refused with a time to retry; %.0f MB at most, %.0f MB at the end; another caller's p99 %v, and %v without the load",
		c.Answered, c.Refused, c.peakMB, c.endMB, c.p99Loaded.Round(time.Millisecond), c.p99Alone.Round(time.Millisecond))
}

func (c *loadResult) check(name string, most float64) error {
	var faults []error
	if c.Failed > 0 {
		faults = append(faults, fmt.Errorf("%s: %d were neither answered nor refused with a time to retry: %s", name, c.Failed, c.Example))
	}
	if c.peakMB > most {
		faults = append(faults, fmt.Errorf("%s took %.0f MB, more than %.0f", name, c.peakMB, most))
	}
	if c.slowdown() > maxSlowdown {
		faults = append(faults, fmt.Errorf("under %s another caller's p99 was %.1f times its p99 without load, more than %d", name, c.slowdown(), maxSlowdown))
	}
	return errors.Join(faults...)
}

// benchLoad starts a gateway and runs a load against it.
func benchLoad(ctx context.Context, binary, model, load string) (*loadResult, error) {
	const loading, single = "loading", "single"
	s := newStore(tier(loading, subscription.ReservePrompt, limit.Tokens), tier(single, subscription.ReserveNone, limit.Tokens))
	if err := s.inMemory(); err != nil {
		return nil, err
	}
	gateway, err := startGateway(binary, s.gatewaySettings(model))
	if err != nil {
		return nil, err
	}
	defer gateway.stop()
	other := &target{"gateway", gateway, s.keys[single]}
	if err := other.listens(ctx); err != nil {
		return nil, err
	}
	c := &loadResult{}
	alone, err := other.measure(ctx, plain, otherCallers, aloneTime)
	if err != nil {
		return nil, err
	}
	c.p99Alone = time.Duration(alone.p99() * float64(time.Microsecond))
	e1 := c.runLoad(ctx, other, s.keys[loading], load)
	most, e2 := gateway.mostResident()
	now, e3 := gateway.resident()
	c.peakMB, c.endMB = float64(most)/1e6, float64(now)/1e6
	return c, errors.Join(e1, e2, e3)
}

// runLoad makes the calls of a load from another process while the other caller goes on.
func (c *loadResult) runLoad(ctx context.Context, other *target, key, load string) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	loading := exec.CommandContext(ctx, own, "part-load", other.url, key, load)
	loading.Stderr = os.Stderr
	pressed, release := context.WithCancel(ctx)
	var mu sync.Mutex
	var beside []sample
	var failed error
	var group sync.WaitGroup
	for range otherCallers {
		group.Go(func() {
			for buffer := make([]byte, 32<<10); pressed.Err() == nil; {
				s, err := other.do(ctx, plain, buffer)
				mu.Lock()
				beside, failed = append(beside, s), errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	out, err := loading.Output()
	release()
	group.Wait()
	c.p99Loaded = time.Duration(quantile(beside, 0.99, whole) * float64(time.Microsecond))
	return errors.Join(err, failed, json.Unmarshal(out, &c.callCounts))
}

// sendLoad makes the calls of a load at once and prints their results.
func sendLoad(args []string) error {
	if len(args) != 3 {
		return errors.New("part-load takes the gateway's address, a key and a load")
	}
	t, load := &target{"gateway", &process{url: args[0]}, args[1]}, loads[args[2]]
	var mu sync.Mutex
	var all callCounts
	var callers sync.WaitGroup
	for range atOnce {
		callers.Go(func() {
			answered, err := t.answersOrRefuses(load)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				all.Failed, all.Example = all.Failed+1, err.Error()
			case answered:
				all.Answered++
			default:
				all.Refused++
			}
		})
	}
	callers.Wait()
	return json.NewEncoder(os.Stdout).Encode(all)
}

// answersOrRefuses makes a call and reports whether it was answered. A refusal must have a
// time to retry.
func (t *target) answersOrRefuses(load call) (bool, error) {
	request, err := http.NewRequest(http.MethodPost, t.url+"/openai/v1/chat/completions", strings.NewReader(load.body))
	if err != nil {
		return false, err
	}
	request.Header["Api-Key"] = []string{t.key}
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return false, err
	case response.StatusCode == http.StatusOK && (!load.stream || strings.HasSuffix(string(text), "data: [DONE]\n\n")):
		return true, nil
	case response.StatusCode != http.StatusOK && response.Header.Get("Retry-After") != "":
		return false, nil
	}
	return false, fmt.Errorf("got status %d, want an answer or a refusal with a time to retry: %.200s", response.StatusCode, text)
}

// listens waits until the target answers.
func (t *target) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var err error
	for tick := time.Tick(20 * time.Millisecond); ; {
		if _, err = t.do(ctx, plain, make([]byte, 32<<10)); err == nil {
			return nil
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return err
		}
	}
}
