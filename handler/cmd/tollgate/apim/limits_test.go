package apim_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tollgate/handler/cmd/tollgate/apim"
	"tollgate/handler/config"
	"tollgate/handler/subscription"
)

// start returns the error with which a gateway refuses these settings.
func start(settings map[string]string) error {
	all := map[string]string{"STORE": "memory", "MEMORY_DIRECTORY": "{}", "KEY_PEPPER": "a pepper of a test, long enough",
		"UPSTREAM_URL": "https://example.services.ai.azure.com", "UPSTREAM_API_KEY": "k"}
	maps.Copy(all, settings)
	_, err := config.Load(func(name string) string { return all[name] })
	return err
}

// imported reads a policy's inbound section, and checks that the gateway
// starts with the settings and that the tier can be made.
func imported(t *testing.T, inbound string) (p apim.Policy, lost string) {
	t.Helper()
	p, err := apim.ReadPolicy([]byte("<policies><inbound><base/>" + inbound + "</inbound></policies>"))
	if err != nil {
		t.Fatalf("%s: got error %v, want a policy", inbound, err)
	}
	if err := start(p.Settings); err != nil {
		t.Errorf("%s: got error %v from a gateway with %v, want it to start", inbound, err, p.Settings)
	}
	if err := p.Validate("gold"); err != nil {
		t.Errorf("%s: got error %v, want a valid tier", inbound, err)
	}
	return p, strings.Join(p.Lost, "\n")
}

const bySubscription = `counter-key="@(context.Subscription.Id)" `

func TestRefusedHeaderNamesAreReportedAsLost(t *testing.T) {
	for _, test := range []struct {
		attributes string
		settings   map[string]string // the only header settings
		lost       string
	}{
		{`remaining-tokens-header-name="remaining-tokens" remaining-quota-tokens-header-name="remaining-tokens"`,
			map[string]string{"REMAINING_TOKENS_HEADER": "remaining-tokens"}, `remaining-quota-tokens-header-name: the gateway refuses this name: REMAINING_QUOTA_TOKENS_HEADER is "remaining-tokens"`},
		{`remaining-tokens-header-name="X-Left" tokens-consumed-header-name="x-left"`, map[string]string{"REMAINING_TOKENS_HEADER": "X-Left"}, "tokens-consumed-header-name"},
		{`remaining-tokens-header-name="consumed-tokens" tokens-consumed-header-name="remaining-tokens"`,
			map[string]string{"REMAINING_TOKENS_HEADER": "consumed-tokens", "TOKENS_CONSUMED_HEADER": "remaining-tokens"}, ""},
		{`remaining-tokens-header-name="x-apim-tokens-consumed"`, nil, "remaining-tokens-header-name"},
		{`tokens-consumed-header-name="x-]tokens"`, nil, `"x-]tokens"`},
		{`tokens-consumed-header-name="Content-Length"`, nil, `"Content-Length", a header that has another meaning`},
		{`remaining-tokens-header-name="x left"`, nil, `"x left"`},
		{`remaining-tokens-header-name="Retry-After" retry-after-header-name="Retry-After"`, map[string]string{"RETRY_AFTER_HEADER": "Retry-After"}, "remaining-tokens-header-name"},
		{`remaining-tokens-header-name="@("x-" + context.Api.Id)"`, nil, "set REMAINING_TOKENS_HEADER to its value"},
		{`remaining-tokens-header-name=" x-left " retry-after-header-name=""`, map[string]string{"REMAINING_TOKENS_HEADER": "x-left"}, ""},
		{"remaining-tokens-header-name=\"x\u202eleft\"", nil, "remaining-tokens-header-name"},
	} {
		p, lost := imported(t, `<llm-token-limit `+bySubscription+`tokens-per-minute="1000" token-quota="10000" token-quota-period="Hourly" `+test.attributes+`/>`)
		if !maps.Equal(p.Settings, test.settings) || (test.lost == "") != (lost == "") || !strings.Contains(lost, test.lost) {
			t.Errorf("%s: got settings %v and lost %q, want %v and %q", test.attributes, p.Settings, lost, test.settings, test.lost)
		}
	}
}

