package manage_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

func TestTheDescriptionIsValid(t *testing.T) {
	if valid, faults := described().ValidateDocument(); !valid {
		for _, fault := range faults {
			t.Errorf("%s: %s", fault.Message, fault.Reason)
		}
	}
	o := newOffice(t)
	a := o.ask("GET", "/openapi.json", "", "Authorization", "")
	if a.status != http.StatusOK || a.text != string(manage.OpenAPI) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("the description is answered with %d %.80s", a.status, a.text)
	}
}

func TestOnlyOperatorsAreServed(t *testing.T) {
	o := newOffice(t)
	for _, header := range []string{"", "Bearer ", "Bearer " + operatorKey[1:], "Basic " + operatorKey, operatorKey} {
		a := o.ask("GET", "/tiers", "", "Authorization", header)
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || strings.Contains(a.text, "gold") {
			t.Errorf("%q: %d %s", header, a.status, a.text)
		}
		if a := o.ask("GET", "/nowhere", "", "Authorization", header); a.status != http.StatusUnauthorized {
			t.Errorf("%q is told what there is: %d", header, a.status)
		}
	}
	var me struct{ Who string }
	if o.must("GET", "/me", "").into(t, &me); me.Who != "operator key" {
		t.Errorf("me is %q", me.Who)
	}
	if strings.Contains(o.log.String(), operatorKey) {
		t.Error("the log shows the operator's key")
	}
}

func TestATierIsMadeReadChangedAndReplaced(t *testing.T) {
	o := newOffice(t)
	made := o.must("PUT", "/tiers/silver", `{"tokensPerMinute":100,"tokenQuota":5000,"tokenQuotaPeriod":"Daily"}`)
	if made.status != http.StatusCreated || made.header.Get("Location") != "/manage/tiers/silver" || made.header.Get("ETag") == "" {
		t.Errorf("made: %d %v", made.status, made.header)
	}
	read := o.must("GET", "/tiers/silver", "")
	if read.text != made.text || read.header.Get("ETag") != made.header.Get("ETag") {
		t.Errorf("read %s, made %s", read.text, made.text)
	}
	if a := o.ask("GET", "/tiers/silver", "", "If-None-Match", read.header.Get("ETag")); a.status != http.StatusNotModified || a.text != "" {
		t.Errorf("unchanged: %d %s", a.status, a.text)
	}
	changed := o.must("PATCH", "/tiers/silver", `{"tokensPerMinute":200,"tokenQuota":null,"tokenQuotaPeriod":null}`, "Content-Type", "application/merge-patch+json", "If-Match", read.header.Get("ETag"))
	var tier subscription.Tier
	if changed.into(t, &tier); changed.status != http.StatusOK || tier.TokensPerMinute != 200 || tier.TokenQuota != 0 || tier.TokenQuotaPeriod != "" {
		t.Errorf("changed: %d %s", changed.status, changed.text)
	}
	// What was read can be sent back, changed.
	back := strings.Replace(changed.text, "200", "250", 1)
	replaced := o.must("PUT", "/tiers/silver", back, "If-Match", changed.header.Get("ETag"))
	if replaced.into(t, &tier); replaced.status != http.StatusOK || tier.TokensPerMinute != 250 {
		t.Errorf("replaced: %d %s", replaced.status, replaced.text)
	}
	if a := o.must("PATCH", "/tiers/bronze", `{"tokensPerMinute":10}`); a.status != http.StatusCreated {
		t.Errorf("a patch of none: %d", a.status)
	}
}

func TestAChangeOfAnOlderVersionIsRefused(t *testing.T) {
	o := newOffice(t)
	for _, path := range []string{"/tiers/gold", "/subscriptions/team-a"} {
		before := o.must("GET", path, "")
		body := before.text
		etag := before.header.Get("ETag")
		change := `{"burstTokens":5}`
		if strings.HasPrefix(path, "/sub") {
			change = `{"name":"A"}`
		}
		o.must("PATCH", path, change, "If-Match", etag)
		o.fails(http.StatusPreconditionFailed, "stale", "PATCH", path, change, []string{"If-Match", etag}, "read it again")
		o.fails(http.StatusPreconditionFailed, "stale", "PUT", path, body, []string{"If-Match", etag})
		o.fails(http.StatusPreconditionRequired, "precondition_required", "PUT", path, body, nil, "If-Match")
		o.fails(http.StatusConflict, "exists", "PUT", path, body, []string{"If-None-Match", "*"})
		o.fails(http.StatusPreconditionFailed, "stale", "PUT", path+"x", strings.Replace(strings.Replace(body, `"team-a"`, `"team-ax"`, 1), `"gold"`, `"goldx"`, 1), []string{"If-Match", etag})
		if after := o.must("GET", path, "").text; strings.Contains(after, `"name":"Team A"`) || strings.Contains(path, "tiers") && !strings.Contains(after, `"burstTokens":5`) {
			t.Errorf("%s is %s", path, after)
		}
	}
	if slices.Contains(o.events(), "tier.change gold refused") {
		t.Error("a change that was never tried is in the audit")
	}
}

