package manage_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

// partText returns a part's calls and share.
func partText(p manage.Part) string { return fmt.Sprint(p.Used.Calls, " ", p.Share) }

func TestAReportAddsUpAMonthByGroupSubscriptionAndModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.config.Deployment, f.config.Retention = "gateway-7", 30*24*time.Hour
		f.api = manage.New(f.config)
		f.must("PUT", "/groups/org", `{"name":"Organization"}`)
		f.must("PUT", "/groups/lab", `{"parent":"org"}`)
		f.must("PUT", "/groups/org-2", `{}`)
		for id, group := range map[string]string{"in-lab": "lab", "in-org": "org", "in-org-2": "org-2"} {
			f.must("PUT", "/subscriptions/"+id, fmt.Sprintf(`{"tier":"gold","name":"=%s","group":%q}`, id, group))
		}
		noon := f.atNoon() // of 2000-01-01
		for _, use := range []struct {
			subscription, model string
			day                 int
			calls               int64
		}{{"in-lab", "r1", 0, 1}, {"in-lab", "r1", 3, 2}, {"in-lab", "", 3, 4}, {"in-org", "r1", 0, 8}, {"in-org-2", "r1", 1, 16}, {"team-a", "r1", 1, 32}, {"gone", "r1", 2, 64}, {"gone", "r1", -1, 128}} {
			f.recordCalls(use.subscription, use.model, noon.AddDate(0, 0, use.day), use.calls)
		}
		time.Sleep(10 * 24 * time.Hour)
		var report manage.Report
		read := func(month string) (rows []string) {
			report = manage.Report{}
			f.must("GET", "/report?month="+month, "").decode(t, &report)
			for _, g := range report.Groups {
				rows = append(rows, fmt.Sprintf("%s %s: %s", g.Group, g.Name, partText(g.Part)))
			}
			for _, m := range report.Models {
				rows = append(rows, m.Model+": "+partText(m.Part))
			}
			for _, i := range report.Items {
				rows = append(rows, fmt.Sprintf("%s %s %s %v %s: %s", i.Group, i.Subscription, i.Name, i.Deleted, i.Model, partText(i.Part)))
			}
			return append(rows, "total: "+partText(report.Total))
		}
		want := `org Organization: 15 11.81
org/lab : 7 5.51
org-2 : 16 12.60
 : 96 75.59
(none): 4 3.15
r1: 123 96.85
org in-org =in-org false r1: 8 6.30
org/lab in-lab =in-lab false (none): 4 3.15
org/lab in-lab =in-lab false r1: 3 2.36
org-2 in-org-2 =in-org-2 false r1: 16 12.60
 gone  true r1: 64 50.39
 team-a Team A false r1: 32 25.20
total: 127 100.00`
		if got := strings.Join(read("2000-01"), "\n"); got != want {
			t.Errorf("January: got\n%s\nwant\n%s", got, want)
		}
		if !report.Running || report.Month != "2000-01" || report.Deployment != "gateway-7" || !report.MadeAt.Equal(time.Now()) {
			t.Errorf("January: got %v %q of %q made at %v, want the running month, the deployment gateway-7 and this time", report.Running, report.Month, report.Deployment, report.MadeAt)
		}
		if read("1999-12"); report.Running || report.Total.Used.Calls != 128 || len(report.Items) != 1 {
			t.Errorf("December: got %+v, want a month that is over, with 128 calls", report)
		}
		if want := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -30); !report.IncompleteBefore.Equal(want) {
			t.Errorf("December, with days kept for 30 days: got it incomplete before %v, want before %v", report.IncompleteBefore, want)
		}
		if read("2000-01"); !report.IncompleteBefore.IsZero() {
			t.Errorf("January: got it incomplete before %v, want it whole", report.IncompleteBefore)
		}
		if read("1999-11"); report.Total.Share != "0.00" || len(report.Items) != 0 {
			t.Errorf("November: got %+v, want nothing", report)
		}
		for query, part := range map[string]string{"": "is not a month", "?month=2000-13": "use one such as 2000-01", "?month=2000-01-02": "is not a month", "?month=2000-02": "is in the future", "?month=2000-01&tier=gold": "tier"} {
			f.expectProblem(http.StatusUnprocessableEntity, "invalid", "GET", "/report"+query, "", nil, part)
		}
	})
}

// TestAReportAddsUpExactlyWhatWasRecorded compares reports of random usage with sums over what
// was recorded.
func TestAReportAddsUpExactlyWhatWasRecorded(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { checkRandomReport(t, rand.New(rand.NewPCG(seed, 22))) })
	}
}

// amounts holds what a report adds up, such as calls and tokens of each kind, by name.
type amounts map[string]*big.Int

func (a amounts) add(of string, c ledger.Counts) {
	for kind, n := range map[string]int64{"calls": c.Calls, "prompt": c.PromptTokens, "cached": c.CachedTokens, "cache writes": c.CacheWriteTokens, "completion": c.CompletionTokens, "reasoning": c.ReasoningTokens, "cost": int64(c.Cost), "unpriced": c.Unpriced} {
		if a[of+" "+kind] == nil {
			a[of+" "+kind] = new(big.Int)
		}
		a[of+" "+kind].Add(a[of+" "+kind], big.NewInt(n))
	}
}

// expect compares the amounts of a report with those that were recorded.
func (a amounts) expect(t *testing.T, want amounts, where string) {
	t.Helper()
	for name := range want {
		if a[name] == nil || a[name].Cmp(want[name]) != 0 {
			t.Errorf("%s, %s: got %v, want %v", where, name, a[name], want[name])
		}
	}
	if len(a) != len(want) {
		t.Errorf("%s: got %d amounts, want %d", where, len(a), len(want))
	}
}

