package gateway_test

import (
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestTheTierDecidesWhileTheCountersAreDown(t *testing.T) {
	for name, test := range map[string]struct {
		limits   subscriptiontest.Limits
		statuses [4]int // of calls of 115 tokens each, of which 25 are reserved
	}{
		"degrade, a quarter where nothing is known": {subscriptiontest.Limits{TokensPerMinute: 600, OnStoreDown: limit.Degrade}, [4]int{200, 200, 429, 429}},
		"degrade is the default":                    {subscriptiontest.Limits{TokensPerMinute: 600}, [4]int{200, 200, 429, 429}},
		"closed":                                    {subscriptiontest.Limits{TokensPerMinute: 600, OnStoreDown: limit.FailClosed}, [4]int{503, 503, 503, 503}},
		"closed is the default in full":             {subscriptiontest.Limits{TokensPerMinute: 600, Reserve: subscription.ReserveFull}, [4]int{503, 503, 503, 503}},
		"open":                                      {subscriptiontest.Limits{TokensPerMinute: 100, OnStoreDown: limit.FailOpen}, [4]int{200, 200, 200, 200}},
		"shadow refuses nothing":                    {subscriptiontest.Limits{TokensPerMinute: 100, Shadow: true}, [4]int{200, 200, 200, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, test.limits, answering(90))
			b.down.Store(true)
			for i, want := range test.statuses {
				response, body := b.post(t, demoPath, demo)
				if response.StatusCode != want || want != 200 && response.Header.Get("Retry-After") == "" {
					t.Errorf("call %d: got %d %v %s, want %d, with Retry-After if refused", i+1, response.StatusCode, response.Header, body, want)
				}
			}
			if passed := test.statuses[0] == 200; passed != strings.Contains(b.log.String(), `"degraded":true`) {
				t.Errorf("got the log %s, want a degraded call in it: %t", b.log, passed)
			}
		})
	}
}
