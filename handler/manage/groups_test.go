package manage_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

func TestAGroupCanBeCreatedReadChangedReplacedAndDeleted(t *testing.T) {
	f := newFixture(t)
	made := f.must("PUT", "/groups/org", `{"name":"All","limits":[{"name":"spend","unit":"cost","quota":"5000.50","period":"Monthly","alertAt":[80,95]}]}`, "If-None-Match", "*")
	var g subscription.Group
	if made.decode(t, &g); made.status != http.StatusCreated || made.header.Get("Location") != "/manage/groups/org" || g.Limits[0].Quota != 5000_500_000_000 || g.Created.IsZero() {
		t.Errorf("created: got %d %s, want 201 with the limit and the time", made.status, made.text)
	}
	read := f.must("GET", "/groups/org", "")
	if read.text != made.text || read.header.Get("ETag") != made.header.Get("ETag") {
		t.Errorf("read: got %s, want what was created, %s", read.text, made.text)
	}
	changed := f.must("PATCH", "/groups/org", `{"name":null,"limits":[{"name":"calls","unit":"calls","perMinute":60}]}`, "Content-Type", "application/merge-patch+json", "If-Match", read.header.Get("ETag"))
	var after subscription.Group
	if changed.decode(t, &after); after.Name != "" || len(after.Limits) != 1 || after.Limits[0].PerMinute != 60 {
		t.Errorf("changed: got %s, want no name and only the new limit", changed.text)
	}
	back := strings.Replace(changed.text, "60", "70", 1)
	f.expectProblem(http.StatusPreconditionFailed, "stale", "PUT", "/groups/org", back, []string{"If-Match", read.header.Get("ETag")})
	f.expectProblem(http.StatusPreconditionRequired, "precondition_required", "PUT", "/groups/org", back, nil)
	if replaced := f.must("PUT", "/groups/org", back, "If-Match", changed.header.Get("ETag")); !strings.Contains(replaced.text, `"perMinute":70`) {
		t.Errorf("replaced: got %s, want 70 calls a minute", replaced.text)
	}
	f.must("PUT", "/groups/lab", `{"parent":"org"}`)
	f.must("PATCH", "/subscriptions/team-a", `{"group":"lab"}`)
	var account subscription.Details
	if f.must("GET", "/subscriptions/team-a", "").decode(t, &account); len(account.Groups) != 2 || account.Groups[0].ID != "lab" || account.Groups[1].ID != "org" {
		t.Errorf("the subscription's groups: got %+v, want lab and org", account.Groups)
	}
	for query, want := range map[string]int{"": 2, "?parent=org": 1, "?search=LA": 1, "?limit=1": 1} {
		var list struct{ Items []subscription.Group }
		if f.must("GET", "/groups"+query, "").decode(t, &list); len(list.Items) != want {
			t.Errorf("%s: got %+v, want %d groups", query, list.Items, want)
		}
	}
	for group, want := range map[string]string{"org": "team-a", "lab": "team-a"} {
		if text := f.must("GET", "/subscriptions?group="+group, "").text; !strings.Contains(text, want) {
			t.Errorf("subscriptions of %s: got %s, want %s", group, text, want)
		}
	}
	f.must("PATCH", "/groups/lab", `{"suspended":true}`)
	f.must("PATCH", "/groups/lab", `{"suspended":false}`)
	if a := f.must("DELETE", "/groups/lab?force=true", "", "If-Match", f.must("GET", "/groups/lab", "").header.Get("ETag")); a.text != `{"movedSubscriptions":["team-a"],"movedTo":"org"}` {
		t.Errorf("deleted: got %s, want team-a moved to org", a.text)
	}
	want := []string{"tier.create gold done", "subscription.create team-a done", "group.create org done", "group.change org done", "group.change org done", "group.create lab done",
		"subscription.change team-a done", "group.suspend lab done", "group.resume lab done", "subscription.change team-a done", "group.delete lab done"}
	if got := f.events(); !slices.Equal(got, want) {
		t.Errorf("the audit: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatIsInUseIsDeletedOnlyWithForce(t *testing.T) {
	f := newFixture(t)
	f.must("POST", "/subscriptions/team-a/keys/primary", "")
	f.expectProblem(http.StatusConflict, "in_use", "DELETE", "/tiers/gold", "", nil, `1 subscription (team-a)`)
	f.expectProblem(http.StatusConflict, "in_use", "DELETE", "/subscriptions/team-a", "", nil, `1 valid key`)
	f.expectProblem(http.StatusPreconditionFailed, "stale", "DELETE", "/tiers/gold?force=true", "", []string{"If-Match", `"1"`})
	f.expectProblem(http.StatusUnprocessableEntity, "invalid", "DELETE", "/tiers/gold?force=yes", "", nil, `"field":"force"`)
	f.expectProblem(http.StatusNotFound, "not_found", "DELETE", "/tiers/silver", "", nil)
	if a := f.must("DELETE", "/tiers/gold?force=true&dryRun=true", ""); a.text != `{"subscriptions":["team-a"],"keys":1}` {
		t.Errorf("a dry run: got %s, want team-a and one key", a.text)
	}
	f.must("GET", "/tiers/gold", "")
	f.must("DELETE", "/tiers/gold?force=true", "")
	for _, path := range []string{"/tiers/gold", "/subscriptions/team-a"} {
		f.expectProblem(http.StatusNotFound, "not_found", "GET", path, "", nil)
	}
	want := []string{"tier.create gold done", "subscription.create team-a done", "key.create team-a done", "key.revoke team-a done", "subscription.delete team-a done", "tier.delete gold done"}
	if got := f.events(); !slices.Equal(got, want) {
		t.Errorf("the audit: got %v, want %v", got, want)
	}
	var list struct{ Items []manage.Event }
	if f.must("GET", "/audit?target=gold&limit=1", "").decode(t, &list); list.Items[0].Who != "operator key" || list.Items[0].Changes["limits"].From == nil {
		t.Errorf("the tier's deletion: got %+v, want who did it and what it was", list.Items[0])
	}
}

// TestTheShortFormChangesTheLimitNamedTokens, in merge patches of tiers and overrides. What
// else the limit has stays.
func TestTheShortFormChangesTheLimitNamedTokens(t *testing.T) {
	f := newFixture(t)
	limits := func(path, patch, want string) {
		t.Helper()
		var tier subscription.Tier
		f.must("PATCH", path, patch).decode(t, &tier)
		if got, _ := json.Marshal(tier.Limits); string(got) != want {
			t.Errorf("%s %s: got limits %s, want %s", path, patch, got, want)
		}
	}
	limits("/tiers/gold", `{"limits":[{"name":"calls","unit":"calls","perMinute":9},{"name":"tokens","unit":"tokens","perMinute":300,"quota":9000,"period":"Daily","shadow":true}]}`,
		`[{"name":"calls","unit":"calls","perMinute":9},{"name":"tokens","unit":"tokens","perMinute":300,"quota":9000,"period":"Daily","shadow":true}]`)
	limits("/tiers/gold", `{"tokensPerMinute":null}`, `[{"name":"calls","unit":"calls","perMinute":9},{"name":"tokens","unit":"tokens","quota":9000,"period":"Daily","shadow":true}]`)
	limits("/tiers/gold", `{"tokensPerMinute":200,"tokenQuota":0}`, `[{"name":"calls","unit":"calls","perMinute":9},{"name":"tokens","unit":"tokens","perMinute":200,"shadow":true}]`)
	limits("/tiers/gold", `{"counterKey":"{client-ip}"}`, `[{"name":"calls","unit":"calls","perMinute":9},{"name":"tokens","unit":"tokens","perMinute":200,"counterKey":"{client-ip}","shadow":true}]`)
	limits("/tiers/gold", `{"counterKey":null,"burstTokens":50}`, `[{"name":"calls","unit":"calls","perMinute":9},{"name":"tokens","unit":"tokens","perMinute":200,"burst":50,"shadow":true}]`)
	limits("/tiers/gold", `{"tokensPerMinute":0,"burstTokens":null}`, `[{"name":"calls","unit":"calls","perMinute":9}]`)
	limits("/tiers/gold", `{"tokensPerMinute":100}`, `[{"name":"tokens","unit":"tokens","perMinute":100},{"name":"calls","unit":"calls","perMinute":9}]`)

	overrides := func(patch, want string) {
		t.Helper()
		var account subscription.Details
		f.must("PATCH", "/subscriptions/team-a", patch).decode(t, &account)
		if got := overridesOf(t, account); got != want {
			t.Errorf("%s: got overrides %s, want %s", patch, got, want)
		}
	}
	overrides(`{"overrides":{"limits":[{"name":"calls","perMinute":5},{"name":"tokens","perMinute":70,"burst":3,"until":"2099-01-01T00:00:00Z"}],"maxWait":"2s"}}`,
		`{"limits":[{"name":"calls","perMinute":5},{"burst":3,"name":"tokens","perMinute":70,"until":"2099-01-01T00:00:00Z"}],"maxWait":"2s"}`)
	overrides(`{"overrides":{"tokensPerMinute":null}}`, `{"limits":[{"name":"calls","perMinute":5},{"burst":3,"name":"tokens","until":"2099-01-01T00:00:00Z"}],"maxWait":"2s"}`)
	overrides(`{"overrides":{"tokensPerMinute":80,"burstTokens":null,"maxWait":null}}`, `{"limits":[{"name":"calls","perMinute":5},{"name":"tokens","perMinute":80,"until":"2099-01-01T00:00:00Z"}]}`)
	overrides(`{"overrides":{"tokensPerMinute":null}}`, `{"limits":[{"name":"calls","perMinute":5}]}`)
	overrides(`{"overrides":{"limits":[],"tokensPerMinute":90}}`, `{"limits":[{"name":"tokens","perMinute":90}]}`)
	overrides(`{"name":"A"}`, `{"limits":[{"name":"tokens","perMinute":90}]}`)
	overrides(`{"overrides":null}`, `{}`)
}

func TestBadLimitsAreRefusedWithTheirFieldAndChangeNothing(t *testing.T) {
	f := newFixture(t)
	f.must("PUT", "/groups/org", `{}`)
	f.must("PUT", "/groups/lab", `{"parent":"org"}`)
	before := f.must("GET", "/tiers", "").text + f.must("GET", "/groups", "").text + f.must("GET", "/subscriptions/team-a", "").text
	one := func(limit string) string { return `{"limits":[` + limit + `]}` }
	const both = "has the limit named tokens, which tokensPerMinute and the other fields of the short form set too"
	for _, test := range []struct{ method, path, body, want string }{
		{"PUT", "/tiers/x", one(`{"name":"a","perMinute":1}`), "limits.a.unit is missing"},
		{"PUT", "/tiers/x", one(`{"name":"a","unit":"calls"}`), "limits.a.perMinute is missing, and so is quota"},
		{"PUT", "/groups/x", one(`{"name":"a","unit":"calls","perMinute":1,"perMinute":2}`), "perMinute appears twice"},
		{"PUT", "/groups/x", one(`{"name":"a","unit":"calls","perMinute":1,"weights":{"prompt":1}}`), "limits.a.weights are for tokens"},
		{"PUT", "/groups/x", one(`{"name":"a","unit":"calls","perMinute":1,"counterKey":"{user}"}`), "limits.a.counterKey has the unknown part {user}"},
		{"PUT", "/groups/x", one(`{"name":"a","unit":"calls","perMinute":1},{"name":"A","unit":"calls","perMinute":2}`), `"field":"limits.A.name","problem":"differs from \"a\" by case only"`},
		{"PUT", "/groups/x", one(`{"name":"a","unit":"calls","perMinute":1},{"name":"a","unit":"calls","perMinute":2}`), `"field":"limits.a.name","problem":"is used by two limits"`},
		{"PUT", "/groups/x", one(`{"name":"a b","unit":"calls","perMinute":1}`), `"field":"limits.a b.name","problem":"is not a limit's name"`},
		{"PUT", "/groups/x", one(`{"name":"a","unit":"cost","perMinute":1}`), "limits.a.perMinute is not a decimal in quotes"},
		{"PUT", "/groups/x", one(`{"unit":"calls","perMinute":1}`), `"field":"limits.(no name).name","problem":"is missing"`},
		{"PATCH", "/groups/org", `{"parent":"lab"}`, `parent makes group \"org\" its own ancestor`},
		{"PATCH", "/subscriptions/team-a", `{"overrides":{"limits":[{"name":"calls","perMinute":1}]}}`, `with tier \"gold\", overrides.limits has \"calls\", which is not a limit of the tier: use one of tokens`},
		{"PATCH", "/subscriptions/team-a", `{"overrides":{"limits":[{"perMinute":1}]}}`, `"field":"overrides.limits.(no name).name","problem":"is missing"`},
		{"PATCH", "/subscriptions/team-a", `{"overrides":{"limits":[{"name":"tokens","perMinute":1},{"name":"Tokens","perMinute":2}]}}`, `"field":"overrides.limits.Tokens.name","problem":"is used by two overrides"`},
		{"PATCH", "/subscriptions/team-a", `{"overrides":{"limits":[{"name":"tokens"}]}}`, "overrides.limits.tokens.perMinute is missing, and so is every other value"},
		{"PATCH", "/subscriptions/team-a", `{"overrides":{"limits":[{"name":"tokens","unit":"calls"}]}}`, "overrides.limits.tokens.unit can't be overridden"},
		{"PUT", "/tiers/x", `{"tokensPerMinute":1,"limits":[{"name":"tokens","unit":"tokens","perMinute":1}]}`, both},
		{"PATCH", "/tiers/gold", `{"tokensPerMinute":null,"limits":[{"name":"tokens","unit":"tokens","perMinute":1}]}`, both},
		{"PATCH", "/subscriptions/team-a", `{"overrides":{"burstTokens":1,"limits":[{"name":"tokens","perMinute":1}]}}`, both},
		{"PUT", "/subscriptions/b", `{"tier":"gold","overrides":{"burstTokens":1,"limits":[{"name":"tokens","perMinute":1}]}}`, both},
	} {
		f.expectProblem(http.StatusUnprocessableEntity, "invalid", test.method, test.path, test.body, []string{"Content-Type", "application/json"}, test.want)
	}
	f.expectProblem(http.StatusUnprocessableEntity, "not_found", "PATCH", "/groups/org", `{"parent":"gone"}`, nil, `"field":"parent"`, "gone")
	f.expectProblem(http.StatusUnprocessableEntity, "not_found", "PATCH", "/subscriptions/team-a", `{"group":"gone"}`, nil, `"field":"group"`, "gone")
	f.expectProblem(http.StatusNotFound, "not_found", "PATCH", "/groups/gone", `{"name":"x"}`, nil)
	if after := f.must("GET", "/tiers", "").text + f.must("GET", "/groups", "").text + f.must("GET", "/subscriptions/team-a", "").text; after != before {
		t.Errorf("after bad requests:\ngot  %s\nwant %s", after, before)
	}
}

func TestUsageShowsAGroupsCountersInTheirUnit(t *testing.T) {
	f := newFixture(t)
	f.must("PUT", "/groups/org", `{"limits":[{"name":"spend","unit":"cost","quota":"12.50","period":"Daily"}]}`)
	f.must("PUT", "/groups/lab", `{"parent":"org","limits":[{"name":"calls","unit":"calls","perMinute":60}]}`)
	f.must("PATCH", "/subscriptions/team-a", `{"group":"lab"}`)
	spend := counterWith("org@spend.cost", 2_500_000_000)
	spend.Row.Version = 1 // older than the group
	f.counters.entries = []counter.Entry{spend, counterWith("lab@calls", 7), counterWith("team-a/tokens", 9), counterWith("team-b/tokens", 9), counterWith("gold:tokens/client-ip=1", 9)}
	standings := func(query string) []manage.Standing {
		t.Helper()
		var list struct{ Items []manage.Standing }
		f.must("GET", "/usage"+query, "").decode(t, &list)
		return list.Items
	}
	for query, want := range map[string]string{"?group=org": "lab@calls org@spend.cost team-a/tokens", "?group=lab": "lab@calls team-a/tokens", "?tier=gold": "gold:tokens/client-ip=1 team-a/tokens", "?search=spend": "org@spend.cost"} {
		var got []string
		for _, s := range standings(query) {
			got = append(got, s.Counter)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", query, got, want)
		}
	}
	s := standings("?search=spend")[0]
	if s.Group != "org" || s.Limit != "spend" || s.Unit != limit.Cost || s.Minute != nil || s.Quota == nil || s.Quota.Limit.String() != "12.5" || s.Quota.Left.String() != "10" || s.QuotaPeriod != "Daily" {
		t.Errorf("org's counter: got %+v with the quota %+v, want 10 of 12.5 left of the day, and no minute", s, s.Quota)
	}
	if text := f.must("GET", "/usage?search=spend", "").text; !strings.Contains(text, `"limit":"12.5"`) {
		t.Errorf("org's counter: got %s, want money as decimals in quotes", text)
	}
	f.expectProblem(http.StatusNotFound, "not_found", "GET", "/usage?group=gone", "", nil, "gone")
	f.expectProblem(http.StatusUnprocessableEntity, "invalid", "GET", "/usage?group=org&tier=gold", "", nil, `"field":"group"`)
	f.must("GET", "/usage/history?by=day&group=org", "")
	f.must("GET", "/usage/history?by=minute&group=org", "")
}
