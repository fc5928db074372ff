package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// shows checks that text has each of parts.
func shows(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: got\n%s\nwant %q in it", what, text, part)
		}
	}
}

func TestLimitsAreAddedReplacedAndRemovedByName(t *testing.T) {
	onBoth(t, func(t *testing.T, m *terminal) {
		limits := func(want string, args ...string) {
			t.Helper()
			var tier subscription.Tier
			if err := json.Unmarshal([]byte(m.must(append(args, "-o", "json")...)), &tier); err != nil || joinLimits(tier.Limits) != want {
				t.Errorf("%v: got %q and error %v, want %q", args, joinLimits(tier.Limits), err, want)
			}
		}
		limits("calls 60/minute; cost 12.5/day alert 50,80", "tier", "set", "gold", "--create", "--limit", "calls 60/minute", "--limit", "cost 12.50/day alert 50,80")
		limits("tokens 1,000/minute; calls 60/minute; cost 12.5/day alert 50,80", "tier", "set", "gold", "--tokens-per-minute", "1000")
		limits("tokens 1,000/minute burst 50; calls 70/minute", "tier", "set", "gold", "--limit", "calls 70/minute", "--remove-limit", "cost", "--burst-tokens", "50")
		limits("calls 70/minute", "tier", "set", "gold", "--tokens-per-minute", "0", "--burst-tokens", "0")
		file := m.file("limits.json", `[{"name":"spend","unit":"cost","quota":"9.99","period":"Monthly"},{"name":"calls","unit":"calls","perMinute":5}]`)
		limits("spend: cost 9.99/month; calls 6/minute", "tier", "set", "gold", "--limits-file", file, "--limit", "calls 6/minute")
		shows(t, "tier show", m.must("tier", "show", "gold"), "spend: cost 9.99/month", "of tier gold")
		if shown := m.must("tier", "show", "gold", "-o", "json"); strings.Contains(shown, "onStoreDown") {
			t.Errorf("tier show as JSON: got %s, want only what the tier sets", shown)
		}
		shows(t, "tier list", m.must("tier", "list"), "degrade", "spend: cost 9.99/month; calls 6/minute")

		m.fails(exitUsage, []string{"--limit", "it has no amount"}, "tier", "set", "gold", "--limit", "calls")
		m.fails(exitUsage, []string{`there is no limit "tokens": there are spend, calls`}, "tier", "set", "gold", "--remove-limit", "tokens")
		m.fails(exitUsage, []string{`limits.Calls.name differs from "calls" by case only`}, "tier", "set", "gold", "--limit", "Calls: calls 5/minute")
		m.fails(exitUsage, []string{"limits has the limit named tokens, which tokensPerMinute"}, "tier", "set", "gold", "--limit", "tokens 5/minute", "--tokens-per-minute", "6")
		m.fails(exitUsage, []string{"--limits-file", "no such file"}, "tier", "set", "gold", "--limits-file", "missing.json")
		m.fails(exitUsage, []string{"--limits-file", "limits.a.colour is unknown"}, "tier", "set", "gold", "--limits-file", m.file("bad.json", `[{"name":"a","colour":1}]`))
		m.fails(exitUsage, []string{"tier.json: is a JSON object: use a list"}, "tier", "set", "gold", "--limits-file", m.file("tier.json", `{"limits":[]}`))
		m.fails(exitNotFound, []string{`There is no tier "silver"`, "--create"}, "tier", "set", "silver", "--limit", "calls 5/minute")
		limits("spend: cost 9.99/month; calls 6/minute", "tier", "show", "gold")
	})
}

func TestLimitsAreReadFromStdin(t *testing.T) {
	m := newTerminal(t)
	var out, errs bytes.Buffer
	a := &app{getenv: func(name string) string { return m.environment[name] }, stdin: strings.NewReader(`[{"name":"calls","unit":"calls","perMinute":5}]`), stdout: &out, stderr: &errs, tables: m.tables}
	if status := a.execute(t.Context(), []string{"group", "create", "lab", "--limits-file", "-"}); status != exitDone || !strings.Contains(out.String(), "calls 5/minute") {
		t.Errorf("got status %d, %s and %s, want %d and the limit", status, out.String(), errs.String(), exitDone)
	}
}

