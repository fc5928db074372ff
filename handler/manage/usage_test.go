package manage_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
)

// counterWith returns a counter that was charged tokens this minute and this day.
func counterWith(key string, tokens int64) counter.Entry {
	limits := limit.Limits{PerMinute: 1000, Quota: 50_000, Period: limit.Daily, Version: math.MaxInt64}
	s := lease.New(limits, time.Now(), "epoch")
	s.Spent, s.PeriodSpent = tokens, tokens
	return counter.Entry{Key: key, Row: s}
}

// TestUsageShowsTheStandingOfCounters runs in virtual time, so that no minute or day ends
// while it runs.
func TestUsageShowsTheStandingOfCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.counters.entries = []counter.Entry{counterWith("team-b/tokens", 10), counterWith("gold:tokens/client-ip=192.0.2.7", 30), counterWith("team-a/tokens", 100), counterWith("team-a/tokens/model=r1", 300), {Key: "team-c/tokens"}}
		f.counters.problems = map[string]error{"team-c/tokens": counter.ErrEdited}
		leased := &f.counters.entries[2].Row
		leased.SetSlots(lease.Slots{{ID: "i", Window: leased.Window, Leased: 40, Expiry: time.Now().Add(time.Minute).Unix()}})
		var list struct {
			Items []manage.Standing
			Next  string
		}
		f.must("GET", "/usage", "").decode(t, &list)
		if len(list.Items) != 5 || list.Items[0].Counter != "gold:tokens/client-ip=192.0.2.7" || list.Items[0].Tier != "gold" || list.Items[4].Problem == "" {
			t.Fatalf("usage: got %+v, want five counters, the last with a problem", list.Items)
		}
		a := list.Items[1]
		if a.Subscription != "team-a" || a.Minute == nil || a.Quota == nil || a.Minute.Limit.N != 1000 || a.Limit != "tokens" || a.Unit != limit.Tokens || a.QuotaPeriod != "Daily" {
			t.Fatalf("team-a: got %+v, want both limits", a)
		}
		if m := *a.Minute; m.Used.N != 100 || m.Held.N != 40 || m.Left.N != 860 {
			t.Errorf("team-a's minute: got %+v, want 100 used, 40 held by an instance's lease and 860 left", m)
		}
		today := time.Now().UTC().Truncate(24 * time.Hour)
		if q := *a.Quota; q.Used.N != 100 || q.Held.N != 40 || q.Left.N != 49_860 || !q.StartedAt.Equal(today) || !q.ResetAt.Equal(today.Add(24*time.Hour)) {
			t.Errorf("team-a's quota: got %+v, want 100 used, 40 held and 49,860 left of the day", q)
		}
		for query, want := range map[string]int{"?subscription=team-a": 2, "?tier=gold": 3, "?search=192": 1, "?search=r1&subscription=team-a": 1, "?limit=2": 2} {
			if f.must("GET", "/usage"+query, "").decode(t, &list); len(list.Items) != want {
				t.Errorf("%s: got %d counters, want %d", query, len(list.Items), want)
			}
		}
		f.expectProblem(http.StatusNotFound, "not_found", "GET", "/usage?tier=silver", "", nil, "silver")
		f.counters.failure = errors.New("down")
		f.expectProblem(http.StatusServiceUnavailable, "unavailable", "GET", "/usage", "", nil, "down")
	})
}

// recordCalls records calls of a subscription and a model, of 10 prompt tokens, 4 of them cached,
// and 20 completion tokens each, and as many refusals.
func (f *fixture) recordCalls(subscription, model string, at time.Time, calls int64) {
	f.t.Helper()
	ledgertest.Record(f.t, f.ledger, subscription, model, at, ledger.Totals{Calls: calls, Refused: calls, RefusedBy: map[string]int64{"tokens": calls}, PromptTokens: 10 * calls, CachedTokens: 4 * calls, CompletionTokens: 20 * calls, Cost: 1_500_000_001 * calls})
}