// jsonOf returns an object with the fields that aren't empty.
func jsonOf(fields map[string]string) string {
	maps.DeleteFunc(fields, func(_, value string) bool { return value == "" })
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(text)
}

// putRandom creates random groups and subscriptions. For each subscription, by id, it returns
// the groups that include it; "" if it has none.
func putRandom(f *fixture, random *rand.Rand) (groupsOf map[string][]string) {
	above := make(map[string][]string)
	for i := range random.IntN(8) {
		id, parent := fmt.Sprintf("g%d", i), fmt.Sprintf("g%d", random.IntN(i+1))
		if len(above[parent]) == 0 || len(above[parent]) == subscription.MaxDepth {
			parent = ""
		}
		f.must("PUT", "/groups/"+id, jsonOf(map[string]string{"parent": parent}))
		above[id] = append([]string{id}, above[parent]...)
	}
	groupsOf = map[string][]string{"s6": {""}, "s7": {""}} // subscriptions that don't exist
	for i := range 1 + random.IntN(6) {
		id, group := fmt.Sprintf("s%d", i), fmt.Sprintf("g%d", random.IntN(8))
		if above[group] == nil {
			group = ""
		}
		f.must("PUT", "/subscriptions/"+id, jsonOf(map[string]string{"tier": "gold", "group": group}))
		groupsOf[id] = above[group]
		if group == "" {
			groupsOf[id] = []string{""}
		}
	}
	return groupsOf
}

// sums holds the amounts of a report, by kind of part.
type sums struct{ total, groups, subscriptions, models amounts }

func newSums() sums { return sums{make(amounts), make(amounts), make(amounts), make(amounts)} }

// recordRandom records random usage, and returns the sums of the usage within a month.
func recordRandom(f *fixture, random *rand.Rand, month time.Time, groupsOf map[string][]string) sums {
	want := newSums()
	ids := slices.Sorted(maps.Keys(groupsOf))
	for range random.IntN(40) {
		id, model := ids[random.IntN(len(ids))], fmt.Sprintf("m%d", random.IntN(3))
		at := month.Add(time.Duration(random.IntN(40*24*60)-5*24*60) * time.Minute) // from 5 days before to 4 after
		most := int64(1) << random.IntN(54)
		used := ledger.Totals{Calls: random.Int64N(most), Refused: random.Int64N(9), PromptTokens: random.Int64N(most), CachedTokens: random.Int64N(most), CacheWriteTokens: random.Int64N(most),
			CompletionTokens: 1 + random.Int64N(most), ReasoningTokens: random.Int64N(most), Cost: random.Int64N(most), Unpriced: random.Int64N(most)}
		ledgertest.Record(f.t, f.ledger, id, model, at, used)
		if at.Before(month) || !at.Before(month.AddDate(0, 1, 0)) {
			continue
		}
		want.total.add("all", used.Counts())
		want.subscriptions.add(id, used.Counts())
		want.models.add(model, used.Counts())
		for _, group := range groupsOf[id] {
			want.groups.add(group, used.Counts())
		}
	}
	return want
}

func checkRandomReport(t *testing.T, random *rand.Rand) {
	f := newFixture(t)
	month := time.Now().UTC()
	want := recordRandom(f, random, month, putRandom(f, random))
	time.Sleep(40 * 24 * time.Hour)
	var report manage.Report
	f.must("GET", "/report?month="+month.Format("2006-01"), "").decode(t, &report)
	got, items := newSums(), make(amounts)
	if len(report.Items) > 0 {
		got.total.add("all", report.Total.Used)
	}
	for _, g := range report.Groups {
		got.groups.add(g.Group[strings.LastIndex(g.Group, "/")+1:], g.Used)
	}
	for _, m := range report.Models {
		got.models.add(m.Model, m.Used)
	}
	for _, i := range report.Items {
		items.add("all", i.Used)
		got.subscriptions.add(i.Subscription, i.Used)
	}
	got.total.expect(t, want.total, "total")
	items.expect(t, want.total, "sum of the items")
	got.groups.expect(t, want.groups, "groups")
	got.models.expect(t, want.models, "models")
	got.subscriptions.expect(t, want.subscriptions, "subscriptions")
}

func TestAReportsSharesAreSharesOfTheCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.must("PUT", "/prices/currency", `{"currency":"EUR"}`)
		f.atNoon()
		ledgertest.Record(t, f.ledger, "team-a", "r1", time.Now(), ledger.Totals{Calls: 1, PromptTokens: 1, Cost: 2 << 60, Unpriced: 1})
		ledgertest.Record(t, f.ledger, "team-a", "r2", time.Now(), ledger.Totals{Calls: 9, PromptTokens: 99, Cost: 1 << 60})
		var report manage.Report
		f.must("GET", "/report?month=2000-01", "").decode(t, &report)
		if report.ShareOf != "cost" || report.Currency != "EUR" || len(report.Items) != 2 {
			t.Fatalf("got %+v, want shares of the cost in EUR of two models", report)
		}
		if a, b := report.Items[0].Part, report.Items[1].Part; a.Share != "66.67" || a.Used.Cost != 2<<60 || a.Used.Unpriced != 1 || b.Share != "33.33" || report.Total.Used.Cost != 3<<60 {
			t.Errorf("got %+v and %+v of %+v, want two thirds and a third of the cost", a, b, report.Total)
		}
	})
}
