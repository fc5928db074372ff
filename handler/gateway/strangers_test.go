package gateway_test

import (
	"log/slog"
	"strings"
	"testing"

	"tollgate/handler/asynctest"
	"tollgate/handler/gateway"
	"tollgate/handler/strangers"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestBadKeysDoNotFloodTheLogAndCallersAreAllLogged(t *testing.T) {
	var text asynctest.Buffer
	log := slog.New(slog.NewJSONHandler(&text, nil))
	quiet := strangers.New(log)
	r := &callReports{more: make(chan struct{}, 1000)}
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 1_000_000}, answering(1), func(c *gateway.Config) { c.Log, c.Strangers, c.Telemetry = log, quiet, r })
	const calls = 60
	for range calls {
		b.post(t, demoPath, demo, "Api-Key", "junk")
		b.post(t, "/no/such/path", demo)
		b.post(t, demoPath, demo)
		r.next()
		r.next()
		r.next()
	}
	quiet.Flush()
	said := text.String()
	const most = 10
	for _, outcome := range []string{"invalid_api_key", "route_not_found"} {
		if n := strings.Count(said, `"outcome":"`+outcome+`"`); n < most+1 || n > calls/2 {
			t.Errorf("got %d lines with the outcome %s, want from %d to %d", n, outcome, most+1, calls/2)
		}
	}
	if n := strings.Count(said, `"status":200`); n != calls {
		t.Errorf("got %d lines about a subscription's calls, want %d", n, calls)
	}
	if n := len(r.calls); n != 3*calls {
		t.Errorf("got %d reports to telemetry, want all %d: it samples itself", n, 3*calls)
	}
}
