package manage_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
)

// spent is a counter that was charged tokens in this minute and in this day.
func spent(key string, tokens int64) counter.Stored {
	limits := limit.Limits{TokensPerMinute: 1000, Quota: 50_000, Period: limit.Daily, Version: 1}
	s := limit.New(limits, time.Now(), "epoch")
	s.Spent, s.PeriodSpent = tokens, tokens
	s.Happened = limit.Happened{Usage: limit.Usage{PromptTokens: tokens / 2, CompletionTokens: tokens - tokens/2}, Requests: 1}
	return counter.Stored{Key: key, State: s}
}

func TestUsageTellsWhereCountersStand(t *testing.T) {
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
	if time.Now().Minute() == a.Minute.ResetAt.Add(-time.Second).Minute() && a.Minute.Used == 100 && a.Happened != (manage.Tokens{PromptTokens: 50, CompletionTokens: 50, TotalTokens: 100, Requests: 1}) {
		t.Errorf("in team-a's minute happened %+v", a.Happened)
	}
	for query, want := range map[string]int{"?subscription=team-a": 2, "?tier=gold": 1, "?search=192": 1, "?search=r1&subscription=team-a": 1, "?limit=2": 2} {
		if o.must("GET", "/usage"+query, "").into(t, &list); len(list.Items) != want {
			t.Errorf("%s lists %d counters, want %d", query, len(list.Items), want)
		}
	}
	o.used.fault = errors.New("down")
	o.fails(http.StatusServiceUnavailable, "unavailable", "GET", "/usage", "", nil, "down")
}

func row(key string, at time.Time, prompt, completion int64) usage.Row {
	return usage.Row{Counter: key, Closed: limit.Closed{Minute: limit.Minute(at), Usage: limit.Usage{PromptTokens: prompt, CompletionTokens: completion}, Requests: 1, Refused: 2}}
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
	if ask("by=day&subscription=team-a"); o.used.asked.Owner != (counter.Owner{Subscription: "team-a"}) || !o.used.asked.From.Equal(noon.Add(-12*time.Hour)) {
		t.Errorf("asked the history for %+v", o.used.asked)
	}
	o.must("GET", "/usage/history?by=minute&from=90m&counter=team-a/model=r1", "")
	if ago := time.Since(o.used.asked.From); o.used.asked.Counter != "team-a/model=r1" || ago < 90*time.Minute || ago > 91*time.Minute {
		t.Errorf("asked the history for %+v", o.used.asked)
	}
	o.used.fault = errors.New("down")
	o.fails(http.StatusServiceUnavailable, "unavailable", "GET", "/usage/history", "", nil, "down")
}
