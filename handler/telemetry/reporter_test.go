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

// Without its period, a quota that is used up looks like one whose period has ended.
func TestQuotaMetricsHaveTheirPeriodAsADimension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler)})
		r.Report(call("team-a", 25, 233))
		_ = r.Close(t.Context())
		for _, name := range []string{telemetry.QuotaUsed, telemetry.QuotaLimit} {
			if found := sink.metrics(name); len(found) != 1 || found[0].Dimensions["Quota Period"] != "Daily" {
				t.Errorf("%s: got %+v, want one with Quota Period Daily", name, found)
			}
		}
	})
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

func TestCostsArePricedCallsInUnitsOfTheCurrency(t *testing.T) {
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

func TestTracesAreSampledByIDAndAddressesTruncated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), SampleRatio: 0.25, TruncateIP: true, Dimensions: dimensions(t, "Client IP")})
		for i := range 256 {
			c := call("team-a", 1, 1)
			c.TraceID = fmt.Sprintf("%018x%02x%012x", 1, i, 5)
			r.Report(c)
		}
		v6 := call("team-a", 1, 1)
		v6.TraceID, v6.ClientIP = strings.Repeat("f", 32), netip.MustParseAddr("2001:db8:1:2:3::4")
		r.Report(v6)
		_ = r.Close(t.Context())
		kept := 0
		for _, b := range sink.batches {
			kept += len(b.Calls)
			for _, c := range b.Calls {
				if c.ClientIP.String() != "203.0.113.0" || c.Header != nil {
					t.Fatalf("got a call with address %v and headers %v, want 203.0.113.0 and none", c.ClientIP, c.Header)
				}
			}
		}
		if kept != 64 {
			t.Errorf("got %d of 256 evenly spread traces at a ratio of 0.25, want 64", kept)
		}
		addresses := make(map[string]bool)
		for _, m := range sink.metrics(telemetry.TotalTokens) {
			addresses[m.Dimensions["Client IP"]] = true
		}
		if !addresses["203.0.113.0"] || !addresses["2001:db8:1::"] || len(addresses) != 2 {
			t.Errorf("got addresses %v, want 203.0.113.0 and 2001:db8:1::", addresses)
		}
	})
}

func TestCallsWithoutASubscriptionAreSampledUniformly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), SampleRatio: 1})
		const junk = 100_000
		for i := range junk {
			r.Report(telemetry.Call{RequestID: fmt.Sprint(i), TraceID: strings.Repeat("ab", 16), Status: 401, Outcome: "invalid_api_key", Refused: true})
			if i%(junk/100) == 0 {
				r.Report(call("team-a", 1, 1))
			}
		}
		r.Report(telemetry.Call{TraceID: strings.Repeat("ab", 16), Status: 404, Outcome: "route_not_found"})
		_ = r.Close(t.Context())
		items, standFor := make(map[string]int), make(map[string]float64)
		late := 0
		for _, c := range sink.batches[0].Calls {
			items[c.Outcome]++
			standFor[c.Outcome] += 1 / c.Ratio
			if len(c.RequestID) > 4 { // from the last nine tenths
				late++
			}
		}
		if items["invalid_api_key"] != 10 || items["route_not_found"] != 1 || items[""] != 100 {
			t.Errorf("got items by outcome %v, want 10 invalid_api_key, 1 route_not_found and 100 without", items)
		}
		if n := standFor["invalid_api_key"]; n < junk-1 || n > junk+1 || standFor["route_not_found"] != 1 || standFor[""] != 100 {
			t.Errorf("got items that represent %v calls, want %d, 1 and 100", standFor, junk)
		}
		if late < 3 {
			t.Errorf("got %d of 10 items from the last nine tenths of the calls, want at least 3", late)
		}
		if m := sink.metrics(telemetry.Refusals); len(m) != 1 || m[0].Sum != junk {
			t.Errorf("got refusals %+v, want all %d", m, junk)
		}
	})
}

func TestSingleCallsAreBoundedAndLossesCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), SampleRatio: 1})
		for range 5500 {
			r.Report(call("team-a", 1, 1))
		}
		_ = r.Close(t.Context())
		if n := len(sink.batches[0].Calls); n != 5000 {
			t.Errorf("got %d calls, want 5000", n)
		}
		if m := sink.metrics(telemetry.TelemetryDropped); len(m) != 1 || m[0].Sum != 500 || m[0].Dimensions["Reason"] != "burst" {
			t.Errorf("got dropped items %+v, want 500 by burst", m)
		}
		if m := sink.metrics(telemetry.TotalTokens); len(m) != 1 || m[0].Sum != 11000 {
			t.Errorf("got tokens %+v, want all 11000", m)
		}
	})
}