func TestHeadersOfALostLimitAreLostWithIt(t *testing.T) {
	for name, second := range map[string]string{
		"of the same kind": bySubscription + `tokens-per-minute="50"`,
		"counts otherwise": `counter-key="@(context.Request.IpAddress)" token-quota="5000" token-quota-period="Daily"`,
		"of no number":     bySubscription + `tokens-per-minute="{{tpm}}"`,
	} {
		lostLimit := `<llm-token-limit ` + second + ` remaining-tokens-header-name="x-lost" tokens-consumed-header-name="x-gone"/>`
		kept := `<llm-token-limit ` + bySubscription + `tokens-per-minute="1000" remaining-tokens-header-name="x-kept"/>`
		p, lost := imported(t, kept+lostLimit)
		if p.Limits.TokensPerMinute != 1000 || !maps.Equal(p.Settings, map[string]string{"REMAINING_TOKENS_HEADER": "x-kept"}) || !strings.Contains(lost, "x-lost") || !strings.Contains(lost, "x-gone") || strings.Contains(lost, "x-kept") {
			t.Errorf("%s: got %+v, settings %v and lost %s, want 1000 tokens a minute, the header x-kept, and x-lost and x-gone lost", name, p.Limits, p.Settings, lost)
		}
		if name == "of no number" {
			if p, _ := imported(t, lostLimit+kept); p.Limits.TokensPerMinute != 1000 || p.Settings["REMAINING_TOKENS_HEADER"] != "x-kept" {
				t.Errorf("%s, first: got %+v and settings %v, want 1000 tokens a minute and the header x-kept", name, p.Limits, p.Settings)
			}
		}
	}
	p, lost := imported(t, `<llm-token-limit `+bySubscription+`tokens-per-minute="1000" remaining-tokens-header-name="x-a"/><llm-token-limit `+bySubscription+`token-quota="5000" token-quota-period="Daily" remaining-tokens-header-name="x-b" remaining-quota-tokens-header-name="x-c"/>`)
	if p.Limits.TokenQuota != 5000 || p.Settings["REMAINING_TOKENS_HEADER"] != "x-a" || p.Settings["REMAINING_QUOTA_TOKENS_HEADER"] != "x-c" || !strings.Contains(lost, "remaining-tokens-header-name is x-a for one limit and x-b for another") {
		t.Errorf("two limits with one counter: got %+v, settings %v and lost %s, want both limits, the headers x-a and x-c, and x-b lost", p.Limits, p.Settings, lost)
	}
}

func TestLimitsWithDifferentKeysAreNotMerged(t *testing.T) {
	const oid, team = `@((string)context.Variables["oid"])`, `@(context.Variables["team"])`
	for _, test := range []struct {
		first, second string
		one           bool
	}{
		{oid, "whole-company", false},
		{"whole-company", oid, false},
		{oid, team, false},
		{oid, "@(context.Subscription.Id)", false},
		{"@(context.Subscription.Id)", oid, false},
		{"one", "two", false},
		{"{{key}}", oid, false},
		{"@{ return x; }", "@{ return y; }", false},
		{oid, oid, true},
		{"one", "one", true},
		{"@(context.Subscription.Id)", "@(context.Subscription?.Id ?? \"anonymous\")", true},
		{"@(context.Subscription.Id)", "@(context.Subscription.Id + \"-month\")", false},
		{"@(context.Request.IpAddress)", "@(context.Request.IpAddress)", true},
	} {
		p, lost := imported(t, `<llm-token-limit counter-key="`+test.first+`" tokens-per-minute="1000"/><llm-token-limit counter-key="`+test.second+`" token-quota="9000" token-quota-period="Daily"/>`)
		if one := p.Limits.TokenQuota == 9000; one != test.one || p.Limits.TokensPerMinute != 1000 {
			t.Errorf("%s and %s: got %+v, want 1000 tokens a minute, and a quota of 9000: %t", test.first, test.second, p.Limits, test.one)
		}
		if noted := strings.Contains(lost, "it counts by "); noted == test.one {
			t.Errorf("%s and %s: got lost %q, want the second limit's counter key in it: %t", test.first, test.second, lost, !test.one)
		}
	}
}

