package gateway

import (
	"net/http"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestCounterKeysFollowTheirTemplate(t *testing.T) {
	for template, want := range map[string]string{
		"{subscription}":                     "team-a/tokens",
		"{subscription}/{model}":             "team-a/tokens/model=DeepSeek-R1",
		"{model} {subscription}":             "team-a/tokens/model=DeepSeek-R1",
		"{client-ip}":                        "gold:tokens/client-ip=192.0.2.7",
		"{model}|{client-ip}":                "gold:tokens/model=DeepSeek-R1/client-ip=192.0.2.7",
		"{client-ip}{model}":                 "gold:tokens/client-ip=192.0.2.7/model=DeepSeek-R1",
		"{header:X-Team}":                    "gold:tokens/header:x-team=a4d41fa0cefb1cccfd7cb91983fad31d",
		"v2-{client-ip}":                     "gold:tokens/v2/client-ip=192.0.2.7",
		"{header:x-nobody}":                  "gold:tokens/header:x-nobody=",
		"of {header:x-nobody}{subscription}": "team-a/tokens/of/header:x-nobody=",
	} {
		rules := subscriptiontest.Limits{CounterKey: subscription.CounterKey(template), TokensPerMinute: 1}.Rules()
		if err := rules.Validate(); err != nil {
			t.Errorf("Validate with counterKey %s: got error %v, want none", template, err)
		}
		g := &Gateway{config: Config{Settings: Settings{Addresses: Addresses{FrontEnd: true}}}}
		l := &subscription.OwnedLimit{Limit: rules.Limits[0], Owner: subscription.Owner{Tier: "gold"}}
		c := &call{caller: caller{grant: &subscription.Grant{Subscription: subscription.Subscription{ID: "team-a"}}},
			arrival: arrival{r: &http.Request{Header: http.Header{"Client-Ip": {"192.0.2.7:123"}, "X-Team": {"blue", "red/client-ip="}}}}}
		if got := g.counterKey(c, l, "DeepSeek-R1"); got != want {
			t.Errorf("%s: got %q, want %q", template, got, want)
		}
	}
}
