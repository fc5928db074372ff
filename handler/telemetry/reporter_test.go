package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/telemetry"
)

// A fakeSink keeps the batches that it receives.
type fakeSink struct {
	mu      sync.Mutex
	batches []telemetry.Batch
	dropped map[string]int64
	closed  bool
}

func (s *fakeSink) Send(b telemetry.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, b)
}

func (s *fakeSink) Dropped() map[string]int64 { return s.dropped }

func (s *fakeSink) Close(context.Context) error {
	s.closed = true
	return nil
}

// metrics returns the metrics with a name in all batches.
func (s *fakeSink) metrics(name string) (found []telemetry.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		for _, m := range b.Metrics {
			if m.Name == name {
				found = append(found, m)
			}
		}
	}
	return found
}

// call returns a call that used the given tokens.
func call(subscription string, prompt, completion int64) telemetry.Call {
	return telemetry.Call{
		RequestID: "r", TraceID: strings.Repeat("7", 32), SpanID: strings.Repeat("1", 16), Started: time.Now(), Duration: time.Second,
		Method: "POST", Route: "/models/chat/completions", Status: 200, Subscription: subscription, Tier: "gold", API: "models", Operation: "ChatCompletions_Create",
		Model: "DeepSeek-R1", ClientIP: netip.MustParseAddr("203.0.113.77"), Header: http.Header{"X-Team": {"blue"}, "Api-Key": {"canary"}},
		Usage: &telemetry.Usage{Usage: limit.Usage{PromptTokens: prompt, CompletionTokens: completion}, Known: true}, Estimate: prompt + 3,
		Standings: []telemetry.Standing{{Counter: telemetry.Counter{Limit: "tokens", Unit: "tokens", Owner: limit.Owner{Subscription: subscription}}, PerMinute: 300, Used: 258, Remaining: 42, Quota: 1000, QuotaUsed: prompt + completion, QuotaRemaining: 1000 - prompt - completion, QuotaPeriod: "Daily"}},
		Upstream:  &telemetry.Upstream{Endpoint: "foundry1", SpanID: strings.Repeat("2", 16), Started: time.Now(), Latency: 200 * time.Millisecond, FirstToken: 900 * time.Millisecond, Duration: time.Second, Status: 200},
	}
}

func TestTokensAreSummedByIntervalAndDimensions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), Dimensions: dimensions(t, "Client IP", "API ID", "Subscription ID", "Team={header:X-Team}", "Stage=test"),
			Place: telemetry.Place{Region: "westeurope", Site: "gate"}})
		r.Report(call("team-a", 25, 233))
		r.Report(call("team-a", 25, 184))
		r.Report(call("team-b", 1, 2))
		time.Sleep(telemetry.DefaultInterval)
		synctest.Wait()
		total := sink.metrics(telemetry.TotalTokens)
		if len(total) != 2 {
			t.Fatalf("got %d series of Total Tokens, want 2, one a subscription: %+v", len(total), total)
		}
		for _, m := range total {
			if m.Dimensions["Subscription ID"] != "team-a" {
				continue
			}
			if m.Sum != 467 || m.Count != 2 || m.Min != 209 || m.Max != 258 || m.At.Second()%10 != 0 {
				t.Errorf("Total Tokens of team-a: got %+v, want sum 467 of 2 calls, min 209, max 258, at a multiple of 10 s", m)
			}
			want := map[string]string{"Client IP": "203.0.113.77", "API ID": "models", "Subscription ID": "team-a", "Team": "blue", "Stage": "test",
				"Region": "westeurope", "Service Name": "gate", "Service Type": "Tollgate"}
			if fmt.Sprint(m.Dimensions) != fmt.Sprint(want) {
				t.Errorf("got dimensions %v, want %v", m.Dimensions, want)
			}
		}
		for name, want := range map[string]float64{telemetry.PromptTokens: 51, telemetry.CompletionTokens: 419, telemetry.PromptEstimateError: 9, telemetry.UpstreamLatency: 600,
			telemetry.TimeToFirstToken: 2700, telemetry.QuotaUsed: 258 + 3, telemetry.QuotaLimit: 2000, telemetry.MinuteLimit: 600} {
			var sum float64
			for _, m := range sink.metrics(name) {
				sum += m.Sum
			}
			if sum != want {
				t.Errorf("%s: got sum %v, want %v", name, sum, want)
			}
		}
		if err := r.Close(t.Context()); err != nil || !sink.closed {
			t.Errorf("Close: got %v, sink closed %t; want no error, true", err, sink.closed)
		}
		r.Report(call("team-a", 1, 1)) // after Close: ignored, without a panic
		if len(sink.metrics(telemetry.TotalTokens)) != 2 {
			t.Error("got a report after Close sent, want it ignored")
		}
	})
}

