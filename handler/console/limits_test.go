package console_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// object is a JSON object.
type object = map[string]any

// populateLimits creates tiers and groups with limits in all units, and subscriptions that
// with no limits, many, some in shadow, a debt, and limits shared with a group. It returns
// lab-1's key.
func (f *fixture) populateLimits() string {
	f.t.Helper()
	f.operate("PUT", "/prices/currency", object{"currency": "USD"}, nil)
	f.operate("PUT", "/prices/DeepSeek-R1/2026-01-01", object{"prompt": "1.35", "completion": "5.4"}, nil)
	f.operate("PUT", "/tiers/open", object{"limits": []any{}}, nil)
	f.operate("PUT", "/tiers/tight", object{"limits": []any{object{"name": "tokens", "unit": "tokens", "perMinute": 1}}, "reserve": "none"}, nil)
	f.operate("PUT", "/tiers/many", object{"limits": []any{
		object{"name": "tokens", "unit": "tokens", "perMinute": 1000, "burst": 500, "quota": 400_000, "period": "Daily"},
		object{"name": "calls", "unit": "calls", "perMinute": 6},
		object{"name": "prompt", "unit": "prompt-tokens", "quota": 90, "period": "Weekly", "alertAt": []int{50, 80, 95}},
		object{"name": "trial", "unit": "completion-tokens", "perMinute": 20, "shadow": true},
		object{"name": "spend", "unit": "cost", "quota": "25.00", "period": "Monthly"},
	}}, nil)
	f.operate("PUT", "/groups/org", object{"name": "The whole organization", "limits": []any{object{"name": "budget", "unit": "cost", "quota": "5000.50", "period": "Monthly", "alertAt": []int{80}}}}, nil)
	f.operate("PUT", "/groups/lab", object{"parent": "org", "limits": []any{object{"name": "calls", "unit": "calls", "perMinute": 600}}}, nil)
	tomorrow := time.Now().UTC().Add(24 * time.Hour).Truncate(time.Hour)
	for id, body := range map[string]object{"free": {"tier": "open"}, "debtor": {"tier": "tight"}, "lab-1": {"tier": "many", "group": "lab", "name": "First of the lab"},
		"lab-2": {"tier": "many", "group": "lab", "overrides": object{"limits": []any{object{"name": "calls", "perMinute": 50, "until": tomorrow}}}}} {
		f.operate("PUT", "/subscriptions/"+id, body, nil)
	}
	var key string
	for _, id := range []string{"debtor", "lab-1"} {
		var made struct{ Key string }
		f.operate("POST", "/subscriptions/"+id+"/keys/primary", nil, &made)
		key = made.Key
		for range 3 {
			f.send("POST", "/openai/v1/chat/completions", made.Key, object{"model": "DeepSeek-R1", "messages": []any{object{"role": "user", "content": "hello " + id}}}, nil)
		}
	}
	return key
}

// TestLimitsGroupsAndPricesAreChangedInABrowser reads and changes limits, groups, overrides and prices in Chromium,
// with a running gateway, and saves screenshots in .artifacts/console.
func TestLimitsGroupsAndPricesAreChangedInABrowser(t *testing.T) {
	chromium := browser(t)
	f := newFixture(t)
	key := f.populateLimits()
	pictures, err := filepath.Abs("../../.artifacts/console")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", "browser/limits.mjs", f.url, operatorKey, key, pictures)
	command.Env = append(os.Environ(), "CHROMIUM_PATH="+chromium)
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("the browser's checks: got error %v and\n%s\nwant all to pass", err, shortened(string(out), key))
	}
	var tier struct{ Limits []any }
	if f.operate("GET", "/tiers/many", nil, &tier); len(tier.Limits) != 5 {
		t.Errorf("the tier many: got %d limits, want the 5 it had and was given again", len(tier.Limits))
	}
	if status := f.send(http.MethodGet, "/manage/groups/lab", operatorKey, nil, nil); status != http.StatusNotFound {
		t.Errorf("the deleted group lab: got %d, want 404", status)
	}
}