func TestGroupsAreCreatedJoinedSuspendedAndDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, m *terminal) {
		m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "1000")
		m.must("group", "create", "org", "--name", "All", "--limit", "cost 5000/month alert 80,95")
		shows(t, "group create", m.must("group", "create", "lab", "--parent", "org", "--limit", "calls 600/minute"), "Part of", "org", "calls 600/minute", "of group lab")
		m.must("subscription", "create", "team-a", "--tier", "gold", "--group", "lab")
		shows(t, "subscription show", m.must("subscription", "show", "team-a"), "lab, part of org", "tokens 1,000/minute", "of tier gold", "calls 600/minute", "of group lab", "cost 5000/month", "of group org")
		shows(t, "group set", m.must("group", "set", "lab", "--limit", "tokens 9/hour", "--remove-limit", "calls", "--name", "Lab"), "Lab", "tokens 9/hour")
		shows(t, "group list", m.must("group", "list", "--parent", "org"), "lab", "Lab", "tokens 9/hour")
		shows(t, "subscription list", m.must("subscription", "list", "--group", "org"), "team-a")
		shows(t, "group suspend", m.must("group", "suspend", "lab"), "suspended")
		shows(t, "a suspended group", m.must("subscription", "show", "team-a"), "lab (suspended), part of org")
		shows(t, "group resume", m.must("group", "resume", "lab"), "active")
		shows(t, "audit", m.must("audit", "lab"), "group.suspend", "limits from calls 600/minute to tokens 9/hour")
		m.must("usage", "--group", "org")

		m.fails(exitUsage, []string{`parent makes group "org" its own ancestor`}, "group", "set", "org", "--parent", "lab")
		m.fails(exitUsage, []string{"there is nothing to change"}, "group", "set", "org")
		m.fails(exitNotFound, []string{`group "gone" was not found`}, "subscription", "set", "team-a", "--group", "gone")
		m.fails(exitNotFound, []string{`group "gone" was not found`}, "group", "set", "gone", "--name", "x")
		m.fails(exitConflict, []string{`group "org" exists already`}, "group", "create", "org")
		m.fails(exitConflict, []string{`group "lab" is in use by 1 subscription (team-a)`}, "group", "delete", "lab", "--yes")
		shows(t, "group delete", m.must("group", "delete", "lab", "--force", "--yes"), "1 subscription moved to the group org: team-a")
		shows(t, "subscription set", m.must("subscription", "set", "team-a", "--group", ""), "Group ")
		m.must("group", "delete", "org", "--yes")
	})
}

func TestADeletionSaysWhatItTakesAlongAndAsks(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "team-a", "--tier", "gold")
	m.must("key", "create", "team-a")
	m.fails(exitConflict, []string{"in use by 1 valid key", "force"}, "subscription", "delete", "team-a", "--yes")
	m.fails(exitConflict, []string{"in use by 1 subscription (team-a)"}, "tier", "delete", "gold")
	for _, answer := range []string{"", "n\n", "y\n"} {
		var out, errs bytes.Buffer
		a := &app{getenv: func(name string) string { return m.environment[name] }, stdin: strings.NewReader(answer), stdout: &out, stderr: &errs, tables: m.tables}
		want := exitFailed
		if answer == "y\n" {
			want = exitDone
		}
		if got := a.execute(t.Context(), []string{"tier", "delete", "gold", "--force"}); got != want {
			t.Errorf("answer %q: got status %d and %s, want %d", answer, got, errs.String(), want)
		}
		shows(t, "the question", errs.String(), "1 subscription will be deleted too: team-a", "1 key will be deleted too", "Delete the tier gold? [y/N]")
	}
	for _, kind := range []string{"tier", "subscription"} {
		if shown := m.must(kind, "list", "-o", "json"); strings.TrimSpace(shown) != "[]" {
			t.Errorf("%s list after the deletion: got %s, want none", kind, shown)
		}
	}
	m.fails(exitNotFound, []string{`tier "gold" was not found`}, "tier", "delete", "gold", "--yes")
}

