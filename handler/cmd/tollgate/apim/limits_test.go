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

// start returns the error with which a gateway refuses to start with these settings.
func start(settings map[string]string) error {
	all := map[string]string{"STORE": "memory", "MEMORY_DIRECTORY": "{}", "KEY_PEPPER": "a pepper of a test, long enough",
		"UPSTREAM_URL": "https://example.services.ai.azure.com", "UPSTREAM_API_KEY": "k"}
	maps.Copy(all, settings)
	_, err := config.Load(func(name string) string { return all[name] })
	return err
}

// imported reads a policy's inbound section, and checks that a gateway starts with the settings
// and that the tier is valid.
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

// shown returns a policy's limits: names, minutes, quotas, periods and counter keys.
func shown(p apim.Policy) string {
	var all []string
	for _, l := range p.Rules.Limits {
		all = append(all, fmt.Sprint(l.Name, " ", l.PerMinute, " ", l.Quota, " ", l.Period, " ", l.CounterKey))
	}
	return strings.Join(all, "; ")
}

// first returns a policy's first limit, if it has one.
func first(p apim.Policy) subscription.Limit {
	if len(p.Rules.Limits) == 0 {
		return subscription.Limit{}
	}
	return p.Rules.Limits[0]
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
	const lostLimit = `<llm-token-limit ` + bySubscription + `tokens-per-minute="{{tpm}}" remaining-tokens-header-name="x-lost" tokens-consumed-header-name="x-gone"/>`
	const lostCalls = `<rate-limit calls="5" renewal-period="10" retry-after-header-name="x-gone"/>`
	const kept = `<llm-token-limit ` + bySubscription + `tokens-per-minute="1000" remaining-tokens-header-name="x-kept"/>`
	for _, inbound := range []string{kept + lostLimit + lostCalls, lostLimit + lostCalls + kept} {
		p, lost := imported(t, inbound)
		if shown(p) != "tokens 1000 0  {subscription}" || !maps.Equal(p.Settings, map[string]string{"REMAINING_TOKENS_HEADER": "x-kept"}) || !strings.Contains(lost, "x-lost, x-gone") || !strings.Contains(lost, "in 10 s, with its headers x-gone") || strings.Contains(lost, "x-kept") {
			t.Errorf("%s: got %s, settings %v and lost %s, want 1000 tokens a minute, the header x-kept, and x-lost and x-gone lost", inbound, shown(p), p.Settings, lost)
		}
	}
	p, lost := imported(t, `<llm-token-limit `+bySubscription+`tokens-per-minute="1000" remaining-tokens-header-name="x-a"/><llm-token-limit counter-key="@(context.Request.IpAddress)" token-quota="5000" token-quota-period="Daily" remaining-tokens-header-name="x-b" remaining-quota-tokens-header-name="x-c"/>`)
	if shown(p) != "tokens 1000 0  {subscription}; tokens-2 0 5000 Daily {client-ip}" || p.Settings["REMAINING_TOKENS_HEADER"] != "x-a" || p.Settings["REMAINING_QUOTA_TOKENS_HEADER"] != "x-c" || !strings.Contains(lost, "remaining-tokens-header-name is x-a for one limit and x-b for another") {
		t.Errorf("two limits: got %s, settings %v and lost %s, want both, the headers x-a and x-c, and x-b lost", shown(p), p.Settings, lost)
	}
}