// spanTexts returns each span as "time subscription model calls tokens", without what is empty.
func spanTexts(spans []manage.Span) (all []string) {
	for _, s := range spans {
		all = append(all, strings.Join(strings.Fields(fmt.Sprint(s.From.Format("02T15:04"), " ", s.Subscription, " ", s.Model, " ", s.Calls, " ", s.TotalTokens)), " "))
	}
	return all
}

// atNoon sleeps until half a minute past noon and returns noon. The virtual time of a test
// begins at midnight.
func (f *fixture) atNoon() time.Time {
	time.Sleep(12*time.Hour + 30*time.Second)
	return time.Now().UTC().Truncate(time.Minute)
}

func TestHistoryAddsUpWholeSpansBySubscriptionAndModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.must("PUT", "/tiers/silver", `{"tokensPerMinute":300}`)
		f.must("PUT", "/subscriptions/team-b", `{"tier":"silver"}`)
		noon := f.atNoon()
		for _, use := range []struct {
			subscription, model string
			ago                 time.Duration
			calls               int64
		}{{"team-a", "r1", 0, 1}, {"team-a", "", 0, 2}, {"team-a", "r1", time.Minute, 4}, {"team-a", "r1", time.Hour, 8}, {"team-b", "r1", 0, 16}, {"team-b", "r1", 13 * time.Hour, 32}} {
			f.recordCalls(use.subscription, use.model, noon.Add(-use.ago), use.calls)
		}
		d := noon.Format("02")
		yesterday := noon.Add(-24 * time.Hour).Format("02")
		for query, want := range map[string]string{
			"by=minute&from=10m":                                          d + "T11:59 4 120," + d + "T12:00 19 570",
			"by=minute&from=10m&models=each":                              d + "T11:59 r1 4 120," + d + "T12:00 (none) 2 60," + d + "T12:00 r1 17 510",
			"by=minute&subscription=team-a&from=10m":                      d + "T11:59 team-a 4 120," + d + "T12:00 team-a 3 90",
			"by=minute&subscription=team-a&from=10m&model=r1":             d + "T11:59 team-a 4 120," + d + "T12:00 team-a 1 30",
			"by=hour&subscription=team-a&from=2h":                         d + "T11:00 team-a 12 360," + d + "T12:00 team-a 3 90",
			"by=hour&tier=gold&from=2h":                                   d + "T11:00 team-a 12 360," + d + "T12:00 team-a 3 90",
			"by=hour&tier=silver&from=2h&sum=all":                         d + "T12:00 16 480",
			"by=day&from=30d":                                             yesterday + "T00:00 team-b 32 960," + d + "T00:00 team-a 15 450," + d + "T00:00 team-b 16 480",
			"by=day&tier=silver":                                          yesterday + "T00:00 team-b 32 960," + d + "T00:00 team-b 16 480",
			"by=day&subscription=team-a&models=each":                      d + "T00:00 team-a (none) 2 60," + d + "T00:00 team-a r1 13 390",
			"by=day&sum=all":                                              yesterday + "T00:00 32 960," + d + "T00:00 31 930",
			"by=day&sum=all&from=" + noon.Format(time.RFC3339):            d + "T00:00 31 930",
			"by=day&sum=all&from=100d":                                    yesterday + "T00:00 32 960," + d + "T00:00 31 930",
			"by=month&sum=all&from=1h":                                    "01T00:00 31 930",
			"by=month&sum=subscriptions&from=" + noon.Format("2006-01"):   "01T00:00 team-a 15 450,01T00:00 team-b 16 480",
			"by=hour&from=2000-01-01T11:30Z&to=2000-01-01T11:45Z":         d + "T11:00 12 360",
			"by=day&from=1999-12-31&to=2000-01-01&subscription=team-b":    yesterday + "T00:00 team-b 32 960",
			"by=minute&from=1999-12-31T22:00:00Z&to=1999-12-31T23:30:00Z": yesterday + "T23:00 32 960",
			"by=minute&from=20m&to=10m&subscription=team-b&sum=all":       "",
		} {
			var answer manage.History
			f.must("GET", "/usage/history?"+query, "").decode(t, &answer)
			if got := strings.Join(spanTexts(answer.Items), ","); got != want {
				t.Errorf("%s: got %s, want %s", query, got, want)
			}
		}
		f.must("PUT", "/prices/currency", `{"currency":"EUR"}`)
		var answer manage.History
		f.must("GET", "/usage/history?by=day", "").decode(t, &answer)
		last := answer.Items[len(answer.Items)-1]
		if answer.Items[0].Running || !last.Running || last.CachedTokens != 64 || last.Refused != 16 || last.RefusedBy["tokens"] != 16 || answer.WrittenAt.IsZero() {
			t.Errorf("by day: got %+v written at %v, want yesterday over, and today running with 64 cached tokens, 16 refusals by tokens and when it was written", answer.Items, answer.WrittenAt)
		}
		if last.Cost.String() != "24.000000016" || answer.Currency != "EUR" {
			t.Errorf("16 calls of 1.500000001 today: got the cost %s %s, want 24.000000016 EUR", last.Cost, answer.Currency)
		}
		if !answer.From.Equal(noon.Truncate(24*time.Hour).Add(-30*24*time.Hour)) || !answer.To.Equal(noon.Truncate(24*time.Hour).Add(24*time.Hour)) {
			t.Errorf("by day: got %v to %v, want whole days: 30 before today to its end", answer.From, answer.To)
		}
	})
}