func TestASubscriptionIsMadeAndChanged(t *testing.T) {
	o := newOffice(t)
	made := o.must("PUT", "/subscriptions/b", `{"tier":"gold","overrides":{"tokensPerMinute":50,"maxWait":"2s"}}`)
	var account subscription.Account
	if made.into(t, &account); made.status != http.StatusCreated || account.Limits.TokensPerMinute != 50 || account.Created.IsZero() || account.Keys == nil {
		t.Errorf("made: %d %s", made.status, made.text)
	}
	o.must("PATCH", "/subscriptions/b", `{"overrides":{"maxWait":null,"burstTokens":7}}`).into(t, &account)
	if string(account.Overrides) != `{"tokensPerMinute":50,"burstTokens":7}` {
		t.Errorf("overrides are %s", account.Overrides)
	}
	if text := o.must("PATCH", "/subscriptions/b", `{"overrides":{"tokensPerMinute":null,"burstTokens":null}}`).text; strings.Contains(text, "overrides") {
		t.Errorf("without overrides: %s", text)
	}
	o.must("PUT", "/tiers/silver", `{"tokensPerMinute":100}`)
	back := strings.Replace(o.must("PATCH", "/subscriptions/b", `{"tier":"silver"}`).text, `"b"`, `"b","name":"B"`, 1)
	o.must("PUT", "/subscriptions/b", back, "If-Match", o.must("GET", "/subscriptions/b", "").header.Get("ETag"))
	var after subscription.Account // what is left out must not stay of the one before
	o.must("GET", "/subscriptions/b", "").into(t, &after)
	if after.Name != "B" || after.Tier != "silver" || after.Limits.TokensPerMinute != 100 || !after.Created.Equal(account.Created) {
		t.Errorf("replaced: %+v", after)
	}
}

