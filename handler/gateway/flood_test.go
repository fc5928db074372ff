package gateway_test

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// When too many calls have unknown keys, the gateway answers 503 with Retry-After in place
// of 401. Calls with a known key are still served.
func TestAFloodOfUnknownKeysIsTurnedAway(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, answering(5))
	if known, body := b.post(t, demoPath, demo); known.StatusCode != 200 {
		t.Fatalf("a known key: got %d %s, want 200", known.StatusCode, body)
	}
	seen := make(map[int]int)
	for range 20_000 {
		response, body := b.get(t, "/usage", "Api-Key", subscription.NewKey())
		seen[response.StatusCode]++
		if response.StatusCode == 503 {
			if response.Header.Get("Retry-After") != "1" || !strings.Contains(body, `"code":"directory_busy"`) || strings.Contains(body, "tg_") {
				t.Errorf("got %v %s, want Retry-After 1 and directory_busy, without the key", response.Header, body)
			}
			break
		}
	}
	if seen[503] != 1 || seen[401] < 900 || len(seen) != 2 {
		t.Errorf("got answers by status %v, want at least 900 of 401 and then one 503", seen)
	}
	if known, body := b.get(t, "/usage"); known.StatusCode != 200 {
		t.Errorf("a known key: got %d %s, want 200", known.StatusCode, body)
	}
}

// A refusal says whether the exceeded limit is the tier's or the subscription's own
// override.
func TestARefusalNamesTheSubscriptionsOwnLimit(t *testing.T) {
	for overrides, want := range map[string]string{
		``:                        `"tier":"demo","counterKey"`,
		`{"tokensPerMinute":100}`: `"tier":"demo","override":true,"counterKey"`,
		`{"maxWait":"0s"}`:        `"tier":"demo","counterKey"`,
		`{"tokenQuota":100,"tokenQuotaPeriod":"Daily"}`: `"tier":"demo","override":true,"counterKey"`,
	} {
		b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, answering(300))
		s, err := b.store.Subscription(t.Context(), "team-a")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(cmp.Or(overrides, "{}")), &s.Overrides); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.PutSubscription(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		b.post(t, demoPath, demo)
		if response, body := b.post(t, demoPath, demo); response.StatusCode != 429 && response.StatusCode != 403 || !strings.Contains(body, want) {
			t.Errorf("overrides %s: got %d %s, want 429 or 403 with %s", overrides, response.StatusCode, body, want)
		}
	}
}