func TestHistoryRefusesWrongAndTooLargeQueries(t *testing.T) {
	f := newFixture(t)
	for query, want := range map[string]string{
		"by=week":                              "by",
		"by=minute&sum=subscriptions":          "sum",
		"by=minute&from=8d":                    "from",
		"by=hour&from=61d":                     "from",
		"by=day&from=1h&to=2h":                 "from",
		"by=day&from=yesterday":                "from",
		"by=day&tier=gold&subscription=team-a": "tier",
		"by=day&counter=team-a":                "counter",
	} {
		if p := f.expectProblem(http.StatusUnprocessableEntity, "invalid", "GET", "/usage/history?"+query, "", nil); len(p.Errors) != 1 || p.Errors[0].Field != want {
			t.Errorf("%s: got faults %+v, want one of %s", query, p.Errors, want)
		}
	}
	f.expectProblem(http.StatusNotFound, "not_found", "GET", "/usage/history?subscription=nobody", "", nil, "nobody")
	f.expectProblem(http.StatusNotFound, "not_found", "GET", "/usage/history?tier=silver", "", nil, "silver")
	for i := range 101 {
		f.must("PUT", fmt.Sprintf("/subscriptions/team-%d", i), `{"tier":"gold"}`)
	}
	f.expectProblem(http.StatusBadRequest, "invalid", "GET", "/usage/history?by=minute&tier=gold", "", nil, "102 subscriptions", "by=day")
	f.ledgerErr = errors.New("down")
	f.expectProblem(http.StatusServiceUnavailable, "unavailable", "GET", "/usage/history", "", nil, "down")
}

func TestTopListsWhoUsedMostInWholeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		noon := f.atNoon()
		f.counters.entries = []counter.Entry{counterWith("team-a/tokens", 100), counterWith("team-a/tokens/model=r1", 5)}
		f.recordCalls("team-a", "r1", noon, 2)
		f.recordCalls("team-a", "", noon.Add(-time.Hour), 1)
		f.recordCalls("team-b", "r1", noon, 4)
		f.recordCalls("team-c", "r1", noon.Add(-24*time.Hour), 8)
		ledgertest.Record(t, f.ledger, "team-d", "r1", noon, ledger.Totals{Refused: 50, Cost: 90_000_000_000})
		for query, want := range map[string]string{
			"from=1h": "team-b 120,team-a 90", "from=2d": "team-c 240,team-b 120,team-a 90", "from=1h&n=1": "team-b 120",
			"from=1h&sort=refused": "team-d 0,team-b 120,team-a 90", "from=1h&sort=calls": "team-b 120,team-a 90",
			"from=1h&sort=cost": "team-d 0,team-b 120,team-a 90",
		} {
			var top manage.Ranking
			f.must("GET", "/usage/top?"+query, "").decode(t, &top)
			var got []string
			for _, u := range top.Items {
				got = append(got, fmt.Sprint(u.Subscription, " ", u.TotalTokens))
			}
			if strings.Join(got, ",") != want {
				t.Errorf("%s: got %v, want %s", query, got, want)
			}
		}
		var top manage.Ranking
		f.must("GET", "/usage/top?from=1h", "").decode(t, &top)
		if top.Active != 3 || top.Total.TotalTokens != 210 || top.Total.Refused != 57 || top.WrittenAt.IsZero() || !top.From.Equal(noon.Truncate(24*time.Hour)) {
			t.Errorf("today: got %+v, want 3 active subscriptions with 210 tokens and 57 refusals since midnight, and when that was written", top)
		}
		if own := top.Items[1].Limits; len(own) != 2 || own[0].Counter != "team-a/tokens" || own[0].Minute.Used.N != 100 || top.Items[0].Limits != nil {
			t.Errorf("got counters %+v and %+v, want none of team-b and team-a's own two, with 100 used in one", top.Items[0].Limits, own)
		}
		f.expectProblem(http.StatusUnprocessableEntity, "invalid", "GET", "/usage/top?n=101", "", nil, "use 1 to 100")
		f.ledgerErr = errors.New("down")
		f.expectProblem(http.StatusServiceUnavailable, "unavailable", "GET", "/usage/top", "", nil, "down")
	})
}

func TestNowHasTheRunningMinuteAndHowManyCountersAreFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		noon := f.atNoon()
		f.counters.entries = []counter.Entry{counterWith("team-a/tokens", 100), counterWith("team-b/tokens", 979), counterWith("team-c/tokens", 980)}
		f.recordCalls("team-a", "r1", noon, 2)
		f.recordCalls("team-b", "r1", noon.Add(-time.Minute), 3)
		f.recordCalls("team-b", "r1", noon.Add(-2*time.Minute), 5)
		var now manage.Activity
		f.must("GET", "/usage/now", "").decode(t, &now)
		if now.Minute.Calls != 2 || !now.Minute.From.Equal(noon) || !now.Minute.Running || now.Last.Calls != 3 || now.Last.Running || now.Counters != 3 || now.Full != 1 {
			t.Errorf("got %+v, want 2 calls in the running minute, 3 in the one before, and one of 3 counters with at most 2%% left", now)
		}
		f.ledgerErr = errors.New("down")
		f.expectProblem(http.StatusServiceUnavailable, "unavailable", "GET", "/usage/now", "", nil, "down")
	})
}

func TestUsageUsesTheNewestLimits(t *testing.T) {
	f := newFixture(t)
	f.counters.entries = []counter.Entry{counterWith("team-a/tokens", 100), counterWith("gold:tokens/client-ip=192.0.2.7", 100), counterWith("gone/tokens", 100)}
	for i := range f.counters.entries {
		f.counters.entries[i].Row.Version = 1 // older than the changes
	}
	f.must("PATCH", "/tiers/gold", `{"tokensPerMinute":700}`)
	f.must("PATCH", "/subscriptions/team-a", `{"overrides":{"tokensPerMinute":600}}`)
	var list struct{ Items []manage.Standing }
	f.must("GET", "/usage", "").decode(t, &list)
	for i, want := range []int64{700, 1000, 600} { // gold's, gone, team-a
		if got := list.Items[i]; got.Minute == nil || got.Minute.Limit.N != want || got.Gone != (got.Subscription == "gone") {
			t.Errorf("%s: got %+v, want a limit of %d, and that of the missing subscription gone", got.Counter, got, want)
		}
	}
}
