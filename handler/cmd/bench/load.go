package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A target is a server that answers chat completions.
type target struct {
	name string
	*process
	key string
}

// client calls targets. Its connections stay open between calls.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}}

// A call is a request, and what to measure of its answer.
type call struct {
	body   string
	stream bool
}

// The calls: a prompt of 1 KB, the same prompt as a stream of 256 events, and as a short
// stream of which only the first byte is measured.
var (
	prompt      = `"model":"DeepSeek-R1","messages":[{"role":"user","content":"` + strings.Repeat("Tell me what a token bucket is, and why. ", 24) + `"}]}`
	plain       = call{body: "{" + prompt}
	stream      = call{body: `{"stream":true,` + prompt, stream: true}
	briefStream = call{body: `{"stream":true,"max_tokens":8,` + prompt, stream: true}
)

// A sample holds the times of one call and the number of its events.
type sample struct {
	whole, firstByte time.Duration
	events           int
}

// do makes a call. An incomplete answer is an error.
func (t *target) do(ctx context.Context, c call, buffer []byte) (s sample, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/openai/v1/chat/completions", strings.NewReader(c.body))
	if err != nil {
		return s, err
	}
	request.Header["Api-Key"] = []string{t.key}
	request.Header["Content-Type"] = []string{"application/json"}
	begun := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return s, fmt.Errorf("%s: %w", t.name, err)
	}
	defer response.Body.Close()
	var last []byte
	for err == nil {
		var n int
		n, err = response.Body.Read(buffer)
		if n > 0 && s.firstByte == 0 {
			s.firstByte = time.Since(begun)
		}
		s.events += bytes.Count(buffer[:n], []byte("\n\n"))
		last = append(last, buffer[:n]...)
		last = last[max(0, len(last)-16):]
	}
	s.whole = time.Since(begun)
	switch {
	case !errors.Is(err, io.EOF):
		return s, fmt.Errorf("%s: %w", t.name, err)
	case response.StatusCode != http.StatusOK:
		return s, fmt.Errorf("%s: answered %d, ending in %q", t.name, response.StatusCode, last)
	case c.stream && !bytes.HasSuffix(last, []byte("data: [DONE]\n\n")):
		return s, fmt.Errorf("%s: a stream without its end", t.name)
	}
	return s, nil
}

// A measured holds one round's samples of a target.
type measured struct {
	samples []sample
	took    time.Duration
	cpu     time.Duration
}

// measure runs callers against a target for a time. Each makes its next call when the last
// is answered.
func (t *target) measure(ctx context.Context, c call, callers int, duration time.Duration) (measured, error) {
	before, err := t.cpuTime()
	if err != nil {
		return measured{}, err
	}
	var mu sync.Mutex
	var m measured
	var failed error
	var group sync.WaitGroup
	begun := time.Now()
	for range callers {
		group.Go(func() {
			samples, err := t.callFor(ctx, c, begun.Add(duration))
			mu.Lock()
			defer mu.Unlock()
			m.samples, failed = append(m.samples, samples...), errors.Join(failed, err)
		})
	}
	group.Wait()
	m.took = time.Since(begun)
	after, err := t.cpuTime()
	m.cpu = after - before
	return m, errors.Join(failed, err)
}

func (t *target) callFor(ctx context.Context, c call, until time.Time) (samples []sample, err error) {
	for buffer := make([]byte, 32<<10); time.Now().Before(until); {
		s, err := t.do(ctx, c, buffer)
		if err != nil {
			return samples, err
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// quantile returns a quantile of the samples, in microseconds.
func quantile(samples []sample, q float64, of func(sample) time.Duration) float64 {
	durations := make([]time.Duration, len(samples))
	for i, s := range samples {
		durations[i] = of(s)
	}
	slices.Sort(durations)
	return float64(durations[min(int(q*float64(len(durations))), len(durations)-1)]) / 1000
}

func whole(s sample) time.Duration     { return s.whole }
func firstByte(s sample) time.Duration { return s.firstByte }

func (m measured) p50() float64  { return quantile(m.samples, 0.50, whole) }
func (m measured) p99() float64  { return quantile(m.samples, 0.99, whole) }
func (m measured) ttfb() float64 { return quantile(m.samples, 0.50, firstByte) }
func (m measured) rate() float64 { return float64(len(m.samples)) / m.took.Seconds() }

// cpuEach returns the target's CPU time a call, in microseconds.
func (m measured) cpuEach() float64 {
	return float64(m.cpu) / 1000 / float64(len(m.samples))
}

func (m measured) frames() float64 {
	events := 0
	for _, s := range m.samples {
		events += s.events
	}
	return float64(events) / m.took.Seconds()
}
