package manage_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestBadRequestsGetAClearProblemAndChangeNothing(t *testing.T) {
	f := newFixture(t)
	before := f.must("GET", "/tiers", "").text + f.must("GET", "/subscriptions/team-a", "").text
	json := []string{"Content-Type", "application/json"}
	for _, test := range []struct {
		status       int
		code         string
		method, path string
		body         string
		headers      []string
		parts        []string
	}{
		{404, "no_such_path", "GET", "/tears", "", nil, []string{"openapi.json"}},
		{404, "no_such_path", "GET", "/tiers/", "", nil, nil},
		{404, "no_such_path", "GET", "", "", nil, nil},
		{405, "method_not_allowed", "POST", "/tiers/gold", "", nil, []string{"DELETE, GET, PATCH, PUT"}},
		{404, "not_found", "GET", "/tiers/silver", "", nil, []string{`tier \"silver\"`}},
		{422, "invalid", "GET", "/tiers/Gold", "", nil, []string{`"field":"id"`}},
		{415, "unsupported_media_type", "PUT", "/tiers/x", "{}", []string{"Content-Type", "text/plain"}, []string{"application/json"}},
		{415, "unsupported_media_type", "PATCH", "/tiers/x", "{}", []string{"Content-Type", "application/x-www-form-urlencoded"}, []string{"merge-patch"}},
		{400, "invalid", "PUT", "/tiers/x", "{", json, []string{"not JSON"}},
		{400, "invalid", "PUT", "/tiers/x", "{}{}", json, []string{"more than one"}},
		{400, "invalid", "PATCH", "/tiers/x", "[]", json, []string{"not a JSON object"}},
		{400, "invalid", "PATCH", "/tiers/x", "null", json, []string{"not a JSON object"}},
		{413, "request_too_large", "PUT", "/tiers/x", `{"counterKey":"` + strings.Repeat("x", 1<<16) + `"}`, json, []string{"65536"}},
		{422, "invalid", "PUT", "/tiers/x", `{"tokenPerMinute":1}`, json, []string{`"field":"tokenPerMinute"`, "is unknown"}},
		{422, "invalid", "PUT", "/tiers/x", `{"tokensPerMinute":1,"tokensPerMinute":2}`, json, []string{`"field":"tokensPerMinute"`, "appears twice"}},
		{422, "invalid", "PUT", "/tiers/x", `{"tokensPerMinute":"1"}`, json, []string{`"field":"tokensPerMinute"`, "a whole number"}},
		{422, "invalid", "PUT", "/tiers/x", `{"tokensPerMinute":-1,"reserve":"all"}`, json, []string{`"field":"tokensPerMinute"`, `"field":"reserve"`, "use none, prompt, full"}},
		{422, "invalid", "PUT", "/tiers/x", `{"id":"y","tokensPerMinute":1}`, json, []string{`"field":"id"`, "the path's"}},
		{422, "invalid", "PATCH", "/tiers/gold", `{"shadow":true,"shadow":false}`, nil, []string{`"field":"shadow"`, "appears twice"}},
		{422, "invalid", "PATCH", "/subscriptions/team-a", `{"suspended":true,"suspended":false}`, nil, []string{`"field":"suspended"`, "appears twice"}},
		{422, "invalid", "PATCH", "/subscriptions/team-a", `{"suspended":false,"suspended":true}`, nil, []string{`"field":"suspended"`, "appears twice"}},
		{422, "invalid", "PATCH", "/subscriptions/team-a", `{"suspended":false,"Suspended":true}`, nil, []string{`"field":"Suspended"`, "appears twice"}},
		{422, "invalid", "PATCH", "/subscriptions/team-a", `{"suspended":true,"\u017fuspended":true}`, nil, []string{"appears twice"}},
		{422, "invalid", "PUT", "/subscriptions/b", `{"tier":"gold","overrides":{"shadow":true,"shadow":false}}`, json, []string{`"field":"shadow"`, "appears twice"}},
		{422, "invalid", "POST", "/subscriptions/team-a/keys/primary", `{"expires":"2099-01-01T00:00:00Z","expires":"2098-01-01T00:00:00Z"}`, json, []string{`"field":"expires"`, "appears twice"}},
		{422, "invalid", "PATCH", "/subscriptions/team-a/keys/primary", `{"expires":null,"expires":null}`, json, []string{`"field":"expires"`, "appears twice"}},
		{422, "invalid", "PATCH", "/subscriptions/team-a", `{"name":"a\u202eb"}`, nil, []string{`"field":"name"`, "changes the direction"}},
		{422, "invalid", "PUT", "/subscriptions/b", `{"tier":"gold","name":"\u001b[31m"}`, json, []string{`"field":"name"`, "control character"}},
		{422, "invalid", "PATCH", "/subscriptions/team-a", `{"overrides":{"models":[` + strings.Repeat(`"m",`, 5000) + `"m"]}}`, nil, []string{`"field":"overrides"`, "12000 characters"}},
		{422, "invalid", "PATCH", "/tiers/gold", `{"models":["` + strings.Repeat("é", 13_000) + `"]}`, nil, []string{`"field":"models"`, "12000 characters"}},
		{422, "invalid", "PATCH", "/tiers/gold", `{"version":1}`, json, []string{`"field":"version"`, "leave it out"}},
		{400, "invalid", "PATCH", "/tiers/gold", `{"shadow":true}`, []string{"If-None-Match", `"5"`}, []string{"If-None-Match accepts *"}},
		{422, "not_found", "PUT", "/subscriptions/b", `{"tier":"silver"}`, json, []string{`tier \"silver\"`, `"field":"tier"`}},
		{422, "invalid", "PUT", "/subscriptions/b", `{}`, json, []string{`"field":"tier"`}},
		{404, "not_found", "PATCH", "/subscriptions/b", `{"name":"B"}`, json, []string{`subscription \"b\"`}},
		{404, "not_found", "PATCH", "/subscriptions/b", `{"suspended":true}`, json, []string{`subscription \"b\"`}},
		{422, "not_found", "PATCH", "/subscriptions/team-a", `{"tier":"silver"}`, json, []string{`tier \"silver\"`}},
		{422, "invalid", "PATCH", "/subscriptions/team-a", `{"rules":{},"groups":[],"keys":[]}`, json, []string{`"field":"rules"`, `"field":"groups"`, `"field":"keys"`}},
		{422, "invalid", "PATCH", "/subscriptions/team-a", `{"overrides":{"maxWait":"9h"}}`, json, []string{`"field":"maxWait"`}},
		{422, "invalid", "POST", "/subscriptions/team-a/keys/third", "", nil, []string{`"field":"slot"`, "primary or secondary"}},
		{404, "not_found", "POST", "/subscriptions/b/keys/primary", "", nil, []string{`subscription \"b\"`}},
		{404, "not_found", "POST", "/subscriptions/team-a/keys/primary/rotate", "", nil, []string{"create it"}},
		{404, "not_found", "DELETE", "/subscriptions/team-a/keys/primary", "", nil, []string{"create it"}},
		{422, "invalid", "POST", "/subscriptions/team-a/keys/primary", `{"overlap":"1h"}`, json, []string{`"field":"overlap"`}},
		{422, "invalid", "POST", "/subscriptions/team-a/keys/primary", `{"expires":"2020-01-01T00:00:00Z"}`, json, []string{`"field":"expires"`, "a later time"}},
		{400, "invalid", "POST", "/subscriptions/team-a/keys/primary", `{"expires":"tomorrow"}`, json, []string{"tomorrow"}},
		{422, "invalid", "GET", "/tiers?limit=0", "", nil, []string{`"field":"limit"`, "1 to 1000"}},
		{422, "invalid", "GET", "/tiers?serch=x", "", nil, []string{`"field":"serch"`, "use search, after, limit"}},
		{422, "invalid", "GET", "/subscriptions?state=asleep", "", nil, []string{`"field":"state"`, "use active, suspended"}},
		{422, "invalid", "GET", "/usage?subscription=a&tier=b", "", nil, []string{`"field":"tier"`}},
		{422, "invalid", "GET", "/usage/history?by=week&from=yesterday", "", nil, []string{`"field":"by"`, `"field":"from"`}},
		{422, "invalid", "GET", "/usage/history?from=1h&to=2h", "", nil, []string{"is not before to"}},
	} {
		f.expectProblem(test.status, test.code, test.method, test.path, test.body, test.headers, test.parts...)
	}
	if after := f.must("GET", "/tiers", "").text + f.must("GET", "/subscriptions/team-a", "").text; after != before {
		t.Errorf("after bad requests:\ngot  %s\nwant %s", after, before)
	}
	if got := f.events(); len(got) != 2 {
		t.Errorf("the audit: got %v, want the fixture's two events", got)
	}
}

func TestAnswersAreNotCachedOrShared(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/tiers", "/nowhere", "/openapi.json"} {
		h := f.do("GET", path, "").header
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: got headers %v, want no-store, nosniff and no CORS", path, h)
		}
	}
	if a := f.do("HEAD", "/tiers/gold", ""); a.status != http.StatusOK || a.header.Get("ETag") == "" {
		t.Errorf("HEAD: got %d %v, want 200 with an ETag", a.status, a.header)
	}
}
