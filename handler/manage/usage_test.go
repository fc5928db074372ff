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
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
)

// counterWith returns a counter that was charged tokens this minute and this day.
func counterWith(key string, tokens int64) counter.Entry {
	limits := limit.Limits{TokensPerMinute: 1000, Quota: 50_000, Period: limit.Daily, Version: math.MaxInt64}
	s := limit.New(limits, time.Now(), "epoch")
	s.Spent, s.PeriodSpent = tokens, tokens
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
		if a.Minute.Used != 100 {
			t.Errorf("team-a: got %d tokens charged this minute, want 100", a.Minute.Used)
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

// wrote adds what a subscription used of a model to the ledger, by minute.
func (f *fixture) wrote(subscription, model string, at time.Time, used ledger.Totals) {
	f.t.Helper()
	if err := ledgertest.Happened(f.t.Context(), f.usage.Store, at, subscription, model, used); err != nil {
		f.t.Fatal(err)
	}
}

// It runs in virtual time because the ledger forgets minutes after a week.
func TestHistoryIsSummedBySpanSubscriptionAndModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		noon := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)
		f.wrote("team-a", "r1", noon, ledger.Totals{Calls: 1, Refused: 2, PromptTokens: 1, CompletionTokens: 2})
		f.wrote("team-a", "r1", noon.Add(time.Minute), ledger.Totals{Calls: 1, Refused: 2, PromptTokens: 3, CompletionTokens: 4})
		f.wrote("team-a", "gpt-4o", noon.Add(time.Hour), ledger.Totals{Calls: 1, PromptTokens: 5, CompletionTokens: 6})
		f.wrote("team-b", "r1", noon, ledger.Totals{Calls: 1, PromptTokens: 7, CompletionTokens: 8})
		time.Sleep(36 * time.Hour)
		within := "from=" + noon.Truncate(24*time.Hour).Format(time.RFC3339) + "&to=" + noon.Add(12*time.Hour).Format(time.RFC3339)
		ask := func(query string) []manage.Span {
			t.Helper()
			var answer struct{ Items []manage.Span }
			f.must("GET", "/usage/history?"+within+"&"+query, "").decode(t, &answer)
			return answer.Items
		}
		if got := ask("by=minute&subscription=team-a"); len(got) != 3 || got[0].Model != "r1" || !got[0].From.Equal(noon) || got[0].TotalTokens != 3 {
			t.Errorf("team-a by minute: got %+v, want three spans, the first at noon with 3 tokens of r1", got)
		}
		if got := ask("by=hour&subscription=team-a"); len(got) != 2 || got[0].Tokens != (manage.Tokens{PromptTokens: 4, CompletionTokens: 6, TotalTokens: 10, Requests: 2, Refused: 4}) {
			t.Errorf("team-a by hour: got %+v, want two spans, the first of both calls of r1", got)
		}
		if got := ask("by=hour&sum=all"); len(got) != 2 || got[0].Subscription != "" || got[0].TotalTokens != 25 {
			t.Errorf("all by hour: got %+v, want two spans, the first with 25 tokens", got)
		}
		if got := ask("by=day"); len(got) != 3 || got[0].Subscription != "team-a" || got[0].Model != "gpt-4o" || got[2].Subscription != "team-b" || got[2].TotalTokens != 15 {
			t.Errorf("by day: got %+v, want team-a's two models and team-b's", got)
		}
		if got := ask("by=month&tier=gold"); len(got) != 2 || got[0].Subscription != "team-a" || got[1].TotalTokens != 10 {
			t.Errorf("gold by month: got %+v, want team-a's two models alone", got)
		}
	})
}

func TestAHistoryThatTheLedgerDoesNotHaveIsRefused(t *testing.T) {
	f := newFixture(t)
	for query, fix := range map[string]string{"by=week": "use day, hour, minute, month", "by=minute": "name a subscription", "by=hour&tier=gold": "name a subscription", "tier=gold&sum=all": "remove one"} {
		if got := f.ask("GET", "/usage/history?"+query, ""); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, fix) || strings.Contains(got.text, "not before") {
			t.Errorf("%s: got %s, want one fault with the fix %q", query, got.text, fix)
		}
	}
	f.usage.failure = errors.New("down")
	f.expectProblem(http.StatusServiceUnavailable, "unavailable", "GET", "/usage/history", "", nil, "down")
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