func TestSuspendingWorksWithoutATier(t *testing.T) {
	o := newOffice(t)
	s, err := o.store.Subscription(t.Context(), "team-a")
	if err != nil {
		t.Fatal(err)
	}
	s.Tier = "gone"
	if _, err := o.store.PutSubscription(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	o.must("PATCH", "/subscriptions/team-a", `{"suspended":true}`)
	if s, err := o.store.Subscription(t.Context(), "team-a"); err != nil || !s.Suspended {
		t.Errorf("the subscription is %+v, %v", s, err)
	}
	o.fails(http.StatusUnprocessableEntity, "not_found", "PATCH", "/subscriptions/team-a", `{"suspended":false}`, nil, `tier \"gone\"`)
	o.fails(http.StatusUnprocessableEntity, "not_found", "GET", "/subscriptions/team-a", "", nil, `tier \"gone\"`)
}

func TestKeysAreMadeRotatedExpiredAndRevoked(t *testing.T) {
	o := newOffice(t)
	admitted := func(key string) bool {
		_, err := subscription.NewDirectory(o.store, o.pepper).Authenticate(t.Context(), key)
		return err == nil
	}
	var first, second, third manage.MadeKey
	o.must("POST", "/subscriptions/team-a/keys/primary", "").into(t, &first)
	o.fails(http.StatusConflict, "exists", "POST", "/subscriptions/team-a/keys/primary", "", nil, "rotate it")
	o.must("POST", "/subscriptions/team-a/keys/primary/rotate", `{"overlap":"24h"}`).into(t, &second)
	if !admitted(first.Key) || !admitted(second.Key) {
		t.Error("during the overlap not both keys are good")
	}
	var account subscription.Account
	o.must("GET", "/subscriptions/team-a", "").into(t, &account)
	if len(account.Keys) != 2 || slices.IndexFunc(account.Keys, func(k subscription.KeyRecord) bool { return !k.Expires.IsZero() }) < 0 {
		t.Errorf("keys are %+v", account.Keys)
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
	if text := o.must("PATCH", "/subscriptions/team-a/keys/primary", `{"expires":"`+until+`"}`).text; !strings.Contains(text, until) {
		t.Errorf("expiring: %s", text)
	}
	o.must("PATCH", "/subscriptions/team-a/keys/primary", `{"expires":null}`)
	if a := o.must("DELETE", "/subscriptions/team-a/keys/primary", ""); a.status != http.StatusNoContent || a.text != "" {
		t.Errorf("revoke: %d %s", a.status, a.text)
	}
	if admitted(first.Key) || admitted(second.Key) {
		t.Error("a revoked key is admitted")
	}
	o.must("POST", "/subscriptions/team-a/keys/secondary", `{"expires":"`+until+`"}`).into(t, &third)
	if !admitted(third.Key) || third.Expires.IsZero() {
		t.Errorf("a key that expires: %+v", third)
	}
	want := []string{"tier.create gold done", "subscription.create team-a done", "key.create team-a done", "key.create team-a done", "key.expire team-a done",
		"key.expire team-a done", "key.expire team-a done", "key.revoke team-a done", "key.revoke team-a done", "key.create team-a done"}
	if got := o.events(); !slices.Equal(got, want) {
		t.Errorf("the audit is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	audit := o.must("GET", "/audit", "").text
	for _, key := range []string{first.Key, second.Key, third.Key} {
		if strings.Contains(audit, key) || strings.Contains(audit, o.pepper.Hash(key)) || strings.Contains(o.log.String(), key) {
			t.Error("the audit or the log shows a key or its hash")
		}
	}
}

func TestTheAuditTellsWhoChangedWhat(t *testing.T) {
	o := newOffice(t)
	o.must("PATCH", "/tiers/gold", `{"tokensPerMinute":500,"shadow":true}`)
	o.must("PATCH", "/subscriptions/team-a", `{"suspended":true}`)
	var list struct {
		Items []manage.Event
		Next  string
	}
	o.must("GET", "/audit?target=gold&limit=1", "").into(t, &list)
	e := list.Items[0]
	if e.Who != "operator key" || e.Action != "tier.change" || e.Changes["tokensPerMinute"] != (manage.Change{From: 300.0, To: 500.0}) ||
		e.Changes["shadow"] != (manage.Change{To: true}) || len(e.Changes) != 2 || time.Since(e.When) > time.Minute || list.Next == "" {
		t.Errorf("the audit tells %+v, next %q", e, list.Next)
	}
	o.must("GET", "/audit?target=gold&limit=1&after="+list.Next, "").into(t, &list)
	if e := list.Items[0]; e.Action != "tier.create" {
		t.Errorf("the next page begins with %+v", e)
	}
	if got := o.events(); got[len(got)-1] != "subscription.suspend team-a done" {
		t.Errorf("the audit is %v", got)
	}
}

func TestNothingIsChangedWithoutTheAudit(t *testing.T) {
	o := newOffice(t)
	before := o.must("GET", "/tiers/gold", "").text
	o.audit.Fail(errors.New("down"))
	o.fails(http.StatusServiceUnavailable, "unavailable", "PATCH", "/tiers/gold", `{"tokensPerMinute":1}`, nil, "nothing was changed")
	o.fails(http.StatusServiceUnavailable, "unavailable", "POST", "/subscriptions/team-a/keys/primary", "", nil, "nothing was changed")
	if after := o.must("GET", "/tiers/gold", "").text; after != before {
		t.Errorf("the tier is %s", after)
	}
	if keys, err := o.store.Keys(t.Context(), "team-a"); err != nil || len(keys) != 0 {
		t.Errorf("there are keys: %v, %v", keys, err)
	}
}

func TestAChangeWhoseAnswerIsLostStaysUnknown(t *testing.T) {
	o := newOffice(t)
	o.store.Fail(errors.New("down"))
	a := o.ask("PATCH", "/tiers/gold", `{"tokensPerMinute":1}`)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	o.store.Fail(nil)
	for _, e := range o.events() {
		if strings.HasPrefix(e, "tier.change") && !strings.HasSuffix(e, "unknown") {
			t.Errorf("the audit has %s", e)
		}
	}
}

func TestListsAreSearchedAndPaged(t *testing.T) {
	o := newOffice(t)
	for _, id := range []string{"beta", "alpha", "gamma", "team-b"} {
		o.must("PUT", "/subscriptions/"+id, `{"tier":"gold","name":"the `+strings.ToUpper(id)+`"}`)
	}
	o.must("PATCH", "/subscriptions/team-b", `{"suspended":true}`)
	pages := func(query string) (all []string) {
		next := ""
		for {
			var list struct {
				Items []subscription.Subscription
				Next  string
			}
			o.must("GET", "/subscriptions?"+query+"&after="+next, "").into(t, &list)
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
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	if text := o.must("GET", "/tiers?search=old", "").text; !strings.Contains(text, `"id":"gold"`) {
		t.Errorf("tiers: %s", text)
	}
	if text := o.must("GET", "/tiers?search=nothing", "").text; text != `{"items":[]}` {
		t.Errorf("an empty list is %s", text)
	}
}

func TestChecksTellWhatTheyFind(t *testing.T) {
	o := newOffice(t)
	var list struct{ Items []manage.Finding }
	o.must("GET", "/checks", "").into(t, &list)
	if len(list.Items) != 2 || !list.Items[0].OK || list.Items[0].Note != "blue" || list.Items[1].OK || list.Items[1].Note != "wet: wait" {
		t.Errorf("checks found %+v", list.Items)
	}
}
