package subscription_test

import (
	"slices"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

func TestPlaceholdersKeyAndValidityOfATemplateAgree(t *testing.T) {
	for template, want := range map[subscription.CounterKey]struct {
		placeholders []subscription.Placeholder
		key          string
		valid        bool
	}{
		"":                             {nil, "team-a/tokens", true},
		"{subscription}":               {[]subscription.Placeholder{"subscription"}, "team-a/tokens", true},
		"{client-ip}-{header:X-Team}":  {[]subscription.Placeholder{"client-ip", "header:X-Team"}, "gold:tokens/client-ip=<client-ip>/header:x-team=<header:X-Team>", true},
		"{subscription}/{group}":       {[]subscription.Placeholder{"subscription", "group"}, "team-a/tokens/group=org", true},
		"v2 {model}":                   {[]subscription.Placeholder{"model"}, "gold:tokens/v2/model=<model>", true},
		"{subscription}{subscription}": {[]subscription.Placeholder{"subscription", "subscription"}, "team-a/tokens", true},
		"{{model}":                     {[]subscription.Placeholder{"model"}, "gold:tokens/{/model=<model>", false},
		"{model}}":                     {[]subscription.Placeholder{"model"}, "gold:tokens/model=<model>/}", false},
		"{model":                       {nil, "gold:tokens/{model", false},
		"}{":                           {nil, "gold:tokens/}{", false},
		"{}":                           {[]subscription.Placeholder{""}, "gold:tokens/<>", false},
		"{Subscription}":               {[]subscription.Placeholder{"Subscription"}, "gold:tokens/subscription=<Subscription>", false},
	} {
		owned := subscription.OwnedLimit{Owner: subscription.Owner{Tier: "gold"}, Limit: subscription.Limit{Name: "tokens", Unit: limit.Tokens, PerMinute: 1, CounterKey: template}}
		key := owned.Key(&subscription.Subscription{ID: "team-a", Group: "org"}, func(p subscription.Placeholder) string { return "<" + string(p) + ">" })
		rules := subscription.Rules{Limits: []subscription.Limit{owned.Limit}}
		if got := slices.Collect(template.Placeholders()); !slices.Equal(got, want.placeholders) {
			t.Errorf("placeholders of %q: got %q, want %q", template, got, want.placeholders)
		}
		if key != want.key {
			t.Errorf("%q rendered: got %q, want %q", template, key, want.key)
		}
		if err := rules.Validate(); (err == nil) != want.valid {
			t.Errorf("%q: got error %v, want valid: %t", template, err, want.valid)
		}
	}
}

// Even if the template has {subscription}, the counter must not be the one that the
// subscription has for its tier's limit.
func TestCountersOfAGroupsLimitsBelongToTheGroup(t *testing.T) {
	for template, want := range map[subscription.CounterKey]string{
		"": "org@calls", "{group}": "org@calls", "{subscription}": "org@calls/subscription=team-a", "{model}/{subscription}": "org@calls/model=<model>/subscription=team-a",
	} {
		owned := subscription.OwnedLimit{Owner: subscription.Owner{Group: "org"}, Limit: subscription.Limit{Name: "calls", Unit: limit.Calls, PerMinute: 1, CounterKey: template}}
		if got := owned.Key(&subscription.Subscription{ID: "team-a", Group: "lab"}, func(p subscription.Placeholder) string { return "<" + string(p) + ">" }); got != want {
			t.Errorf("%q rendered: got %q, want %q", template, got, want)
		}
		if got, want := owned.Shared(), template != "{subscription}" && template != "{model}/{subscription}"; got != want {
			t.Errorf("%q is shared: got %t, want %t", template, got, want)
		}
	}
}

// Amounts counted in the old unit mean nothing in the new one.
func TestALimitWhoseUnitChangesGetsNewCounters(t *testing.T) {
	key := func(unit limit.Unit) string {
		owned := subscription.OwnedLimit{Owner: subscription.Owner{Tier: "gold"}, Limit: subscription.Limit{Name: "budget", Unit: unit}}
		return owned.Key(&subscription.Subscription{ID: "team-a"}, nil)
	}
	if cost, calls := key(limit.Cost), key(limit.Calls); cost == calls {
		t.Errorf("the keys of a limit in cost and in calls: got %q for both, want two different ones", cost)
	}
}