func TestLimitsWithDifferentKeysStayApart(t *testing.T) {
	const oid, team = `@((string)context.Variables["oid"])`, `@(context.Variables["team"])`
	const one, two = "tokens 1000 9000 Daily %s", "tokens 1000 0  %s; tokens-2 0 9000 Daily %[1]s"
	for _, test := range []struct{ first, second, want string }{
		{oid, "whole-company", two},
		{"whole-company", oid, two},
		{oid, team, two},
		{oid, "@(context.Subscription.Id)", two},
		{"@(context.Subscription.Id)", oid, two},
		{"one", "two", two},
		{"{{key}}", oid, two},
		{"@{ return x; }", "@{ return y; }", two},
		{oid, oid, one},
		{"one", "one", one},
		{"@(context.Subscription.Id)", "@(context.Subscription?.Id ?? \"anonymous\")", one},
		{"@(context.Subscription.Id)", "@(context.Subscription.Id + \"-month\")", "tokens 1000 0  {subscription}; tokens-2 0 9000 Daily {subscription}-month"},
		{"@(context.Request.IpAddress)", "@(context.Request.IpAddress)", "tokens 1000 9000 Daily {client-ip}"},
	} {
		if strings.Contains(test.want, "%") {
			test.want = fmt.Sprintf(test.want, "{subscription}")
		}
		if p, _ := imported(t, `<llm-token-limit counter-key="`+test.first+`" tokens-per-minute="1000"/><llm-token-limit counter-key="`+test.second+`" token-quota="9000" token-quota-period="Daily"/>`); shown(p) != test.want {
			t.Errorf("%s and %s: got %s, want %s", test.first, test.second, shown(p), test.want)
		}
	}
	same := func(key string) string {
		return `<llm-token-limit counter-key="` + key + `" tokens-per-minute="1000"/>`
	}
	if p, lost := imported(t, same(oid)+same(team)); shown(p) != "tokens 1000 0  {subscription}" || !strings.Contains(lost, oid) || !strings.Contains(lost, team) {
		t.Errorf("two limits that say the same without their keys: got %s and lost %s, want one, and both keys lost", shown(p), lost)
	}
}

func TestCallsAreLimitedAsTokensAre(t *testing.T) {
	for policy, want := range map[string]struct{ limits, lost string }{
		`<rate-limit calls="5" renewal-period="60"/>`:                                                      {"calls 5 0  {subscription}", ""},
		`<rate-limit-by-key calls="5" renewal-period="60" counter-key="@(context.Request.IpAddress)"/>`:    {"calls 5 0  {client-ip}", ""},
		`<rate-limit-by-key calls="5" renewal-period="3600" counter-key="@(context.Request.IpAddress)"/>`:  {"calls 0 5 Hourly {client-ip}", "becomes a quota, which refuses with 403"},
		`<rate-limit-by-key calls="5" renewal-period="86400" counter-key="@(context.Request.IpAddress)"/>`: {"calls 0 5 Daily {client-ip}", "becomes a quota"},
		`<rate-limit calls="5" renewal-period="10"/>`:                                                      {"", "rate-limit of 5 calls in 10 s: limits of calls are for 60 s"},
		`<rate-limit calls="5"/>`: {"", "rate-limit of 5 calls with the renewal-period \"\": limits"},
		`<rate-limit-by-key calls="@(n)" renewal-period="60" counter-key="a"/>`:                                                                                            {"", "calls is @(n), which is not a number of calls"},
		`<rate-limit calls="5" renewal-period="60"><api id="chat" calls="2" renewal-period="60"><operation name="post" calls="1" renewal-period="60"/></api></rate-limit>`: {"calls 5 0  {subscription}", "rate-limit's own calls for the api chat"},
		`<rate-limit calls="5" renewal-period="60" remaining-calls-header-name="x-left" remaining-calls-variable-name="left"/>`:                                            {"calls 5 0  {subscription}", "remaining-calls-header-name x-left: the header x-ratelimit-remaining-requests has the same value"},
		`<quota calls="900" renewal-period="86400"/>`:                                                                                                                      {"calls 0 900 Daily {subscription}", "its periods begin with the subscription's start; here at 00:00 UTC"},
		`<quota calls="900" bandwidth="40" renewal-period="3600"/>`:                                                                                                        {"calls 0 900 Hourly {subscription}", "bandwidth of 40 kilobytes"},
		`<quota bandwidth="40" renewal-period="3600"/>`:                                                                                                                    {"", "bandwidth of 40 kilobytes"},
		`<quota-by-key calls="900" renewal-period="3600" counter-key="@(context.Subscription.Id)"/>`:                                                                       {"calls 0 900 Hourly {subscription}", ""},
		`<quota-by-key calls="900" renewal-period="604800" counter-key="@(context.Subscription.Id)"/>`:                                                                     {"calls 0 900 Weekly {subscription}", ""},
		`<quota-by-key calls="900" renewal-period="604800" counter-key="@(context.Subscription.Id)" first-period-start="2024-01-01T00:00:00Z"/>`:                           {"calls 0 900 Weekly {subscription}", ""}, // a Monday
		`<quota-by-key calls="900" renewal-period="604800" counter-key="@(context.Subscription.Id)" first-period-start="2024-01-02T00:00:00Z"/>`:                           {"calls 0 900 Weekly {subscription}", "first-period-start is 2024-01-02T00:00:00Z: periods begin on Mondays"},
		`<quota-by-key calls="900" renewal-period="86400" counter-key="@(context.Subscription.Id)" first-period-start="2024-01-02T06:30:00Z"/>`:                            {"calls 0 900 Daily {subscription}", "periods begin at 00:00 UTC"},
		`<quota-by-key calls="900" renewal-period="2592000" counter-key="@(context.Subscription.Id)"/>`:                                                                    {"", "quota-by-key of 900 calls in 2592000 s: limits of calls are for"},
		`<quota-by-key calls="900" renewal-period="0" counter-key="@(context.Subscription.Id)"/>`:                                                                          {"", "never renewed"},
		`<rate-limit calls="100" renewal-period="60" increment-count="10"/>`:                                                                                               {"calls 10 0  {subscription}", ""},
		`<rate-limit calls="100" renewal-period="60" increment-count="7"/>`:                                                                                                {"calls 100 0  {subscription}", "increment-count 7; here every call counts as one"},
		`<rate-limit calls="100" renewal-period="60" increment-count="@(n)"/>`:                                                                                             {"calls 100 0  {subscription}", "increment-count @(n)"},
		`<rate-limit calls="100" renewal-period="60" increment-condition="@(context.Response.StatusCode == 200)"/>`:                                                        {"calls 100 0  {subscription}", "increment-condition; here every call that reaches an endpoint counts"},
		`<rate-limit calls="60" renewal-period="60"/><quota-by-key calls="900" renewal-period="3600" counter-key="@(context.Subscription.Id)"/>`:                           {"calls 60 900 Hourly {subscription}", ""},
		`<rate-limit calls="60" renewal-period="60"/><rate-limit-by-key calls="5" renewal-period="60" counter-key="@(context.Request.IpAddress)"/>`:                        {"calls 60 0  {subscription}; calls-2 5 0  {client-ip}", ""},
	} {
		const tokens = `<llm-token-limit ` + bySubscription + `tokens-per-minute="1000"/>`
		p, lost := imported(t, tokens+policy)
		if got := strings.TrimPrefix(strings.TrimPrefix(shown(p), "tokens 1000 0  {subscription}"), "; "); got != want.limits || (want.lost == "") != (lost == "") || !strings.Contains(lost, want.lost) {
			t.Errorf("%s: got %q and lost %q, want %q and %q", policy, got, lost, want.limits, want.lost)
		}
	}
	if p, lost := imported(t, `<rate-limit calls="60" renewal-period="60" retry-after-header-name="x-wait"/>`); shown(p) != "calls 60 0  {subscription}" || p.Settings["RETRY_AFTER_HEADER"] != "x-wait" || p.Rules.Reserve != subscription.ReservePrompt || lost != "" {
		t.Errorf("a rate-limit alone: got %s, reserve %s, settings %v and lost %q, want 60 calls a minute, prompt, x-wait, and nothing lost", shown(p), p.Rules.Reserve, p.Settings, lost)
	}
}

