package telemetry_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"tollgate/handler/telemetry"
)

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

func TestTheNumberOfSingleCallsIsBoundedAndLossesAreCounted(t *testing.T) {
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
