package apim_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"tollgate/handler/cmd/tollgate/apim"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/telemetry"
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
	want := subscription.Rules{Limits: []subscription.Limit{
		{Name: "tokens", Unit: limit.Tokens, PerMinute: 1000, Quota: 50_000, Period: limit.Daily, CounterKey: "{subscription}"},
		{Name: "calls", Unit: limit.Calls, PerMinute: 5, CounterKey: "{subscription}"},
	}, Reserve: subscription.ReservePrompt, OnStoreDown: limit.Degrade, StoredContent: subscription.StoredRefuse}
	if !reflect.DeepEqual(p.Rules, want) || p.Validate("gold") != nil {
		t.Errorf("got rules %+v (%v), want %+v, valid for a tier", p.Rules, p.Validate("gold"), want)
	}
	if !reflect.DeepEqual(p.Settings, map[string]string{"REMAINING_TOKENS_HEADER": "x-left", "TOKENS_CONSUMED_HEADER": "x-took",
		"METRIC_NAMESPACE": "llm", "METRIC_DIMENSIONS": "Client IP,API ID,Team={header:X-Team},Stage=production"}) {
		t.Errorf("got settings %v, want the two headers, the namespace and four dimensions", p.Settings)
	}
	lost := strings.Join(p.Lost, "\n")
	for _, part := range []string{"remaining-tokens-variable-name", "rate-limit of 5 calls in 60 s: its condition", "set-backend-service", "choose", "dimension User"} {
		if !strings.Contains(lost, part) {
			t.Errorf("got lost:\n%s\nwant %s in it", lost, part)
		}
	}
	if strings.Contains(lost, "base:") || strings.Contains(lost, "emit-token-metric") {
		t.Errorf("got lost:\n%s\nwant neither base nor emit-token-metric in it", lost)
	}
}

func TestCounterKeysHaveTheirCounterparts(t *testing.T) {
	for key, want := range map[string]string{
		`@(context.Subscription.Id)`:                                             "{subscription}",
		`@(context.Request.IpAddress)`:                                           "{client-ip}",
		`@(context.Request.Headers.GetValueOrDefault("X-Team",""))`:              "{header:X-Team}",
		`@(context.Request.Headers.GetValueOrDefault(&quot;X-Team&quot;))`:       "{header:X-Team}",
		`@(context.Subscription.Id + "-" + context.Request.IpAddress)`:           "{subscription}-{client-ip}",
		`@(context.Subscription.Id + context.User.Id)`:                           "", // has no counterpart, so it is lost
		`@((string)context.Variables["team(1)"])`:                                "",
		`@{ return context.Request.Headers["a"].First() == "}" ? "b" : "c<d"; }`: "",
		`global`: "",
	} {
		p, err := apim.ReadPolicy([]byte(`<llm-token-limit counter-key="` + key + `" tokens-per-minute="10" estimate-prompt-tokens="false" />`))
		if err != nil {
			t.Errorf("%s: got error %v, want a policy", key, err)
			continue
		}
		lost := want == ""
		if lost {
			want = "{subscription}"
		}
		if string(first(p).CounterKey) != want || (len(p.Lost) > 0) != lost || p.Rules.Reserve != subscription.ReserveNone {
			t.Errorf("%s: got %s, reserve %s and lost %v, want the counter key %s, no reservation and lost parts: %t", key, shown(p), p.Rules.Reserve, p.Lost, want, lost)
		}
	}
}

