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

// spent is a counter that was charged tokens in this minute and in this day.
func spent(key string, tokens int64) counter.Stored {
	limits := limit.Limits{TokensPerMinute: 1000, Quota: 50_000, Period: limit.Daily, Version: math.MaxInt64}
	s := limit.New(limits, time.Now(), "epoch")
	s.Spent, s.PeriodSpent = tokens, tokens
	s.Happened = limit.Happened{Usage: limit.Usage{PromptTokens: tokens / 2, CompletionTokens: tokens - tokens/2}, Requests: 1}
	return counter.Stored{Key: key, State: s}
}

// It runs in virtual time, in which no minute or day turns between what is
// stored and what is told.
func TestUsageTellsWhereCountersStand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.used.counters = []counter.Stored{spent("team-b", 10), spent("gold:client-ip=192.0.2.7", 30), spent("team-a", 100), spent("team-a/model=r1", 300), {Key: "team-c"}}
		o.used.broken = map[string]error{"team-c": counter.ErrEdited}
		var list struct {
			Items []manage.Standing
			Next  string
		}
		o.must("GET", "/usage", "").into(t, &list)
		if len(list.Items) != 5 || list.Items[0].Counter != "gold:client-ip=192.0.2.7" || list.Items[0].Tier != "gold" || list.Items[4].Problem == "" {
			t.Fatalf("usage lists %+v", list.Items)
		}
		a := list.Items[1]
		if a.Subscription != "team-a" || a.Minute == nil || a.Quota == nil || a.Minute.Limit != 1000 || a.Quota.Used != 100 || a.Quota.Left != 49_900 || a.QuotaPeriod != "Daily" {
			t.Errorf("team-a stands at %+v", a)
		}
		if a.Minute.Used != 100 || a.Happened != (manage.Tokens{PromptTokens: 50, CompletionTokens: 50, TotalTokens: 100, Requests: 1}) {
			t.Errorf("in team-a's minute %d tokens were charged, and happened %+v", a.Minute.Used, a.Happened)
		}
		for query, want := range map[string]int{"?subscription=team-a": 2, "?tier=gold": 1, "?search=192": 1, "?search=r1&subscription=team-a": 1, "?limit=2": 2} {
			if o.must("GET", "/usage"+query, "").into(t, &list); len(list.Items) != want {
				t.Errorf("%s lists %d counters, want %d", query, len(list.Items), want)
			}
		}
		o.used.fault = errors.New("down")
		o.fails(http.StatusServiceUnavailable, "unavailable", "GET", "/usage", "", nil, "down")
	})
}

func row(key string, at time.Time, prompt, completion int64) usage.Row {
	r := usage.Row{Counter: key}
	r.Minute, r.PromptTokens, r.CompletionTokens, r.Requests, r.Refused = limit.Minute(at), prompt, completion, 1, 2
	return r
}