func TestLimitsUnderDifferentConditionsAreNotMerged(t *testing.T) {
	minute, quota := `<llm-token-limit `+bySubscription+`tokens-per-minute="1000"/>`, `<llm-token-limit `+bySubscription+`token-quota="9000" token-quota-period="Daily"/>`
	choose := func(when, otherwise string) string {
		return `<choose><when condition="@(context.Product.Id == "a")">` + when + `</when><otherwise>` + otherwise + `</otherwise></choose>`
	}
	for inbound, both := range map[string]bool{
		choose(minute, quota): false, minute + choose(quota, ""): false, choose("", minute) + quota: false, choose(minute+quota, ""): true, choose(choose(minute, quota), ""): false,
	} {
		p, lost := imported(t, inbound)
		if got := p.Limits.TokensPerMinute > 0 && p.Limits.TokenQuota > 0; got != both || strings.Contains(lost, "another condition") == both || !strings.Contains(lost, "Tollgate has no conditions") {
			t.Errorf("%s: got %+v and lost %s, want both limits: %t, else another condition lost", inbound, p.Limits, lost, both)
		}
	}
}

func TestDifferencesOfTheTierAreReported(t *testing.T) {
	for attributes, want := range map[string]struct {
		limits string // minute, quota and period, reserve, counter key
		lost   string
	}{
		bySubscription + `tokens-per-minute="1000" estimate-prompt-tokens="false"`: {"1000 0  none {subscription}", ""},
		`counter-key="@(context.Subscription.Key)" tokens-per-minute="1000"`:       {"1000 0  prompt {subscription}", "two keys count together"},
		`tokens-per-minute="1000"`: {"1000 0  prompt {subscription}", "no counter-key"},
		`counter-key="@(context.Subscription.Id + "-" + context.Request.MatchedParameters["deployment-id"])" tokens-per-minute="1000"`: {"1000 0  prompt {subscription}-{model}", ""},
		`counter-key="@("a+b-" + context.Subscription.Id)" tokens-per-minute="1000"`:                                                   {"1000 0  prompt a+b-{subscription}", ""},
		`counter-key="@("all" + "users")" tokens-per-minute="1000"`:                                                                    {"1000 0  prompt {subscription}", "no counterpart"},
		`counter-key="@(context.Request.Headers.GetValueOrDefault("X-Auth-Token"))" tokens-per-minute="1000"`:                          {"1000 0  prompt {subscription}", "no counterpart"},
		`counter-key="@("` + strings.Repeat("x", 300) + `" + context.Subscription.Id)" tokens-per-minute="1000"`:                       {"1000 0  prompt {subscription}", "no counterpart"},
		`counter-key="@("\t" + context.Subscription.Id)" tokens-per-minute="1000"`:                                                     {"1000 0  prompt {subscription}", "no counterpart"},
		`counter-key='@('a' + context.Subscription.Id)' tokens-per-minute="1000"`:                                                      {"1000 0  prompt {subscription}", "no counterpart"},
		bySubscription + `token-quota="9000" token-quota-period="daily"`:                                                               {"0 9000 Daily prompt {subscription}", ""},
		bySubscription + `tokens-per-minute="1000" token-quota="9000" token-quota-period="Fortnightly"`:                                {"1000 0  prompt {subscription}", "Fortnightly, which is not a period"},
		bySubscription + `tokens-per-minute="1000" token-quota="9000"`:                                                                 {"1000 0  prompt {subscription}", "token-quota-period is missing"},
		bySubscription + `tokens-per-minute="1000" token-quota="99999999999999999"  token-quota-period="Daily"`:                        {"1000 0  prompt {subscription}", "not a number of tokens"},
		bySubscription + `tokens-per-minute="1e3" token-quota="9000"  token-quota-period="Daily"`:                                      {"0 9000 Daily prompt {subscription}", "1e3, which is not a number"},
		bySubscription + `tokens-per-minute="5000" token-quota="3000" token-quota-period="Daily"`:                                      {"0 3000 Daily prompt {subscription}", "used up first"},
		bySubscription + `tokens-per-minute="10" token-quota="3000000" token-quota-period="Hourly"`:                                    {"10 0  prompt {subscription}", "never allows so many"},
		bySubscription + `tokens-per-minute="1000" estimate-prompt-tokens="@(context.Api.Id == "a")"`:                                  {"1000 0  prompt {subscription}", "estimate-prompt-tokens is an expression"},
	} {
		p, lost := imported(t, `<llm-token-limit `+attributes+`/>`)
		l := p.Limits
		if got := fmt.Sprint(l.TokensPerMinute, " ", l.TokenQuota, " ", l.TokenQuotaPeriod, " ", l.Reserve, " ", l.CounterKey); got != want.limits || (want.lost == "") != (lost == "") || !strings.Contains(lost, want.lost) {
			t.Errorf("%s: got %q and lost %q, want %+v", attributes, got, lost, want)
		}
	}
	p, lost := imported(t, `<llm-token-limit `+bySubscription+`tokens-per-minute="1000" estimate-prompt-tokens="false"/><llm-token-limit `+bySubscription+`token-quota="9000" token-quota-period="Daily" estimate-prompt-tokens="true"/>`)
	if p.Limits.Reserve != subscription.ReservePrompt || !strings.Contains(lost, "both reserve the prompt") {
		t.Errorf("estimates that differ: got %+v and lost %s, want both to reserve the prompt", p.Limits, lost)
	}
}

