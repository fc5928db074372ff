package gateway

import (
	"net/http"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestCounterKeysFollowTheirTemplate(t *testing.T) {
	for template, want := range map[string]string{
		"{subscription}":                     "team-a",
		"{subscription}/{model}":             "team-a/model=DeepSeek-R1",
		"{model} {subscription}":             "team-a/model=DeepSeek-R1",
		"{client-ip}":                        "gold:client-ip=192.0.2.7",
		"{model}|{client-ip}":                "gold:model=DeepSeek-R1/client-ip=192.0.2.7",
		"{client-ip}{model}":                 "gold:client-ip=192.0.2.7/model=DeepSeek-R1",
		"{header:X-Team}":                    "gold:header:x-team=a4d41fa0cefb1cccfd7cb91983fad31d",
		"v2-{client-ip}":                     "gold:v2/client-ip=192.0.2.7",
		"{header:x-nobody}":                  "gold:header:x-nobody=",
		"of {header:x-nobody}{subscription}": "team-a/of/header:x-nobody=",
	} {
		limits := subscriptiontest.Limits{CounterKey: subscription.CounterKey(template), TokensPerMinute: 1}
		if err := limits.Validate(); err != nil {
			t.Errorf("Validate with counterKey %s: got error %v, want none", template, err)
		}
		g := &Gateway{config: Config{Settings: Settings{Addresses: Addresses{FrontEnd: true}}}}
		c := &call{caller: caller{grant: &subscription.Grant{Subscription: subscription.Subscription{ID: "team-a"}, Tier: subscription.Tier{ID: "gold", Limits: limits}}},
			arrival: arrival{r: &http.Request{Header: http.Header{"Client-Ip": {"192.0.2.7:123"}, "X-Team": {"blue", "red/client-ip="}}}}}
		if got := g.counterKey(c, "DeepSeek-R1"); got != want {
			t.Errorf("%s: %q, want %q", template, got, want)
		}
	}
}
