package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// startRules starts a gateway whose tier has rules as operators give them, and whose
// subscription is in a group with these limits.
func startRules(t *testing.T, rules, groupLimits string, upstream http.HandlerFunc) *fixture {
	t.Helper()
	b := start(t, subscriptiontest.Limits{}, upstream)
	b.setRules(t, rules, groupLimits)
	return b
}

// setRules gives the tier rules as operators give them, and puts the subscription into a
// group with these limits; empty: into none.
func (b *fixture) setRules(t *testing.T, rules, groupLimits string) {
	t.Helper()
	tier, e1 := b.store.Tier(t.Context(), "demo")
	e2 := json.Unmarshal([]byte(rules), &tier.Rules)
	_, e3 := b.store.PutTier(t.Context(), tier)
	if err := errors.Join(e1, e2, e3); err != nil {
		t.Fatal(err)
	}
	if groupLimits == "" {
		return
	}
	group := subscription.Group{ID: "org"}
	e1 = json.Unmarshal([]byte(groupLimits), &group.Limits)
	_, e2 = b.store.PutGroup(t.Context(), group)
	s, e3 := b.store.Subscription(t.Context(), "team-a")
	s.Group = "org"
	_, e4 := b.store.PutSubscription(t.Context(), s)
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		t.Fatal(err)
	}
}

// limitsLeft returns what GET /usage says is left of each limit, by its full name.
func (b *fixture) limitsLeft(t *testing.T) map[string]string {
	t.Helper()
	response, body := b.get(t, "/usage")
	var decoded struct {
		Limits []struct {
			Name, Tier, Group string
			Minute, Quota     *struct{ Left json.RawMessage }
		}
	}
	if err := json.Unmarshal([]byte(body), &decoded); response.StatusCode != 200 || err != nil {
		t.Fatalf("/usage: got %d %s, %v; want 200", response.StatusCode, body, err)
	}
	left := make(map[string]string)
	for _, l := range decoded.Limits {
		if l.Group != "" {
			l.Name = l.Group + "/" + l.Name
		}
		if l.Minute != nil {
			left[l.Name] = string(l.Minute.Left)
		}
		if l.Quota != nil {
			left[l.Name+" quota"] = string(l.Quota.Left)
		}
	}
	return left
}

func wantLeft(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v left, want %v", when, got, want)
	}
}

// fourLimits are limits of every unit that needs no prices.
const fourLimits = `{"limits":[{"name":"tokens","unit":"tokens","perMinute":1000},{"name":"in","unit":"prompt-tokens","perMinute":500},
	{"name":"out","unit":"completion-tokens","perMinute":500,"quota":5000,"period":"Daily"},{"name":"calls","unit":"calls","perMinute":3}]}`

// TestEachUnitCountsItsOwn: the demo's prompt has 25 tokens, and its answer 40.
func TestEachUnitCountsItsOwn(t *testing.T) {
	b := startRules(t, fourLimits, `[{"name":"calls","unit":"calls","quota":100,"period":"Monthly"}]`, answering(40))
	if response, body := b.post(t, demoPath, demo); response.StatusCode != 200 {
		t.Fatalf("got %d %s, want 200", response.StatusCode, body)
	}
	wantLeft(t, "after one call", b.limitsLeft(t), map[string]string{"tokens": "935", "in": "475", "out": "460", "out quota": "4960", "calls": "2", "org/calls quota": "99"})
}