func TestHistoryIsSummedUp(t *testing.T) {
	o := newOffice(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o.used.rows = []usage.Row{row("team-a", noon, 1, 2), row("team-a", noon.Add(time.Minute), 3, 4), row("team-a", noon.Add(time.Hour), 5, 6), row("team-b", noon, 7, 8)}
	var answer struct {
		By    string
		Items []manage.Span
	}
	ask := func(query string) []manage.Span {
		answer.Items = nil
		o.must("GET", "/usage/history?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&"+query, "").into(t, &answer)
		return answer.Items
	}
	if got := ask("by=minute"); len(got) != 4 || got[0].Counter != "team-a" || !got[0].From.Equal(noon) || got[1].Counter != "team-b" || got[0].TotalTokens != 3 {
		t.Errorf("by minute: %+v", got)
	}
	if got := ask("by=hour"); len(got) != 3 || got[0].Tokens != (manage.Tokens{PromptTokens: 4, CompletionTokens: 6, TotalTokens: 10, Requests: 2, Refused: 4}) {
		t.Errorf("by hour: %+v", got)
	}
	if got := ask("by=day&sum=all"); len(got) != 1 || got[0].Counter != "" || got[0].TotalTokens != 36 || !got[0].From.Equal(noon.Truncate(24*time.Hour)) {
		t.Errorf("by day, all together: %+v", got)
	}
	if ask("by=day&subscription=team-a"); o.used.asked.Owner != (limit.Owner{Subscription: "team-a"}) || !o.used.asked.From.Equal(noon.Add(-12*time.Hour)) {
		t.Errorf("asked the history for %+v", o.used.asked)
	}
	o.must("GET", "/usage/history?by=minute&from=90m&counter=team-a/model=r1", "")
	if ago := time.Since(o.used.asked.From); o.used.asked.Counter != "team-a/model=r1" || ago < 90*time.Minute || ago > 91*time.Minute {
		t.Errorf("asked the history for %+v", o.used.asked)
	}
	if got := o.ask("GET", "/usage/history?by=week", ""); got.status != http.StatusUnprocessableEntity || strings.Contains(got.text, "not before") {
		t.Errorf("beside an unknown by, what nobody asked is refused: %s", got.text)
	}
	o.used.fault = errors.New("down")
	o.fails(http.StatusServiceUnavailable, "unavailable", "GET", "/usage/history", "", nil, "down")
}

// A minute is told once: while it waits in its counter, in the moment when it
// is in both places, and when only the history has it.
func TestAMinuteThatIsOverIsToldOnce(t *testing.T) {
	o := newOffice(t)
	before := time.Now().Add(-3 * time.Minute)
	stored := spent("team-a", 100)
	stored.State.Window, stored.State.UsageFrom = limit.Minute(before), limit.Minute(before)
	written := row("team-a", before, 50, 50)
	written.Epoch, written.Requests, written.Refused = "epoch", 1, 0
	other := written
	other.Epoch = "of the counter that bore the key before"
	for name, test := range map[string]struct {
		counters []counter.Stored
		rows     []usage.Row
		want     int64
	}{
		"waits":                   {[]counter.Stored{stored}, nil, 100},
		"in both":                 {[]counter.Stored{stored}, []usage.Row{written}, 100},
		"written":                 {nil, []usage.Row{written}, 100},
		"of two counters in turn": {[]counter.Stored{stored}, []usage.Row{other}, 200},
	} {
		o.used.counters, o.used.rows = test.counters, test.rows
		var answer struct{ Items []manage.Span }
		o.must("GET", "/usage/history?by=minute&subscription=team-a", "").into(t, &answer)
		if len(answer.Items) != 1 || answer.Items[0].TotalTokens != test.want {
			t.Errorf("%s: %+v, want %d tokens", name, answer.Items, test.want)
		}
		o.must("GET", "/usage/history?by=minute&subscription=team-b", "").into(t, &answer)
		if test.rows == nil && len(answer.Items) != 0 {
			t.Errorf("%s: another's history tells %+v", name, answer.Items)
		}
	}
}

func TestUsageStandsUnderTheLimitsThatWereSetLast(t *testing.T) {
	o := newOffice(t)
	o.used.counters = []counter.Stored{spent("team-a", 100), spent("gold:client-ip=192.0.2.7", 100), spent("gone", 100)}
	for i := range o.used.counters {
		o.used.counters[i].State.Version = 1 // of before the changes
	}
	o.must("PATCH", "/tiers/gold", `{"tokensPerMinute":700}`)
	o.must("PATCH", "/subscriptions/team-a", `{"overrides":{"tokensPerMinute":600}}`)
	var list struct{ Items []manage.Standing }
	o.must("GET", "/usage", "").into(t, &list)
	for i, want := range []int64{700, 1000, 600} { // gold's, gone, team-a
		if got := list.Items[i]; got.Minute == nil || got.Minute.Limit != want {
			t.Errorf("%s stands at %+v, want a limit of %d", got.Counter, got.Minute, want)
		}
	}
}