func TestASecondLimitIsAddedOrJoined(t *testing.T) {
	const first = `<fragment><llm-token-limit counter-key="@(context.Subscription.Id)" tokens-per-minute="100" estimate-prompt-tokens="true"/>`
	for second, want := range map[string]struct{ limits, lost string }{
		`counter-key="@(context.Subscription.Id)" token-quota="5000" token-quota-period="Hourly"`:               {"tokens 100 5000 Hourly {subscription}", ""},
		`counter-key="@(context.Subscription.Id)" tokens-per-minute="100"`:                                      {"tokens 100 0  {subscription}", ""},
		`counter-key="@(context.Request.IpAddress)" token-quota="5000" token-quota-period="Hourly"`:             {"tokens 100 0  {subscription}; tokens-2 0 5000 Hourly {client-ip}", ""},
		`counter-key="@(context.Subscription.Id)" tokens-per-minute="50"`:                                       {"tokens 100 0  {subscription}; tokens-2 50 0  {subscription}", ""},
		`counter-key="@(context.Subscription.Id)" token-quota="@(long.Parse("5"))" token-quota-period="Hourly"`: {"tokens 100 0  {subscription}", "token-quota is @(long.Parse"},
	} {
		p, err := apim.ReadPolicy([]byte(first + `<azure-openai-token-limit estimate-prompt-tokens="true" ` + second + `/></fragment>`))
		if err != nil || shown(p) != want.limits || (want.lost == "") != (len(p.Lost) == 0) || !strings.Contains(strings.Join(p.Lost, ""), want.lost) {
			t.Errorf("%s: got %s, lost %v and error %v, want %s and lost %q", second, shown(p), p.Lost, err, want.limits, want.lost)
		}
	}
}

func TestReadPolicyRejectsOtherText(t *testing.T) {
	for text, want := range map[string]string{"": "no llm-token-limit, rate-limit or quota", "<policies>": "not XML", "{}": "no llm-token-limit, rate-limit or quota", `<policies><inbound x="@(`: "not XML", "\xff\xfe<\x00": "save it as UTF-8"} {
		if _, err := apim.ReadPolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q in it", text, err, want)
		}
	}
}

func TestAPolicyWhoseLimitsAreAllLostMakesNoTier(t *testing.T) {
	for limits, lost := range map[string]string{
		`tokens-per-minute="{{tokens}}"`:                                         "tokens-per-minute is {{tokens}}",
		`token-quota="5000" token-quota-period="@(context.Variables["period"])"`: "token-quota-period is @(",
	} {
		p, err := apim.ReadPolicy([]byte(`<llm-token-limit counter-key="@(context.Subscription.Id)" ` + limits + `/>`))
		if err != nil || !strings.Contains(strings.Join(p.Lost, ""), lost) {
			t.Errorf("%s: got lost %v and error %v, want %q lost", limits, p.Lost, err, lost)
		}
		if err := p.Validate("gold"); err == nil || !strings.Contains(err.Error(), "tollgate tier set gold") {
			t.Errorf("%s: got error %v for the tier, want one that names tollgate tier set gold", limits, err)
		}
	}
}

func TestADeclaredEncodingIsIgnored(t *testing.T) {
	p, err := apim.ReadPolicy([]byte(`<?xml version="1.0" encoding="utf-16"?><llm-token-limit counter-key="@(context.Subscription.Id)" tokens-per-minute="10"/>`))
	if err != nil || first(p).PerMinute != 10 {
		t.Errorf("a document that says utf-16: got %+v and error %v, want 10 tokens a minute", p, err)
	}
}

func TestAPolicyIsReadAsTheRestAPIAnswersIt(t *testing.T) {
	answer, err := json.Marshal(map[string]any{"name": "policy", "properties": map[string]any{"format": "rawxml", "value": whole}})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := apim.ReadPolicy(append([]byte("\ufeff"), answer...)); err != nil || first(p).PerMinute != 1000 || first(p).Quota != 50_000 {
		t.Errorf("the answer of Azure's API: got %+v and error %v, want 1000 tokens a minute and a quota of 50000", p, err)
	}
}

func TestExpressionsInAnElementsTextAreSkipped(t *testing.T) {
	const limit = `<llm-token-limit counter-key = "@(context.Subscription.Id)" tokens-per-minute="10"/>`
	for _, body := range []string{
		`<set-body>@{ var b = context.Request.Body.As<JObject>(preserveContent: true); if (b != null && (int)b["n"] < 3) { b["n"] = "}"; } return b.ToString(); }</set-body>`,
		"<set-header name=\"x\"><value>\n  @(context.Variables.GetValueOrDefault<string>(\"a\") + '\"' + \")\")\n</value></set-header>",
		`<set-body>@{ return &quot;a&quot; &amp;&amp; 1 &lt; 2; }</set-body>`,
		`<set-body><![CDATA[@{ return 1 < 2; }]]></set-body>`,
		`<set-variable name="x" value='@(context.Request.Headers.GetValueOrDefault("a","b"))'/>`,
	} {
		if p, err := apim.ReadPolicy([]byte("<policies><inbound>" + body + limit + "</inbound></policies>")); err != nil || first(p).PerMinute != 10 || len(p.Lost) != 1 {
			t.Errorf("%s: got %+v and error %v, want 10 tokens a minute and one part lost", body, p, err)
		}
	}
}

