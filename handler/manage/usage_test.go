package manage_test

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
)

// counterWith returns a counter that was charged tokens this minute and this day.
func counterWith(key string, tokens int64) counter.Entry {
	limits := limit.Limits{TokensPerMinute: 1000, Quota: 50_000, Period: limit.Daily, Version: math.MaxInt64}
	s := limit.New(limits, time.Now(), "epoch")
	s.Spent, s.PeriodSpent = tokens, tokens
	s.Happened = limit.Happened{Usage: limit.Usage{PromptTokens: tokens / 2, CompletionTokens: tokens - tokens/2}, Requests: 1}
	return counter.Entry{Key: key, State: s}
}

// It runs in virtual time so that no minute or day ends while it runs.
func TestUsageShowsTheStandingOfCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.usage.counters = []counter.Entry{counterWith("team-b", 10), counterWith("gold:client-ip=192.0.2.7", 30), counterWith("team-a", 100), counterWith("team-a/model=r1", 300), {Key: "team-c"}}
		f.usage.problems = map[string]error{"team-c": counter.ErrEdited}
		var list struct {
			Items []manage.Standing
			Next  string
		}
		f.must("GET", "/usage", "").decode(t, &list)
		if len(list.Items) != 5 || list.Items[0].Counter != "gold:client-ip=192.0.2.7" || list.Items[0].Tier != "gold" || list.Items[4].Problem == "" {
			t.Fatalf("usage: got %+v, want five counters, the last with a problem", list.Items)
		}
		a := list.Items[1]
		if a.Subscription != "team-a" || a.Minute == nil || a.Quota == nil || a.Minute.Limit != 1000 || a.Quota.Used != 100 || a.Quota.Left != 49_900 || a.QuotaPeriod != "Daily" {
			t.Errorf("team-a: got %+v, want 100 of both limits used", a)
		}
		if a.Minute.Used != 100 || a.Happened != (manage.Tokens{PromptTokens: 50, CompletionTokens: 50, TotalTokens: 100, Requests: 1}) {
			t.Errorf("team-a: got %d tokens charged this minute, happened %+v; want 100, half of them prompt", a.Minute.Used, a.Happened)
		}
		for query, want := range map[string]int{"?subscription=team-a": 2, "?tier=gold": 1, "?search=192": 1, "?search=r1&subscription=team-a": 1, "?limit=2": 2} {
			if f.must("GET", "/usage"+query, "").decode(t, &list); len(list.Items) != want {
				t.Errorf("%s: got %d counters, want %d", query, len(list.Items), want)
			}
		}
		f.usage.failure = errors.New("down")
		f.expectProblem(http.StatusServiceUnavailable, "unavailable", "GET", "/usage", "", nil, "down")
	})
}

func row(key string, at time.Time, prompt, completion int64) usage.Row {
	r := usage.Row{Counter: key}
	r.Minute, r.PromptTokens, r.CompletionTokens, r.Requests, r.Refused = limit.Minute(at), prompt, completion, 1, 2
	return r
}