func TestALimitWithinAnotherPolicyIsFound(t *testing.T) {
	const limit = `<llm-token-limit ` + bySubscription + `tokens-per-minute="1000"/>`
	for _, around := range []string{"retry", "wait", "limit-concurrency", "some-new-policy"} {
		p, lost := imported(t, `<`+around+` condition="@(true)"><set-variable name="a" value="b"/>`+limit+`<unknown><value>x</value></unknown></`+around+`>`)
		if p.Limits.TokensPerMinute != 1000 || !strings.Contains(lost, around+": Tollgate has no such policy") {
			t.Errorf("%s: got %+v and lost %s, want 1000 tokens a minute and the policy around it lost", around, p.Limits, lost)
		}
	}
}

func TestDimensionsKeepTheNamesThatQueriesUse(t *testing.T) {
	const limit = `<llm-token-limit ` + bySubscription + `tokens-per-minute="1000"/>`
	for dimension, want := range map[string]string{
		`name="SubscriptionId" value="@(context.Subscription.Id)"`:                              "SubscriptionId={Subscription ID}",
		`name="Subscription ID" value="@(context.Subscription.Id)"`:                             "Subscription ID",
		`name="sub" value="@(context.Subscription?.Id ?? "none")"`:                              "sub={Subscription ID}",
		`name="sub" value="@((string)context.Subscription.Id.ToString())"`:                      "sub={Subscription ID}",
		`name="Product ID" value="@(context.Subscription.Id)"`:                                  "Product ID={Subscription ID}",
		`name="product" value="@(context.Product.Id)"`:                                          "product={Product ID}",
		`name="ip" value='@(context.Request.IpAddress)'`:                                        "ip={Client IP}",
		`name="deployment" value="@(context.Request.MatchedParameters["deployment-id"])"`:       "deployment={Model}",
		`name="region" value="@(context.Deployment.Region)"`:                                    "region={Location}",
		`name="Team" value="@(context.Request.Headers.GetValueOrDefault("X-Team","none"))"`:     "Team={header:X-Team}",
		`name="Stage" value="production"`:                                                       "Stage=production",
		`name="Stage" value="@("production")"`:                                                  "Stage=production",
		`name="API ID"`:                                                                         "API ID",
		`name="Deployment"`:                                                                     "",
		`name="Region" value="@(context.Deployment.Region)"`:                                    "",
		`name="who" value="@(context.User.Id)"`:                                                 "",
		`name="who" value="@(context.Subscription.Id + "x")"`:                                   "",
		`name="key" value="@(context.Request.Headers.GetValueOrDefault("X-Session-Token",""))"`: "",
		`name="a,b" value="c"`:                                                                  "",
		`name="a" value="{{b}}"`:                                                                "",
		"name=\"a\" value=\"b\u202ec\"":                                                         "",
		`name="` + strings.Repeat("x", 200) + `" value="c"`:                                     "",
	} {
		p, lost := imported(t, limit+`<llm-emit-token-metric namespace="n"><dimension `+dimension+`/></llm-emit-token-metric>`)
		if got := p.Settings["METRIC_DIMENSIONS"]; got != want || (want == "") != (lost != "") {
			t.Errorf("%s: got dimensions %q and lost %q, want %q, or the dimension lost", dimension, got, lost, want)
		}
	}
}