func TestNamedValuesAreReportedAsLost(t *testing.T) {
	p, err := apim.ReadPolicy([]byte(`<fragment><llm-token-limit counter-key="{{key}}" tokens-per-minute="10" token-quota="50" token-quota-period="{{period}}" ` +
		`remaining-tokens-header-name="{{header}}" tokens-consumed-header-name="took"/><llm-emit-token-metric namespace="{{ns}}"><dimension name="Stage" value="{{stage}}"/></llm-emit-token-metric></fragment>`))
	if err != nil || p.Validate("gold") != nil || !reflect.DeepEqual(p.Settings, map[string]string{"TOKENS_CONSUMED_HEADER": "took"}) {
		t.Errorf("got settings %v, error %v and tier error %v, want TOKENS_CONSUMED_HEADER only and no errors", p.Settings, err, p.Validate("gold"))
	}
	lost := strings.Join(p.Lost, "\n")
	for _, part := range []string{"counter-key is {{key}}, a named value", "token-quota-period is {{period}}", "set REMAINING_TOKENS_HEADER", "set METRIC_NAMESPACE", "dimension Stage"} {
		if !strings.Contains(lost, part) {
			t.Errorf("got lost:\n%s\nwant %s in it", lost, part)
		}
	}
}

func TestDimensionsAreValidForTheGateway(t *testing.T) {
	p, err := apim.ReadPolicy([]byte(`<fragment><llm-token-limit counter-key='@(context.Request.Headers.GetValueOrDefault("api-key","anon"))' tokens-per-minute="10"/>` +
		`<llm-emit-token-metric><dimension name="API ID" value="@(context.Api.Id)"/><dimension name="Client IP"/><dimension name="Subscription ID" value="@(context.Subscription?.Id)"/></llm-emit-token-metric>` +
		`<azure-openai-emit-token-metric><dimension name="Client IP" value="@(context.Request.IpAddress)"/><dimension name="List" value="a,b"/>` +
		`<dimension name="Model" value="@(context.Request.MatchedParameters["deployment-id"])"/><dimension name="Stage" value="test"/><dimension name="Sixth" value="6"/></azure-openai-emit-token-metric></fragment>`))
	if err != nil || first(p).CounterKey != "{subscription}" || p.Validate("gold") != nil {
		t.Fatalf("got %+v, error %v and tier error %v, want the counter key {subscription} and no errors", p, err, p.Validate("gold"))
	}
	chosen := p.Settings["METRIC_DIMENSIONS"]
	if _, err := telemetry.ParseDimensions(strings.Split(chosen, ",")); err != nil || chosen != "API ID,Client IP,Subscription ID,Model,Stage=test" {
		t.Errorf("got dimensions %s (error %v), want API ID, Client IP, Subscription ID, Model and Stage=test", chosen, err)
	}
	if lost := strings.Join(p.Lost, "\n"); len(p.Lost) != 3 || !strings.Contains(lost, "two keys count together") || !strings.Contains(lost, "List: a,b has no") || !strings.Contains(lost, "Sixth: METRIC_DIMENSIONS has 5 at most") {
		t.Errorf("got lost:\n%s\nwant three: keys that count together, List and Sixth", lost)
	}
}

