package subscription_test

import (
	"slices"
	"testing"

	"tollgate/handler/subscription"
)

func TestACounterKeyParsesRendersAndValidatesAlike(t *testing.T) {
	for template, want := range map[subscription.CounterKey]struct {
		placeholders []subscription.Placeholder
		shared       bool
		key          string
		valid        bool
	}{
		"":                             {nil, false, "team-a", true},
		"{subscription}":               {[]subscription.Placeholder{"subscription"}, false, "team-a", true},
		"{client-ip}-{header:X-Team}":  {[]subscription.Placeholder{"client-ip", "header:X-Team"}, true, "gold:client-ip=<client-ip>/header:x-team=<header:X-Team>", true},
		"v2 {model}":                   {[]subscription.Placeholder{"model"}, true, "gold:v2/model=<model>", true},
		"{subscription}{subscription}": {[]subscription.Placeholder{"subscription", "subscription"}, false, "team-a", true},
		"{{model}":                     {[]subscription.Placeholder{"model"}, true, "gold:{/model=<model>", false},
		"{model}}":                     {[]subscription.Placeholder{"model"}, true, "gold:model=<model>/}", false},
		"{model":                       {nil, true, "gold:{model", false},
		"}{":                           {nil, true, "gold:}{", false},
		"{}":                           {[]subscription.Placeholder{""}, true, "gold:<>", false},
		"{Subscription}":               {[]subscription.Placeholder{"Subscription"}, true, "gold:subscription=<Subscription>", false},
	} {
		key := template.Render("team-a", "gold", func(p subscription.Placeholder) string { return "<" + string(p) + ">" })
		limits := subscription.Limits{TokensPerMinute: 1, CounterKey: template}
		if got := slices.Collect(template.Placeholders()); !slices.Equal(got, want.placeholders) {
			t.Errorf("placeholders of %q: got %q, want %q", template, got, want.placeholders)
		}
		if got := template.Shared(); got != want.shared {
			t.Errorf("%q is shared: got %t, want %t", template, got, want.shared)
		}
		if key != want.key {
			t.Errorf("%q rendered: got %q, want %q", template, key, want.key)
		}
		if err := limits.Validate(); (err == nil) != want.valid {
			t.Errorf("%q: got the fault %v, want valid: %t", template, err, want.valid)
		}
	}
}