func TestCachedAndReasoningTokensAreSentOnlyAboveZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), Dimensions: dimensions(t, "Subscription ID")})
		for range 2 {
			c := call("team-a", 100, 30)
			c.Usage.CachedTokens, c.Usage.ReasoningTokens = 64, 20
			r.Report(c)
		}
		r.Report(call("team-b", 100, 30))
		_ = r.Close(t.Context())
		for name, want := range map[string]float64{telemetry.CachedTokens: 128, telemetry.ReasoningTokens: 40} {
			if found := sink.metrics(name); len(found) != 1 || found[0].Sum != want || found[0].Count != 2 || found[0].Dimensions["Subscription ID"] != "team-a" {
				t.Errorf("%s: got %+v, want one of team-a, with a sum of %v and a count of 2", name, found, want)
			}
		}
	})
}

func TestCostsOfPricedCallsAreSentInUnitsOfTheCurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), Dimensions: dimensions(t, "Subscription ID", "Model")})
		for _, cost := range []int64{1_250_000_000, 750_000_000, 0} { // the last is free
			c := call("team-a", 100, 30)
			c.Usage.Cost, c.Usage.Priced, c.Usage.Currency = cost, true, "EUR"
			r.Report(c)
		}
		r.Report(call("team-b", 100, 30)) // without a price
		_ = r.Close(t.Context())
		found := sink.metrics(telemetry.Cost)
		if len(found) != 1 || found[0].Sum != 2 || found[0].Count != 3 || found[0].Max != 1.25 {
			t.Fatalf("got %+v, want one, of 3 calls that cost 2 together and 1.25 at most", found)
		}
		for name, want := range map[string]string{"Subscription ID": "team-a", "Currency": "EUR"} {
			if got := found[0].Dimensions[name]; got != want {
				t.Errorf("dimension %s: got %q, want %q", name, got, want)
			}
		}
		for _, m := range sink.metrics(telemetry.TotalTokens) {
			if got, there := m.Dimensions["Currency"]; there {
				t.Errorf("tokens of %s: got the currency %q, want none", m.Dimensions["Subscription ID"], got)
			}
		}
	})
}

func TestEachCallCountsInTheIntervalOfItsReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler)})
		start := time.Now()
		for range 25 { // 25 s, one call a second
			r.Report(call("team-a", 0, 1))
			time.Sleep(time.Second)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := sink.metrics(telemetry.TotalTokens)
		if len(got) != 3 || got[0].Count != 10 || got[1].Count != 10 || got[2].Count != 5 {
			t.Fatalf("got intervals %+v, want 10, 10 and 5 calls", got)
		}
		for i, m := range got {
			if want := start.Truncate(10 * time.Second).Add(time.Duration(i) * 10 * time.Second); !m.At.Equal(want) {
				t.Errorf("interval %d: got time %v, want %v", i, m.At, want)
			}
		}
	})
}

func TestRefusalsAndUnknownUsageAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{dropped: map[string]int64{"outage": 7}}
		counters := telemetry.Counters{TableOperations: 10, LeaseConflicts: 3, Degraded: 1500 * time.Millisecond}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), Counters: func() telemetry.Counters { return counters }})
		refused := telemetry.Call{Status: 429, Refused: true, Outcome: "token_limit_exceeded", Subscription: "team-a", Tier: "gold"}
		r.Report(refused)
		r.Report(refused)
		guessed := call("team-a", 5, 5)
		guessed.Usage.Known, guessed.Shadowed, guessed.Degraded = false, "token_quota_exceeded", true
		r.Report(guessed)
		left := call("team-a", 5, 5)
		left.Usage.Known, left.Outcome, left.Tier = false, "client_closed", "silver"
		r.Report(left)
		uncounted := call("team-a", 5, 5)
		uncounted.Estimate = 0
		r.Report(uncounted)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		counters.TableOperations += 5
		_ = r.Close(t.Context())
		for name, want := range map[string]string{telemetry.Refusals: "token_limit_exceeded", telemetry.Failures: "client_closed", telemetry.ShadowRefusals: "token_quota_exceeded", telemetry.DegradedCalls: "", telemetry.TelemetryDropped: "outage"} {
			m := sink.metrics(name)
			if len(m) != 1 || m[0].Dimensions["Reason"] != want {
				t.Errorf("%s: got %+v, want one with reason %q", name, m, want)
			}
		}
		if m := sink.metrics(telemetry.UnknownUsage); len(m) != 2 || m[0].Dimensions["Reason"] != "" || m[1].Dimensions["Reason"] != "client_closed" {
			t.Errorf("got unknown usage %+v, want one without a reason and one with client_closed", m)
		}
		if m := sink.metrics(telemetry.Refusals); m[0].Sum != 2 || m[0].Dimensions["Subscription ID"] != "team-a" || m[0].Dimensions["Product ID"] != "gold" {
			t.Errorf("got refusals %+v, want 2 of team-a in gold", m)
		}
		if m := sink.metrics(telemetry.TableOperations); len(m) != 2 || m[0].Sum != 10 || m[1].Sum != 5 {
			t.Errorf("got table operations %+v, want 10 and then 5 more", m)
		}
		if m := sink.metrics(telemetry.DegradedSeconds); len(m) != 1 || m[0].Sum != 1.5 {
			t.Errorf("got degraded seconds %+v, want 1.5", m)
		}
		if len(sink.metrics(telemetry.PromptEstimateError)) != 0 {
			t.Error("got a Prompt Estimate Error without an estimate or without upstream's usage, want none")
		}
	})
}

func TestReportDoesNotWaitForAStuckSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		sink := &stuckSink{fakeSink: fakeSink{}, hang: hang}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler)})
		r.Report(call("team-a", 1, 1))
		time.Sleep(time.Minute)
		before := time.Now()
		for range 100 {
			r.Report(call("team-a", 1, 1))
		}
		if waited := time.Since(before); waited > 0 {
			t.Errorf("got a wait of %v for 100 reports, want 0", waited)
		}
		close(hang)
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sum float64
		for _, m := range sink.metrics(telemetry.TotalTokens) {
			sum += m.Sum
		}
		if sum != 202 {
			t.Errorf("got %v tokens, want 202", sum)
		}
	})
}

// A stuckSink hangs in Send until hang is closed.
type stuckSink struct {
	fakeSink
	hang chan struct{}
}

func (s *stuckSink) Send(b telemetry.Batch) {
	<-s.hang
	s.fakeSink.Send(b)
}

func BenchmarkReport(b *testing.B) {
	r := telemetry.New(telemetry.Config{Sink: &fakeSink{}, Log: slog.New(slog.DiscardHandler)})
	c := call("team-a", 25, 233)
	b.ReportAllocs()
	for b.Loop() {
		r.Report(c)
	}
	_ = r.Close(b.Context())
}