// TestARefusalLeavesNothingCharged, whichever of a call's limits refuses it.
func TestARefusalLeavesNothingCharged(t *testing.T) {
	for name, c := range map[string]struct {
		rules, group string
		status       int
		code         string
		refusedBy    string
	}{
		"the first": {`{"limits":[{"name":"in","unit":"prompt-tokens","perMinute":30},{"name":"calls","unit":"calls","perMinute":9}]}`, `[]`, 429, "token_limit_exceeded", "in"},
		"the last":  {`{"limits":[{"name":"in","unit":"prompt-tokens","perMinute":900},{"name":"calls","unit":"calls","perMinute":1}]}`, `[]`, 429, "call_limit_exceeded", "calls"},
		"a group's": {`{"limits":[{"name":"in","unit":"prompt-tokens","perMinute":900}]}`, `[{"name":"calls","unit":"calls","quota":1,"period":"Daily"}]`, 403, "call_quota_exceeded", "org/calls"},
		"both": {`{"limits":[{"name":"in","unit":"prompt-tokens","perMinute":30},{"name":"calls","unit":"calls","perMinute":1}]}`,
			`[{"name":"day","unit":"calls","quota":1,"period":"Daily"}]`, 403, "call_quota_exceeded", "in, calls, org/day"},
		"one that it never fits": {`{"limits":[{"name":"in","unit":"prompt-tokens","perMinute":20},{"name":"calls","unit":"calls","perMinute":1}]}`, `[]`, 413, "token_limit_too_small", "in"},
	} {
		t.Run(name, func(t *testing.T) {
			b := startRules(t, c.rules, c.group, answering(5))
			if first, body := b.post(t, demoPath, demo); first.StatusCode != 200 && c.status != 413 {
				t.Fatalf("the first call: got %d %s, want 200", first.StatusCode, body)
			}
			before := b.limitsLeft(t)
			response, body := b.post(t, demoPath, demo)
			var decoded struct {
				Error struct {
					Code   string
					Limits []struct{ Name, Group string }
				}
			}
			if err := json.Unmarshal([]byte(body), &decoded); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, l := range decoded.Error.Limits {
				names = append(names, strings.TrimPrefix(l.Group+"/"+l.Name, "/"))
			}
			if got := response.Header.Get("X-Tollgate-Limit"); response.StatusCode != c.status || decoded.Error.Code != c.code || got != c.refusedBy || strings.Join(names, ", ") != c.refusedBy {
				t.Errorf("got %d %s by %q, listed %q; want %d %s by %q", response.StatusCode, decoded.Error.Code, got, names, c.status, c.code, c.refusedBy)
			}
			if retry := response.Header.Get("X-Should-Retry"); c.status != 429 && retry != "false" {
				t.Errorf("x-should-retry: got %q, want false", retry)
			}
			wantLeft(t, "after the refusal", b.limitsLeft(t), before)
		})
	}
}

// TestOnlyLimitsOfTheModelApply to a call.
func TestOnlyLimitsOfTheModelApply(t *testing.T) {
	b := startRules(t, `{"limits":[{"name":"all","unit":"calls","perMinute":9},{"name":"other","unit":"calls","perMinute":1,"models":["gpt-4o"]}]}`, `[]`, answering(5))
	for i := range 2 {
		if response, body := b.post(t, demoPath, demo); response.StatusCode != 200 {
			t.Fatalf("call %d: got %d %s, want 200", i, response.StatusCode, body)
		}
	}
	wantLeft(t, "after two calls", b.limitsLeft(t), map[string]string{"all": "7", "other": "1"})
}

// TestALimitInShadowRefusesNothing, while others do.
func TestALimitInShadowRefusesNothing(t *testing.T) {
	b := startRules(t, `{"limits":[{"name":"trial","unit":"calls","perMinute":1,"shadow":true},{"name":"calls","unit":"calls","perMinute":2}]}`, `[]`, answering(5))
	for i, want := range []struct {
		status    int
		shadow    string
		refusedBy string
	}{{200, "", ""}, {200, "call_limit_exceeded", ""}, {429, "", "calls"}} {
		response, body := b.post(t, demoPath, demo)
		if got := response.Header; response.StatusCode != want.status || got.Get("X-Tollgate-Shadow") != want.shadow || got.Get("X-Tollgate-Limit") != want.refusedBy {
			t.Errorf("call %d: got %d %s, shadow %q, refused by %q; want %+v", i, response.StatusCode, body, got.Get("X-Tollgate-Shadow"), got.Get("X-Tollgate-Limit"), want)
		}
		if got := response.Header.Get("Ratelimit-Policy"); got != `"calls";q=2;w=60` {
			t.Errorf("call %d: got the policy %s, want that of the limit that isn't in shadow", i, got)
		}
	}
}

