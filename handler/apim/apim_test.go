package apim_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"tollgate/handler/apim"
	"tollgate/handler/subscription"
)

const whole = `<policies>
  <inbound>
    <base />
    <llm-token-limit counter-key="@(context.Subscription.Id)" tokens-per-minute="1000" token-quota="50000" token-quota-period="Daily"
      estimate-prompt-tokens="true" remaining-tokens-header-name="x-left" tokens-consumed-header-name="x-took" remaining-tokens-variable-name="left" />
    <llm-emit-token-metric namespace="llm"><dimension name="Client IP" value="@(context.Request.IpAddress)" /><dimension name="API ID" />
      <dimension name="Team" value="@(context.Request.Headers.GetValueOrDefault("X-Team"))" /><dimension name="Stage" value="production" /><dimension name="User" value="@(context.User.Id)" /></llm-emit-token-metric>
    <choose><when condition="@(context.Request.Headers.GetValueOrDefault("x", "a<b") == "1")"><rate-limit calls="5" renewal-period="60" /></when></choose>
    <set-backend-service id="apim-generated-policy" backend-id="foundry" />
  </inbound>
  <backend><base /></backend>
</policies>`

func TestAPolicyBecomesATiersLimits(t *testing.T) {
	p, err := apim.ReadPolicy([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := subscription.Limits{TokensPerMinute: 1000, TokenQuota: 50_000, TokenQuotaPeriod: subscription.Daily, Reserve: subscription.ReservePrompt,
		CounterKey: "{subscription}", OnStoreDown: subscription.Degrade}
	if !reflect.DeepEqual(p.Limits, want) || p.Validate("gold") != nil {
		t.Errorf("limits are %+v, %v", p.Limits, p.Validate("gold"))
	}
	if !reflect.DeepEqual(p.Settings, map[string]string{"REMAINING_TOKENS_HEADER": "x-left", "TOKENS_CONSUMED_HEADER": "x-took",
		"METRIC_NAMESPACE": "llm", "METRIC_DIMENSIONS": "Client IP,API ID,Team={header:X-Team},Stage=production"}) {
		t.Errorf("settings are %v", p.Settings)
	}
	lost := strings.Join(p.Lost, "\n")
	for _, part := range []string{"remaining-tokens-variable-name", "rate-limit: Tollgate limits tokens", "set-backend-service", "choose", "dimension User"} {
		if !strings.Contains(lost, part) {
			t.Errorf("lost are\n%s\nwithout %s", lost, part)
		}
	}
	if strings.Contains(lost, "base:") || strings.Contains(lost, "emit-token-metric") {
		t.Errorf("lost are\n%s", lost)
	}
}

func TestCounterKeysHaveTheirCounterparts(t *testing.T) {
	for key, want := range map[string]string{
		`@(context.Subscription.Id)`:                                             "{subscription}",
		`@(context.Request.IpAddress)`:                                           "{client-ip}",
		`@(context.Request.Headers.GetValueOrDefault("X-Team",""))`:              "{header:X-Team}",
		`@(context.Request.Headers.GetValueOrDefault(&quot;X-Team&quot;))`:       "{header:X-Team}",
		`@(context.Subscription.Id + "-" + context.Request.IpAddress)`:           "{subscription}-{client-ip}",
		`@(context.Subscription.Id + context.User.Id)`:                           "", // and is lost
		`@((string)context.Variables["team(1)"])`:                                "",
		`@{ return context.Request.Headers["a"].First() == "}" ? "b" : "c<d"; }`: "",
		`global`: "",
	} {
		p, err := apim.ReadPolicy([]byte(`<llm-token-limit counter-key="` + key + `" tokens-per-minute="10" estimate-prompt-tokens="false" />`))
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		lost := want == ""
		if lost {
			want = "{subscription}"
		}
		if p.Limits.CounterKey != want || (len(p.Lost) > 0) != lost || p.Limits.Reserve != subscription.ReserveNone {
			t.Errorf("%s became %+v, lost %v", key, p.Limits, p.Lost)
		}
	}
}

func TestASecondLimitIsAddedOrLost(t *testing.T) {
	const first = `<fragment><llm-token-limit counter-key="@(context.Subscription.Id)" tokens-per-minute="100" estimate-prompt-tokens="true"/>`
	for second, want := range map[string]struct {
		quota int64
		lost  string
	}{
		`counter-key="@(context.Subscription.Id)" token-quota="5000" token-quota-period="Hourly"`:               {5000, ""},
		`counter-key="@(context.Request.IpAddress)" token-quota="5000" token-quota-period="Hourly"`:             {0, "one counterKey"},
		`counter-key="@(context.Subscription.Id)" tokens-per-minute="50"`:                                       {0, "the same kind"},
		`counter-key="@(context.Subscription.Id)" token-quota="@(long.Parse("5"))" token-quota-period="Hourly"`: {0, "token-quota is @(long.Parse"},
	} {
		p, err := apim.ReadPolicy([]byte(first + `<azure-openai-token-limit estimate-prompt-tokens="true" ` + second + `/></fragment>`))
		if err != nil || p.Limits.TokenQuota != want.quota || p.Limits.TokensPerMinute != 100 || (want.lost == "") != (len(p.Lost) == 0) || !strings.Contains(strings.Join(p.Lost, ""), want.lost) {
			t.Errorf("%s: %+v, lost %v, %v", second, p.Limits, p.Lost, err)
		}
	}
}

func TestWhatIsNoPolicyIsSaid(t *testing.T) {
	for text, want := range map[string]string{"": "no llm-token-limit", "<policies>": "not XML", "{}": "no llm-token-limit", `<policies><inbound x="@(`: "not XML", "\xff\xfe<\x00": "save it as UTF-8"} {
		if _, err := apim.ReadPolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestAPolicyWhoseLimitsAreLostMakesNoTierWithoutAny(t *testing.T) {
	for limits, lost := range map[string]string{
		`tokens-per-minute="{{tokens}}"`:                                         "tokens-per-minute is {{tokens}}",
		`token-quota="5000" token-quota-period="@(context.Variables["period"])"`: "token-quota-period is @(",
	} {
		p, err := apim.ReadPolicy([]byte(`<llm-token-limit counter-key="@(context.Subscription.Id)" ` + limits + `/>`))
		if err != nil || !strings.Contains(strings.Join(p.Lost, ""), lost) {
			t.Errorf("%s: lost %v, %v", limits, p.Lost, err)
		}
		if err := p.Validate("gold"); err == nil || !strings.Contains(err.Error(), "tollgate tier set gold") {
			t.Errorf("%s makes a tier: %v", limits, err)
		}
	}
}

func TestADeclaredEncodingIsNoHindrance(t *testing.T) {
	p, err := apim.ReadPolicy([]byte(`<?xml version="1.0" encoding="utf-16"?><llm-token-limit counter-key="@(context.Subscription.Id)" tokens-per-minute="10"/>`))
	if err != nil || p.Limits.TokensPerMinute != 10 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestSubscriptionsOfEitherExport(t *testing.T) {
	const rest = `{"value":[
	 {"id":"/subscriptions/s/x","name":"Team A (east)","properties":{"scope":"/subscriptions/s/resourceGroups/r/providers/Microsoft.ApiManagement/service/a/products/gold","displayName":"Team A","state":"active","expirationDate":"2027-01-02T03:04:05Z","primaryKey":"canary"}},
	 {"name":"b","properties":{"scope":"/subscriptions/s/service/a/apis/r1","displayName":null,"state":"cancelled"}},
	 {"name":"c","properties":{"scope":"/service/a/products/gold/","state":"suspended"}}],"count":3}`
	all, err := apim.ReadSubscriptions([]byte(rest))
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	want := apim.Subscription{ID: "team-a--east-", From: "Team A (east)", Name: "Team A", Product: "gold", Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}
	if !reflect.DeepEqual(all[0], want) {
		t.Errorf("the first is %+v", all[0])
	}
	if b := all[1]; !b.Suspended || b.Product != "" || len(b.Lost) != 2 || !strings.Contains(b.Lost[0], "apis/r1") || !strings.Contains(b.Lost[1], "cancelled") {
		t.Errorf("the second is %+v", b)
	}
	if c := all[2]; !c.Suspended || c.Product != "gold" || c.Lost != nil {
		t.Errorf("the third is %+v", c)
	}
	flat, err := apim.ReadSubscriptions([]byte(`[{"name":"d","displayName":"D","scope":"/x/products/free","state":"active"}]`))
	if err != nil || len(flat) != 1 || flat[0].Name != "D" || flat[0].Product != "free" {
		t.Errorf("flattened: %+v, %v", flat, err)
	}
}

func TestWhatIsNoSubscriptionListIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		`{"value":[],"nextLink":"https://x"}`: "one page of several", `[{"id":"x"}]`: "no name", `x`: "not a JSON list",
		`{"error":{"code":"AuthorizationFailed"}}`: "no value in them", "\xff\xfe[\x00": "save it as UTF-8",
		`[{"name":"A B"},{"name":"a-b"}]`: `"A B" and "a-b" would both be a-b`,
	} {
		if _, err := apim.ReadSubscriptions([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