func TestATierHasNoMoreLimitsThanItMay(t *testing.T) {
	var inbound strings.Builder
	for n := range 10 {
		fmt.Fprintf(&inbound, `<rate-limit calls="%d" renewal-period="60"/>`, 100+n)
	}
	p, lost := imported(t, inbound.String())
	if len(p.Rules.Limits) != subscription.MaxLimits || strings.Count(lost, "a tier has 8 limits at most") != 2 || !strings.Contains(lost, "the limit of 109 calls a minute by {subscription}") {
		t.Errorf("ten limits: got %s and lost %s, want the first eight, and two lost", shown(p), lost)
	}
}

func TestLimitsUnderOtherConditionsAreLost(t *testing.T) {
	const minute, quota, calls = `<llm-token-limit ` + bySubscription + `tokens-per-minute="1000"/>`, `<llm-token-limit ` + bySubscription + `token-quota="9000" token-quota-period="Daily"/>`, `<rate-limit calls="5" renewal-period="60"/>`
	const condition, other = ": its condition; here it applies to every call", "another condition than a limit before it"
	choose := func(when, otherwise string) string {
		return `<choose><when condition="@(context.Product.Id == "a")">` + when + `</when><otherwise>` + otherwise + `</otherwise></choose>`
	}
	for inbound, want := range map[string]struct {
		limits            string
		conditions, other int
	}{
		choose(minute, quota):                           {"tokens 1000 0  {subscription}", 1, 1},
		minute + choose(quota, ""):                      {"tokens 1000 9000 Daily {subscription}", 1, 0},
		choose("", minute) + quota:                      {"tokens 1000 9000 Daily {subscription}", 1, 0},
		choose(minute+quota, ""):                        {"tokens 1000 9000 Daily {subscription}", 2, 0},
		choose(choose(minute, quota), ""):               {"tokens 1000 0  {subscription}", 1, 1},
		choose(choose(minute, ""), "") + calls:          {"tokens 1000 0  {subscription}; calls 5 0  {subscription}", 1, 0},
		choose(minute+choose(calls, quota), ""):         {"tokens 1000 0  {subscription}; calls 5 0  {subscription}", 2, 1},
		choose(minute, "") + choose(calls, ""):          {"tokens 1000 0  {subscription}", 1, 1},
		choose(`<rate-limit/>`, "") + choose(calls, ""): {"calls 5 0  {subscription}", 1, 0},
	} {
		p, lost := imported(t, inbound)
		if shown(p) != want.limits || strings.Count(lost, condition) != want.conditions || strings.Count(lost, other) != want.other || !strings.Contains(lost, "Tollgate has no conditions") {
			t.Errorf("%s: got %s and lost %s, want %s, %d conditions lost and %d limits", inbound, shown(p), lost, want.limits, want.conditions, want.other)
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
		l := first(p)
		if got := fmt.Sprint(l.PerMinute, " ", l.Quota, " ", l.Period, " ", p.Rules.Reserve, " ", l.CounterKey); got != want.limits || (want.lost == "") != (lost == "") || !strings.Contains(lost, want.lost) {
			t.Errorf("%s: got %q and lost %q, want %+v", attributes, got, lost, want)
		}
	}
	p, lost := imported(t, `<llm-token-limit `+bySubscription+`tokens-per-minute="1000" estimate-prompt-tokens="false"/><llm-token-limit `+bySubscription+`token-quota="9000" token-quota-period="Daily" estimate-prompt-tokens="true"/>`)
	if p.Rules.Reserve != subscription.ReservePrompt || !strings.Contains(lost, "all reserve the prompt") {
		t.Errorf("estimates that differ: got reserve %s and lost %s, want all to reserve the prompt", p.Rules.Reserve, lost)
	}
}

func TestALimitWithinAnotherPolicyIsFound(t *testing.T) {
	const limit = `<llm-token-limit ` + bySubscription + `tokens-per-minute="1000"/>`
	for _, around := range []string{"retry", "wait", "limit-concurrency", "some-new-policy"} {
		p, lost := imported(t, `<`+around+` condition="@(true)"><set-variable name="a" value="b"/>`+limit+`<quota calls="9" renewal-period="0"><api name="chat"/></quota><unknown><value>x</value></unknown></`+around+`>`)
		if shown(p) != "tokens 1000 0  {subscription}" || !strings.Contains(lost, around+": Tollgate has no such policy") || !strings.Contains(lost, "never renewed") || !strings.Contains(lost, "the api chat") {
			t.Errorf("%s: got %s and lost %s, want 1000 tokens a minute, and the policy around it, the quota and its API lost", around, shown(p), lost)
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
		calls := func() string {
			return `<` + pick("element", "rate-limit", "rate-limit-by-key", "quota", "quota-by-key") + ` calls="` + pick("calls", "", "5", "5", "100", "-1", "{{c}}") +
				`" renewal-period="` + pick("renewal", "60", "60", "3600", "86400", "604800", "0", "10", "P1M", "") + `" bandwidth="` + pick("bandwidth", "", "", "40") +
				`" counter-key="` + pick("key", "@(context.Subscription.Id)", "@(context.Request.IpAddress)", "all", "") + `" increment-count="` + pick("count", "", "1", "5", "0", "@(n)") +
				`" first-period-start="` + pick("first", "", "2024-01-01T00:00:00Z", "x") + `" retry-after-header-name="` + header("retry-after-header-name") + `"/>`
		}
		limit := func() string {
			if rapid.Bool().Draw(t, "of calls") {
				return calls()
			}
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
		for range rapid.IntRange(1, 12).Draw(t, "limits") {
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
		if warnings := strings.Join(p.Rules.Warnings(), "\n"); strings.Contains(warnings, "say the same") {
			t.Fatalf("%s\ngot the warnings %s, want no two limits that say the same", policy, warnings)
		}
	})
}