// TestTheCapFitsEveryLimit: under reserve full, a call without a cap gets what the limit
// with the least left has.
func TestTheCapFitsEveryLimit(t *testing.T) {
	for name, c := range map[string]struct {
		limits string
		want   string
	}{
		"completion tokens have least": {`[{"name":"tokens","unit":"tokens","perMinute":10000},{"name":"out","unit":"completion-tokens","perMinute":300}]`, `"max_tokens":300`},
		"a weight makes tokens dear":   {`[{"name":"tokens","unit":"tokens","perMinute":100000,"weights":{"prompt":0,"completion":100000}},{"name":"out","unit":"completion-tokens","perMinute":5000}]`, `"max_tokens":1000`},
		"only calls are counted":       {`[{"name":"calls","unit":"calls","perMinute":3}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 1)
			b := startRules(t, `{"reserve":"full","limits":`+c.limits+`}`, `[]`, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				asked <- string(body)
				answering(5)(w, r)
			})
			if response, body := b.post(t, demoPath, demo); response.StatusCode != 200 {
				t.Fatalf("got %d %s, want 200", response.StatusCode, body)
			}
			if got := <-asked; !strings.Contains(got, c.want) || c.want == "" && strings.Contains(got, "max_tokens") {
				t.Errorf("got %s sent upstream, want %q in it (empty: no cap)", got, c.want)
			}
		})
	}
}

// TestWhatTheCapDoesNotAllowIsGivenBackAtOnce: while a call without a cap is under way, each limit
// holds what the cap lets it use, not all that it had left.
func TestWhatTheCapDoesNotAllowIsGivenBackAtOnce(t *testing.T) {
	var b *fixture
	left := make(chan map[string]string, 1)
	b = startRules(t, `{"reserve":"full","limits":[{"name":"tokens","unit":"tokens","perMinute":10000},{"name":"out","unit":"completion-tokens","perMinute":300}]}`, `[]`, func(w http.ResponseWriter, r *http.Request) {
		left <- b.limitsLeft(t)
		answering(5)(w, r)
	})
	if response, body := b.post(t, demoPath, demo); response.StatusCode != 200 {
		t.Fatalf("got %d %s, want 200", response.StatusCode, body)
	}
	got := <-left
	if tokens, err := strconv.Atoi(got["tokens"]); err != nil || tokens < 9000 || got["out"] != "0" {
		t.Errorf("while the call is under way: got %v left, want over 9000 tokens, and no completion tokens", got)
	}
}

// TestFailedCallsAreCounted in calls once an endpoint was asked, and in nothing else.
func TestFailedCallsAreCounted(t *testing.T) {
	b := startRules(t, fourLimits, `[]`, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	if response, _ := b.post(t, demoPath, demo); response.StatusCode != 400 {
		t.Fatalf("got %d, want upstream's 400", response.StatusCode)
	}
	if response, _ := b.post(t, demoPath, strings.Replace(demo, "DeepSeek-R1", "nobody", 1)); response.StatusCode != 404 {
		t.Fatalf("got %d, want 404", response.StatusCode)
	}
	wantLeft(t, "after a failure and a wrong model", b.limitsLeft(t), map[string]string{"tokens": "1000", "in": "500", "out": "500", "out quota": "5000", "calls": "2"})
}

// TestStandardHeadersNameEachLimit: the IETF's and OpenAI's.
func TestStandardHeadersNameEachLimit(t *testing.T) {
	b := startRules(t, fourLimits, `[{"name":"day","unit":"calls","quota":100,"period":"Daily"}]`, answering(40))
	response, _ := b.post(t, demoPath, demo)
	h := response.Header
	if got, want := h.Get("Ratelimit-Policy"), `"tokens";q=1000;w=60;qu="tokens", "in";q=500;w=60;qu="prompt-tokens", "out";q=500;w=60;qu="completion-tokens", "calls";q=3;w=60, "org/day";q=100;w=86400`; got != want {
		t.Errorf("ratelimit-policy:\ngot  %s\nwant %s", got, want)
	}
	state := strings.Split(h.Get("Ratelimit"), ", ")
	for i, want := range []string{`"tokens";r=935;t=`, `"in";r=475;t=`, `"out";r=460;t=`, `"calls";r=2;t=`, `"org/day";r=99;t=`} {
		if i >= len(state) || !strings.HasPrefix(state[i], want) {
			t.Errorf("ratelimit: got %q, want item %d to begin with %s", state, i, want)
		}
	}
	for name, want := range map[string]string{"X-Ratelimit-Limit-Requests": "3", "X-Ratelimit-Remaining-Requests": "2", "X-Ratelimit-Remaining-Tokens": "460", "X-Apim-Remaining-Quota-Tokens": "4960"} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestUpstreamsRateHeadersAreNotPassedOn: they are about the endpoint, which all callers
// share.
func TestUpstreamsRateHeadersAreNotPassedOn(t *testing.T) {
	names := []string{"X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Limit-Requests", "Ratelimit", "Ratelimit-Policy",
		"Anthropic-Ratelimit-Tokens-Remaining", "Azureml-Model-Session", "X-Ms-Region"}
	b := startRules(t, `{}`, `[]`, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range names {
			w.Header().Set(name, "upstream's own")
		}
		answering(5)(w, r)
	})
	response, _ := b.post(t, demoPath, demo)
	for name, values := range response.Header {
		if slices.Contains(values, "upstream's own") {
			t.Errorf("%s: got upstream's value, want none", name)
		}
	}
}
