package telemetry_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/telemetry"
)

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

func TestEventsAreSentWithTheirIntervalUpToABound(t *testing.T) {
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
