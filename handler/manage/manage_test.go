package manage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

func TestTheDescriptionIsValidAndServed(t *testing.T) {
	if valid, faults := apiValidator().ValidateDocument(); !valid {
		for _, fault := range faults {
			t.Errorf("the description: got the fault %s: %s, want none", fault.Message, fault.Reason)
		}
	}
	f := newFixture(t)
	a := f.do("GET", "/openapi.json", "", "Authorization", "")
	if a.status != http.StatusOK || a.text != string(manage.OpenAPI) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("GET /openapi.json: got %d %.80s, want the description", a.status, a.text)
	}
}

func TestRequestsWithoutAnOperatorsTokenGet401(t *testing.T) {
	f := newFixture(t)
	for _, header := range []string{"", "Bearer ", "Bearer " + operatorKey[1:], "Basic " + operatorKey, operatorKey} {
		a := f.do("GET", "/tiers", "", "Authorization", header)
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || strings.Contains(a.text, "gold") {
			t.Errorf("Authorization %q: got %d %s, want 401 without content", header, a.status, a.text)
		}
		if a := f.do("GET", "/nowhere", "", "Authorization", header); a.status != http.StatusUnauthorized {
			t.Errorf("Authorization %q, unknown path: got %d, want 401", header, a.status)
		}
	}
	var me struct{ Who string }
	if f.must("GET", "/me", "").decode(t, &me); me.Who != "operator key" {
		t.Errorf("who: got %q, want operator key", me.Who)
	}
	if strings.Contains(f.log.String(), operatorKey) {
		t.Error("log: got the operator's key in it, want no key")
	}
}

func TestATierCanBeCreatedReadChangedAndReplaced(t *testing.T) {
	f := newFixture(t)
	made := f.must("PUT", "/tiers/silver", `{"tokensPerMinute":100,"tokenQuota":5000,"tokenQuotaPeriod":"Daily"}`)
	if made.status != http.StatusCreated || made.header.Get("Location") != "/manage/tiers/silver" || made.header.Get("ETag") == "" {
		t.Errorf("created: got %d %v, want 201 with Location and ETag", made.status, made.header)
	}
	read := f.must("GET", "/tiers/silver", "")
	if read.text != made.text || read.header.Get("ETag") != made.header.Get("ETag") {
		t.Errorf("read: got %s, want what was created, %s", read.text, made.text)
	}
	if a := f.do("GET", "/tiers/silver", "", "If-None-Match", read.header.Get("ETag")); a.status != http.StatusNotModified || a.text != "" {
		t.Errorf("unchanged: got %d %s, want 304 without a body", a.status, a.text)
	}
	changed := f.must("PATCH", "/tiers/silver", `{"tokensPerMinute":200,"tokenQuota":null,"tokenQuotaPeriod":null}`, "Content-Type", "application/merge-patch+json", "If-Match", read.header.Get("ETag"))
	var tier subscription.Tier
	if changed.decode(t, &tier); changed.status != http.StatusOK || len(tier.Limits) != 1 || tier.Limits[0].PerMinute != 200 || tier.Limits[0].Quota != 0 || tier.Limits[0].Period != "" {
		t.Errorf("changed: got %d %s, want 200 tokens a minute and no quota", changed.status, changed.text)
	}
	// What was read can be edited and sent back.
	back := strings.Replace(changed.text, "200", "250", 1)
	replaced := f.must("PUT", "/tiers/silver", back, "If-Match", changed.header.Get("ETag"))
	if replaced.decode(t, &tier); replaced.status != http.StatusOK || tier.Limits[0].PerMinute != 250 {
		t.Errorf("replaced: got %d %s, want 250 tokens a minute", replaced.status, replaced.text)
	}
	if a := f.must("PATCH", "/tiers/bronze", `{"tokensPerMinute":10}`); a.status != http.StatusCreated {
		t.Errorf("patch of a new tier: got %d, want 201", a.status)
	}
}