func TestLimitsAreOverriddenByNameAndInheritedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, m *terminal) {
		m.must("tier", "set", "gold", "--create", "--limit", "tokens 1000/minute", "--limit", "spend: cost 5/day", "--limit", "calls 60/minute")
		overridden := func(want string, args ...string) {
			t.Helper()
			var account subscription.Details
			if err := json.Unmarshal([]byte(m.must(append(args, "-o", "json")...)), &account); err != nil || describeOverrides(account.Overrides) != want {
				t.Errorf("%v: got %s and error %v, want %s", args, describeOverrides(account.Overrides), err, want)
			}
		}
		overridden(`{"limits":[{"name":"spend","period":"Daily","quota":"7.50"}]}`, "subscription", "create", "a", "--tier", "gold", "--limit-override", "spend 7.50/day")
		overridden(`{"limits":[{"name":"spend","period":"Daily","quota":"7.50"},{"name":"calls","perMinute":90,"until":"2099-12-01T00:00:00Z"}]}`,
			"subscription", "set", "a", "--limit-override", "calls 90/minute until 2099-12-01T00:00:00Z")
		shows(t, "subscription show", m.must("subscription", "show", "a"), "spend: cost 7.5/day", "overridden until 2099-12-01 00:00 UTC")
		overridden(`{"limits":[{"name":"tokens","perMinute":50},{"name":"calls","perMinute":90,"until":"2099-12-01T00:00:00Z"}],"maxWait":"2s"}`,
			"subscription", "set", "a", "--inherit-limit", "spend", "--tokens-per-minute", "50", "--max-wait", "2s")
		overridden(`{"limits":[{"name":"calls","perMinute":5}],"maxWait":"2s"}`, "subscription", "set", "a", "--limit-override", "calls 5/minute", "--inherit", "tokens-per-minute")
		overridden("", "subscription", "set", "a", "--inherit-limit", "calls", "--inherit", "max-wait")

		m.fails(exitUsage, []string{`overrides.limits has "other", which is not a limit of the tier: use one of tokens, spend, calls`}, "subscription", "set", "a", "--limit-override", "other 5/minute")
		m.fails(exitUsage, []string{`"other" is not overridden`}, "subscription", "set", "a", "--inherit-limit", "other")
		m.fails(exitUsage, []string{"it replaces nothing of calls"}, "subscription", "set", "a", "--limit-override", "calls")
		m.fails(exitUsage, []string{"overrides.limits.calls.until has passed"}, "subscription", "set", "a", "--limit-override", "calls 5/minute until 2020-01-01T00:00:00Z")
		m.fails(exitUsage, []string{"the limit tokens is overridden twice"}, "subscription", "set", "a", "--limit-override", "tokens 5/minute", "--burst-tokens", "6")
	})
}

// TestAnEditIsBasedOnTheNewestVersion: another operator's change between reading and
// writing isn't lost.
func TestAnEditIsBasedOnTheNewestVersion(t *testing.T) {
	m := newTerminal(t)
	registry := subscription.Registry{Store: m.stores().Directory}
	m.must("group", "create", "lab", "--limit", "calls 60/minute")
	gateway, others := m.deploy(), 2
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if others--; r.Method == http.MethodPatch && others >= 0 {
			if _, err := registry.SetGroup(r.Context(), "lab", func(g *subscription.Group) error {
				g.Limits = append(g.Limits, subscription.Limit{Name: fmt.Sprintf("other-%d", others), Unit: limit.Calls, PerMinute: 70})
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		gateway.Config.Handler.ServeHTTP(w, r)
	}))
	defer between.Close()
	m.environment["TOLLGATE_SERVER"] = between.URL
	shows(t, "the group after two operators' changes", m.must("group", "set", "lab", "--limit", "tokens 9/minute"), "calls 60/minute", "other-0: calls 70/minute", "tokens 9/minute")
}