func TestHistoryIsSummedBySpanAndCounter(t *testing.T) {
	f := newFixture(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.usage.rows = []usage.Row{row("team-a", noon, 1, 2), row("team-a", noon.Add(time.Minute), 3, 4), row("team-a", noon.Add(time.Hour), 5, 6), row("team-b", noon, 7, 8)}
	var answer struct {
		By    string
		Items []manage.Span
	}
	ask := func(query string) []manage.Span {
		answer.Items = nil
		f.must("GET", "/usage/history?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&"+query, "").decode(t, &answer)
		return answer.Items
	}
	if got := ask("by=minute"); len(got) != 4 || got[0].Counter != "team-a" || !got[0].From.Equal(noon) || got[1].Counter != "team-b" || got[0].TotalTokens != 3 {
		t.Errorf("by minute: got %+v, want four spans", got)
	}
	if got := ask("by=hour"); len(got) != 3 || got[0].Tokens != (manage.Tokens{PromptTokens: 4, CompletionTokens: 6, TotalTokens: 10, Requests: 2, Refused: 4}) {
		t.Errorf("by hour: got %+v, want three spans, team-a's first summed", got)
	}
	if got := ask("by=day&sum=all"); len(got) != 1 || got[0].Counter != "" || got[0].TotalTokens != 36 || !got[0].From.Equal(noon.Truncate(24*time.Hour)) {
		t.Errorf("by day over all counters: got %+v, want one span of 36 tokens", got)
	}
	if ask("by=day&subscription=team-a"); f.usage.lastQuery.Owner != (limit.Owner{Subscription: "team-a"}) || !f.usage.lastQuery.From.Equal(noon.Add(-12*time.Hour)) {
		t.Errorf("got query %+v, want team-a's from 00:00", f.usage.lastQuery)
	}
	f.must("GET", "/usage/history?by=minute&from=90m&counter=team-a/model=r1", "")
	if ago := time.Since(f.usage.lastQuery.From); f.usage.lastQuery.Counter != "team-a/model=r1" || ago < 90*time.Minute || ago > 91*time.Minute {
		t.Errorf("got query %+v, want one counter's from 90 minutes ago", f.usage.lastQuery)
	}
	if got := f.ask("GET", "/usage/history?by=week", ""); got.status != http.StatusUnprocessableEntity || strings.Contains(got.text, "not before") {
		t.Errorf("by=week: got %s, want a fault of by alone", got.text)
	}
	f.usage.failure = errors.New("down")
	f.expectProblem(http.StatusServiceUnavailable, "unavailable", "GET", "/usage/history", "", nil, "down")
}

// A minute is counted once whether it is in its counter only, in the history only, or in
// both for a moment.
func TestAClosedMinuteIsCountedOnce(t *testing.T) {
	f := newFixture(t)
	before := time.Now().Add(-3 * time.Minute)
	stored := counterWith("team-a", 100)
	stored.State.Window, stored.State.UsageFrom = limit.Minute(before), limit.Minute(before)
	written := row("team-a", before, 50, 50)
	written.Epoch, written.Requests, written.Refused = "epoch", 1, 0
	other := written
	other.Epoch = "of an earlier counter with the same key"
	for name, test := range map[string]struct {
		counters []counter.Entry
		rows     []usage.Row
		want     int64
	}{
		"in the counter":                    {[]counter.Entry{stored}, nil, 100},
		"in both":                           {[]counter.Entry{stored}, []usage.Row{written}, 100},
		"in the history":                    {nil, []usage.Row{written}, 100},
		"of two counters with the same key": {[]counter.Entry{stored}, []usage.Row{other}, 200},
	} {
		f.usage.counters, f.usage.rows = test.counters, test.rows
		var answer struct{ Items []manage.Span }
		f.must("GET", "/usage/history?by=minute&subscription=team-a", "").decode(t, &answer)
		if len(answer.Items) != 1 || answer.Items[0].TotalTokens != test.want {
			t.Errorf("%s: got %+v, want %d tokens", name, answer.Items, test.want)
		}
		f.must("GET", "/usage/history?by=minute&subscription=team-b", "").decode(t, &answer)
		if test.rows == nil && len(answer.Items) != 0 {
			t.Errorf("%s: history of another subscription: got %+v, want none", name, answer.Items)
		}
	}
}

func TestUsageUsesTheNewestLimits(t *testing.T) {
	f := newFixture(t)
	f.usage.counters = []counter.Entry{counterWith("team-a", 100), counterWith("gold:client-ip=192.0.2.7", 100), counterWith("gone", 100)}
	for i := range f.usage.counters {
		f.usage.counters[i].State.Version = 1 // older than the changes
	}
	f.must("PATCH", "/tiers/gold", `{"tokensPerMinute":700}`)
	f.must("PATCH", "/subscriptions/team-a", `{"overrides":{"tokensPerMinute":600}}`)
	var list struct{ Items []manage.Standing }
	f.must("GET", "/usage", "").decode(t, &list)
	for i, want := range []int64{700, 1000, 600} { // gold's, gone, team-a
		if got := list.Items[i]; got.Minute == nil || got.Minute.Limit != want {
			t.Errorf("%s: got %+v, want a limit of %d", got.Counter, got.Minute, want)
		}
	}
}