func TestAChangeBasedOnAnOlderVersionIsRefused(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/tiers/gold", "/subscriptions/team-a"} {
		before := f.must("GET", path, "")
		body := before.text
		etag := before.header.Get("ETag")
		change := `{"burstTokens":5}`
		if strings.HasPrefix(path, "/sub") {
			change = `{"name":"A"}`
		}
		f.must("PATCH", path, change, "If-Match", etag)
		f.expectProblem(http.StatusPreconditionFailed, "stale", "PATCH", path, change, []string{"If-Match", etag}, "read it again")
		f.expectProblem(http.StatusPreconditionFailed, "stale", "PUT", path, body, []string{"If-Match", etag})
		f.expectProblem(http.StatusPreconditionRequired, "precondition_required", "PUT", path, body, nil, "If-Match")
		f.expectProblem(http.StatusConflict, "exists", "PUT", path, body, []string{"If-None-Match", "*"})
		f.expectProblem(http.StatusPreconditionFailed, "stale", "PUT", path+"x", strings.Replace(strings.Replace(body, `"team-a"`, `"team-ax"`, 1), `"gold"`, `"goldx"`, 1), []string{"If-Match", etag})
		if after := f.must("GET", path, "").text; strings.Contains(after, `"name":"Team A"`) || strings.Contains(path, "tiers") && !strings.Contains(after, `"burst":5`) {
			t.Errorf("%s: got %s, want the first change only", path, after)
		}
	}
	if slices.Contains(f.events(), "tier.change gold refused") {
		t.Error("the audit: got \"tier.change gold refused\", want no change that was refused before it was tried")
	}
}

func TestASubscriptionCanBeCreatedChangedAndReplaced(t *testing.T) {
	f := newFixture(t)
	made := f.must("PUT", "/subscriptions/b", `{"tier":"gold","overrides":{"tokensPerMinute":50,"maxWait":"2s"}}`)
	var account subscription.Details
	if made.decode(t, &account); made.status != http.StatusCreated || account.Rules.Limits[0].PerMinute != 50 || account.Created.IsZero() || account.Keys == nil {
		t.Errorf("created: got %d %s, want 50 tokens a minute and an empty list of keys", made.status, made.text)
	}
	f.must("PATCH", "/subscriptions/b", `{"overrides":{"maxWait":null,"burstTokens":7}}`).decode(t, &account)
	if got := overridesOf(t, account); got != `{"limits":[{"burst":7,"name":"tokens","perMinute":50}]}` {
		t.Errorf("overrides: got %s, want perMinute 50 and burst 7 of tokens, and no maxWait", got)
	}
	if text := f.must("PATCH", "/subscriptions/b", `{"overrides":{"tokensPerMinute":null,"burstTokens":null}}`).text; strings.Contains(text, "overrides") {
		t.Errorf("after removing all overrides: got %s, want none", text)
	}
	f.must("PUT", "/tiers/silver", `{"tokensPerMinute":100}`)
	back := strings.Replace(f.must("PATCH", "/subscriptions/b", `{"tier":"silver"}`).text, `"b"`, `"b","name":"B"`, 1)
	f.must("PUT", "/subscriptions/b", back, "If-Match", f.must("GET", "/subscriptions/b", "").header.Get("ETag"))
	var after subscription.Details // a new value: decoding into the old one would keep fields that are absent now
	f.must("GET", "/subscriptions/b", "").decode(t, &after)
	if after.Name != "B" || after.Tier != "silver" || after.Rules.Limits[0].PerMinute != 100 || !after.Created.Equal(account.Created) {
		t.Errorf("replaced: got %+v, want name B, tier silver and its limit, created at the same time", after)
	}
}