// Two subscriptions report the same counter of a group, and each its own.
func TestASharedCounterIsOneSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler)})
		for i, name := range []string{"team-a", "team-b"} {
			c := call(name, 25, 233)
			c.Standings = append(c.Standings,
				telemetry.Standing{Counter: telemetry.Counter{Limit: "org/calls", Unit: limit.Calls, Owner: limit.Owner{Group: "org"}}, PerMinute: 60, Used: int64(7 + i), Quota: 1000, QuotaUsed: int64(500 + i), QuotaPeriod: "Daily"},
				telemetry.Standing{Counter: telemetry.Counter{Limit: "budget", Unit: limit.Cost, Owner: limit.Owner{Tier: "gold"}}, Quota: 12_500_000_000, QuotaUsed: 2_250_000_000, QuotaPeriod: "Monthly"})
			r.Report(c)
		}
		_ = r.Close(t.Context())
		for name, want := range map[string]map[string]float64{
			telemetry.QuotaUsed:   {"team-a  tokens tokens": 258, "team-b  tokens tokens": 258, " org org/calls calls": 501, "  budget cost": 2.25},
			telemetry.QuotaLimit:  {"team-a  tokens tokens": 1000, "team-b  tokens tokens": 1000, " org org/calls calls": 1000, "  budget cost": 12.5},
			telemetry.MinuteUsed:  {"team-a  tokens tokens": 258, "team-b  tokens tokens": 258, " org org/calls calls": 8},
			telemetry.MinuteLimit: {"team-a  tokens tokens": 300, "team-b  tokens tokens": 300, " org org/calls calls": 60},
		} {
			got := make(map[string]float64)
			for _, m := range sink.metrics(name) {
				d := m.Dimensions
				got[strings.Join([]string{d["Subscription ID"], d["Group ID"], d["Limit"], d["Unit"]}, " ")] = m.Max
				if tier := d["Product ID"]; (tier == "gold") != (d["Group ID"] == "") || len(d) > 10 {
					t.Errorf("%s: got dimensions %v, want Product ID gold unless it is a group's, and at most 10", name, d)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	})
}

func TestRefusalsAreCountedByLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler), MaxSeries: 4})
		own := telemetry.Refusal{Counter: telemetry.Counter{Limit: "tokens", Unit: limit.Tokens, Owner: limit.Owner{Subscription: "team-a"}}}
		shared := telemetry.Refusal{Counter: telemetry.Counter{Limit: "org/calls", Unit: limit.Calls, Owner: limit.Owner{Group: "org"}}, QuotaPeriod: "Daily"}
		refused := telemetry.Call{Status: 403, Refused: true, Outcome: "call_quota_exceeded", Subscription: "team-a", Tier: "gold", RefusedBy: []telemetry.Refusal{own, shared}}
		r.Report(refused)
		refused.Subscription, refused.RefusedBy = "team-b", []telemetry.Refusal{shared}
		r.Report(refused)
		passed := call("team-a", 1, 1)
		passed.Shadowed, passed.RefusedBy = "token_limit_exceeded", []telemetry.Refusal{own}
		r.Report(passed)
		for i := range 3 { // beyond MaxSeries
			refused.RefusedBy = []telemetry.Refusal{{Counter: telemetry.Counter{Limit: fmt.Sprint("limit", i), Owner: limit.Owner{Tier: "gold"}}}}
			r.Report(refused)
		}
		_ = r.Close(t.Context())
		got := make(map[string]float64)
		for _, m := range sink.metrics(telemetry.LimitRefusals) {
			d := m.Dimensions
			got[strings.Join([]string{d["Subscription ID"], d["Group ID"], d["Limit"], d["Quota Period"], d["Shadow"]}, " ")] = m.Sum
			if len(d) > 10 {
				t.Errorf("got dimensions %v, want at most 10", d)
			}
		}
		want := map[string]float64{"team-a  tokens  ": 1, " org org/calls Daily ": 2, "team-a  tokens  true": 1, "  limit0  ": 1, "other other other other ": 2}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got refusals by limit %v, want %v", got, want)
		}
		if m := sink.metrics(telemetry.Refusals); len(m) != 2 || m[0].Sum != 1 || m[1].Sum != 4 {
			t.Errorf("got refusals %+v, want each call once: 1 of team-a and 4 of team-b", m)
		}
	})
}

func TestEventsAreSentWithTheirIntervalAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		r := telemetry.New(telemetry.Config{Sink: sink, Log: slog.New(slog.DiscardHandler)})
		r.Event(telemetry.Event{Name: telemetry.LimitThreshold})
		time.Sleep(telemetry.DefaultInterval)
		synctest.Wait()
		if len(sink.batches) != 1 || len(sink.batches[0].Events) != 1 || sink.batches[0].Events[0].Name != "Limit Threshold" {
			t.Fatalf("got batches %+v after one interval, want one with one event", sink.batches)
		}
		for range 1200 {
			r.Event(telemetry.Event{Name: telemetry.LimitThreshold})
		}
		_ = r.Close(t.Context())
		if n := len(sink.batches[1].Events); n != 1000 {
			t.Errorf("got %d events in an interval, want 1000", n)
		}
		if m := sink.metrics(telemetry.TelemetryDropped); len(m) != 1 || m[0].Sum != 200 || m[0].Dimensions["Reason"] != "events" {
			t.Errorf("got dropped items %+v, want 200 by events", m)
		}
		r.Event(telemetry.Event{}) // after Close: ignored, without a panic
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