func TestACounterKeyOfTheKeysHeaderBecomesTheSubscription(t *testing.T) {
	for _, header := range []string{"api-key", "Ocp-Apim-Subscription-Key", "Authorization"} {
		const policy = `<fragment><llm-token-limit counter-key='@(context.Request.Headers.GetValueOrDefault("HEADER",""))' tokens-per-minute="10"/>` +
			`<llm-emit-token-metric><dimension name="Caller" value='@(context.Request.Headers.GetValueOrDefault("HEADER",""))'/></llm-emit-token-metric></fragment>`
		p, err := apim.ReadPolicy([]byte(strings.ReplaceAll(policy, "HEADER", header)))
		if err != nil || first(p).CounterKey != "{subscription}" || p.Validate("gold") != nil || p.Settings["METRIC_DIMENSIONS"] != "" || len(p.Lost) != 2 {
			t.Errorf("%s: got %+v, error %v and tier error %v, want {subscription}, no dimensions and two parts lost", header, p, err, p.Validate("gold"))
		}
	}
}

func TestFragmentsAndConditionsAreReportedAsLost(t *testing.T) {
	p, err := apim.ReadPolicy([]byte(`<policies><inbound><include-fragment fragment-id="quotas"/><choose><when condition="@(context.Subscription.Id == "a")">` +
		`<llm-token-limit counter-key="@(context.Subscription.Id)" tokens-per-minute="10"/></when></choose></inbound></policies>`))
	lost := strings.Join(p.Lost, "\n")
	if err != nil || !strings.Contains(lost, "include-fragment quotas: the fragment was not read") || !strings.Contains(lost, "when: Tollgate has no conditions; a limit inside applies to every call") {
		t.Errorf("got error %v and lost:\n%s\nwant the fragment and the condition in it", err, lost)
	}
}

func TestReadSubscriptionsReadsBothExports(t *testing.T) {
	const rest = `{"value":[
	 {"id":"/subscriptions/s/x","name":"Team A (east)","properties":{"scope":"/subscriptions/s/resourceGroups/r/providers/Microsoft.ApiManagement/service/a/products/gold","displayName":"Team A","state":"active","expirationDate":"2027-01-02T03:04:05Z","primaryKey":"canary"}},
	 {"name":"b","properties":{"scope":"/subscriptions/s/service/a/apis/r1","displayName":null,"state":"cancelled"}},
	 {"name":"c","properties":{"scope":"/service/a/products/gold/","state":"suspended"}}],"count":3}`
	all, err := apim.ReadSubscriptions([]byte(rest))
	if err != nil || len(all) != 3 {
		t.Fatalf("got %+v and error %v, want 3 subscriptions", all, err)
	}
	want := apim.Subscription{ID: "team-a--east-", From: "Team A (east)", Name: "Team A", Product: "gold", Expires: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}
	if !reflect.DeepEqual(all[0], want) {
		t.Errorf("the first: got %+v, want %+v", all[0], want)
	}
	if b := all[1]; !b.Suspended || b.Product != "" || len(b.Lost) != 2 || !strings.Contains(b.Lost[0], "apis/r1") || !strings.Contains(b.Lost[1], "cancelled") {
		t.Errorf("the second: got %+v, want it suspended, without a product, and apis/r1 and cancelled lost", b)
	}
	if c := all[2]; !c.Suspended || c.Product != "gold" || c.Lost != nil {
		t.Errorf("the third: got %+v, want it suspended, with the product gold and nothing lost", c)
	}
	flat, err := apim.ReadSubscriptions([]byte(`[{"name":"d","displayName":"D","scope":"/x/products/free","state":"active"}]`))
	if err != nil || len(flat) != 1 || flat[0].Name != "D" || flat[0].Product != "free" {
		t.Errorf("flattened: got %+v and error %v, want D with the product free", flat, err)
	}
}

func TestReadSubscriptionsReportsOtherFiles(t *testing.T) {
	for text, want := range map[string]string{
		`{"value":[],"nextLink":"https://x"}`: "one page of several", `[{"id":"x"}]`: "no name", `x`: "not a JSON list",
		`{"error":{"code":"AuthorizationFailed"}}`: "no value in the file", "\xff\xfe[\x00": "save it as UTF-8",
		`[{"name":"A B"},{"name":"a-b"}]`: `"A B" and "a-b" would both be a-b`,
	} {
		if _, err := apim.ReadSubscriptions([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q in it", text, err, want)
		}
	}
}