// overridesOf returns a subscription's overrides as JSON.
func overridesOf(t *testing.T, a subscription.Details) string {
	t.Helper()
	text, err := json.Marshal(a.Overrides)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSuspendingWorksEvenIfTheTierIsMissing(t *testing.T) {
	f := newFixture(t)
	s, err := f.store.Subscription(t.Context(), "team-a")
	if err != nil {
		t.Fatal(err)
	}
	s.Tier = "gone"
	if _, err := f.store.PutSubscription(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	f.must("PATCH", "/subscriptions/team-a", `{"suspended":true}`)
	if s, err := f.store.Subscription(t.Context(), "team-a"); err != nil || !s.Suspended {
		t.Errorf("got subscription %+v, %v; want it suspended", s, err)
	}
	f.expectProblem(http.StatusUnprocessableEntity, "not_found", "PATCH", "/subscriptions/team-a", `{"suspended":false}`, nil, `tier \"gone\"`)
	f.expectProblem(http.StatusUnprocessableEntity, "not_found", "GET", "/subscriptions/team-a", "", nil, `tier \"gone\"`)
}

func TestKeysCanBeCreatedRotatedExpiredAndRevoked(t *testing.T) {
	f := newFixture(t)
	accepted := func(key string) bool {
		_, err := subscription.NewDirectory(f.store, f.pepper).Authenticate(t.Context(), key)
		return err == nil
	}
	var first, second, third manage.MadeKey
	f.must("POST", "/subscriptions/team-a/keys/primary", "").decode(t, &first)
	f.expectProblem(http.StatusConflict, "exists", "POST", "/subscriptions/team-a/keys/primary", "", nil, "rotate it")
	f.must("POST", "/subscriptions/team-a/keys/primary/rotate", `{"overlap":"24h"}`).decode(t, &second)
	if !accepted(first.Key) || !accepted(second.Key) {
		t.Errorf("keys valid during the overlap: got first %t, second %t; want both", accepted(first.Key), accepted(second.Key))
	}
	var account subscription.Details
	f.must("GET", "/subscriptions/team-a", "").decode(t, &account)
	if len(account.Keys) != 2 || slices.IndexFunc(account.Keys, func(k subscription.KeyRecord) bool { return !k.Expires.IsZero() }) < 0 {
		t.Errorf("keys: got %+v, want two, one of which expires", account.Keys)
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
	if text := f.must("PATCH", "/subscriptions/team-a/keys/primary", `{"expires":"`+until+`"}`).text; !strings.Contains(text, until) {
		t.Errorf("expiry: got %s, want %s", text, until)
	}
	f.must("PATCH", "/subscriptions/team-a/keys/primary", `{"expires":null}`)
	if a := f.must("DELETE", "/subscriptions/team-a/keys/primary", ""); a.status != http.StatusNoContent || a.text != "" {
		t.Errorf("revoke: got %d %s, want 204", a.status, a.text)
	}
	if accepted(first.Key) || accepted(second.Key) {
		t.Errorf("keys valid after they were revoked: got first %t, second %t; want neither", accepted(first.Key), accepted(second.Key))
	}
	f.must("POST", "/subscriptions/team-a/keys/secondary", `{"expires":"`+until+`"}`).decode(t, &third)
	if !accepted(third.Key) || third.Expires.IsZero() {
		t.Errorf("got key %+v, want a valid one that expires", third)
	}
	want := []string{"tier.create gold done", "subscription.create team-a done", "key.create team-a done", "key.create team-a done", "key.expire team-a done",
		"key.expire team-a done", "key.expire team-a done", "key.revoke team-a done", "key.revoke team-a done", "key.create team-a done"}
	if got := f.events(); !slices.Equal(got, want) {
		t.Errorf("the audit: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	audit := f.must("GET", "/audit", "").text
	for _, key := range []string{first.Key, second.Key, third.Key} {
		if strings.Contains(audit, key) || strings.Contains(audit, f.pepper.Hash(key)) || strings.Contains(f.log.String(), key) {
			t.Error("the audit or the log: got a key or its hash in it, want neither")
		}
	}
}

func TestTheAuditShowsWhoChangedWhat(t *testing.T) {
	f := newFixture(t)
	f.must("PATCH", "/tiers/gold", `{"tokensPerMinute":500,"shadow":true}`)
	f.must("PATCH", "/subscriptions/team-a", `{"suspended":true}`)
	var list struct {
		Items []manage.Event
		Next  string
	}
	f.must("GET", "/audit?target=gold&limit=1", "").decode(t, &list)
	e := list.Items[0]
	if e.Who != "operator key" || e.Action != "tier.change" || !strings.Contains(fmt.Sprint(e.Changes["limits"].From), "perMinute:300") || !strings.Contains(fmt.Sprint(e.Changes["limits"].To), "perMinute:500") ||
		e.Changes["shadow"] != (manage.Change{To: true}) || len(e.Changes) != 2 || time.Since(e.When) > time.Minute || list.Next == "" {
		t.Errorf("got event %+v, next %q; want the operator's change of limits and shadow, and a next page", e, list.Next)
	}
	f.must("GET", "/audit?target=gold&limit=1&after="+list.Next, "").decode(t, &list)
	if e := list.Items[0]; e.Action != "tier.create" {
		t.Errorf("the start of the next page: got %+v, want tier.create", e)
	}
	if got := f.events(); got[len(got)-1] != "subscription.suspend team-a done" {
		t.Errorf("the audit: got %v, want the suspension last", got)
	}
}

func TestNothingIsChangedIfTheAuditCannotBeWritten(t *testing.T) {
	f := newFixture(t)
	before := f.must("GET", "/tiers/gold", "").text
	f.audit.Fail(errors.New("down"))
	f.expectProblem(http.StatusServiceUnavailable, "unavailable", "PATCH", "/tiers/gold", `{"tokensPerMinute":1}`, nil, "nothing was changed")
	f.expectProblem(http.StatusServiceUnavailable, "unavailable", "POST", "/subscriptions/team-a/keys/primary", "", nil, "nothing was changed")
	if after := f.must("GET", "/tiers/gold", "").text; after != before {
		t.Errorf("the tier: got %s, want it unchanged", after)
	}
	if keys, err := f.store.Keys(t.Context(), "team-a"); err != nil || len(keys) != 0 {
		t.Errorf("got keys %v, %v; want none", keys, err)
	}
}

func TestAChangeWithoutAnAnswerStaysUnknownInTheAudit(t *testing.T) {
	f := newFixture(t)
	f.store.Fail(errors.New("down"))
	a := f.do("PATCH", "/tiers/gold", `{"tokensPerMinute":1}`)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %v, want 503 with Retry-After", a.status, a.header)
	}
	f.store.Fail(nil)
	for _, e := range f.events() {
		if strings.HasPrefix(e, "tier.change") && !strings.HasSuffix(e, "unknown") {
			t.Errorf("the audit: got %s, want the change unknown", e)
		}
	}
}

func TestListsCanBeFilteredAndPaged(t *testing.T) {
	f := newFixture(t)
	for _, id := range []string{"beta", "alpha", "gamma", "team-b"} {
		f.must("PUT", "/subscriptions/"+id, `{"tier":"gold","name":"the `+strings.ToUpper(id)+`"}`)
	}
	f.must("PATCH", "/subscriptions/team-b", `{"suspended":true}`)
	pages := func(query string) (all []string) {
		next := ""
		for {
			var list struct {
				Items []subscription.Subscription
				Next  string
			}
			f.must("GET", "/subscriptions?"+query+"&after="+next, "").decode(t, &list)
			for _, s := range list.Items {
				all = append(all, s.ID)
			}
			if next = list.Next; next == "" {
				return all
			}
			all = append(all, "|")
		}
	}
	for query, want := range map[string]string{
		"limit=2": "alpha beta | gamma team-a | team-b", "limit=5": "alpha beta gamma team-a team-b", "search=TEAM": "team-a team-b", "search=the+g": "gamma",
		"state=suspended": "team-b", "state=active&limit=4": "alpha beta gamma team-a", "tier=gold&search=alp": "alpha", "tier=none": "",
	} {
		if got := strings.Join(pages(query), " "); got != want {
			t.Errorf("%s: got %q listed, want %q", query, got, want)
		}
	}
	if text := f.must("GET", "/tiers?search=old", "").text; !strings.Contains(text, `"id":"gold"`) {
		t.Errorf("tiers: got %s, want gold", text)
	}
	if text := f.must("GET", "/tiers?search=nothing", "").text; text != `{"items":[]}` {
		t.Errorf("an empty list: got %s, want {\"items\":[]}", text)
	}
}

func TestChecksReportTheirFindings(t *testing.T) {
	f := newFixture(t)
	var list struct{ Items []manage.Finding }
	f.must("GET", "/checks", "").decode(t, &list)
	if len(list.Items) != 2 || !list.Items[0].OK || list.Items[0].Note != "readable" || list.Items[1].OK || list.Items[1].Note != "unreachable: check the address" {
		t.Errorf("checks: got %+v, want one OK and one fault", list.Items)
	}
}