// TestEveryPolicyGivesSettingsThatStartTheGateway builds policies from parts of real ones,
// in valid and invalid combinations.
func TestEveryPolicyGivesSettingsThatStartTheGateway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
		header := func(name string) string {
			return pick(name, "", "", "remaining-tokens", "consumed-tokens", "x-a", "X-A", "x b", "retry-after", "Retry-After", "Content-Type", "x-]y", "{{h}}", "@(\"x\")", "é", "a\tb", "remaining-quota-tokens")
		}
		limit := func() string {
			text := `<` + pick("element", "llm-token-limit", "azure-openai-token-limit") +
				` counter-key="` + pick("key", "@(context.Subscription.Id)", "@(context.Request.IpAddress)", "all", "{{k}}", `@((string)context.Variables["a"])`, `@("x" + context.Subscription.Id)`, `@(context.Request.Headers.GetValueOrDefault("api-key"))`, "") +
				`" tokens-per-minute="` + pick("minute", "", "0", "10", "1000", "100000", "{{t}}", "-1", "@(1)") +
				`" token-quota="` + pick("quota", "", "10", "1000", "99999999", "x") + `" token-quota-period="` + pick("period", "", "Hourly", "Daily", "Yearly", "monthly", "{{p}}") +
				`" estimate-prompt-tokens="` + pick("estimate", "true", "false", "@(a)") + `"`
			for _, name := range []string{"remaining-tokens-header-name", "tokens-consumed-header-name", "remaining-quota-tokens-header-name", "retry-after-header-name"} {
				text += ` ` + name + `="` + header(name) + `"`
			}
			return text + "/>"
		}
		policy := "<policies><inbound>"
		for range rapid.IntRange(1, 4).Draw(t, "limits") {
			policy += limit()
		}
		policy += `<llm-emit-token-metric namespace="` + pick("namespace", "", "llm", "{{n}}", " x ", "API Management", "a\tb") + `">`
		for range rapid.IntRange(0, 8).Draw(t, "dimensions") {
			policy += `<dimension name="` + pick("name", "API ID", "Client IP", "Region", "Replayed", "a", "b=c", "d,e", "{f}", "", " g ", "Reason") +
				`" value="` + pick("value", "", "x", "a,b", "{x}", "@(context.Api.Id)", "@(context.Subscription.Id)", `@(context.Request.Headers.GetValueOrDefault("X-T"))`, `@(context.Request.Headers.GetValueOrDefault("api-key"))`, "{{v}}", "a=b") + `"/>`
		}
		policy += "</llm-emit-token-metric></inbound></policies>"
		p, err := apim.ReadPolicy([]byte(policy))
		if err != nil {
			t.Fatalf("%s: got error %v, want a policy", policy, err)
		}
		if err := start(p.Settings); err != nil {
			t.Fatalf("%s\ngot error %v from a gateway with %v, want it to start", policy, err, p.Settings)
		}
		if err := p.Validate("gold"); err != nil && !strings.Contains(err.Error(), "none of its limits could be carried over") {
			t.Fatalf("%s\ngot error %v, want a valid tier", policy, err)
		}
	})
}
