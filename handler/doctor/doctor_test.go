package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/doctor"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// expectFindings runs checks and compares the findings by name: "ok", or a part of the
// note of a failed check.
func expectFindings(t *testing.T, checks []manage.Check, want map[string]string) {
	t.Helper()
	findings := manage.RunChecks(t.Context(), checks)
	if len(findings) != len(want) {
		t.Errorf("got findings %+v, want %d", findings, len(want))
	}
	for _, f := range findings {
		if part := want[f.Name]; f.OK != (part == "ok") || part != "ok" && !strings.Contains(f.Note, part) {
			t.Errorf("%s: got ok %t, note %s; want %s", f.Name, f.OK, f.Note, part)
		}
	}
}

// probeWithSkew returns a probe of tables whose clock is behind by skew, or an error.
func probeWithSkew(skew time.Duration, err error) func(context.Context) (time.Time, error) {
	return func(context.Context) (time.Time, error) {
		if err != nil {
			return time.Time{}, err
		}
		return time.Now().Add(-skew).Truncate(time.Second), nil // like an HTTP date
	}
}

func TestClocksThatDifferAreReported(t *testing.T) {
	for skew, want := range map[time.Duration]string{0: "ok", time.Second: "ok", -time.Second: "ok", time.Minute: "ahead of the table service's", -time.Minute: "behind the table service's"} {
		expectFindings(t, doctor.Tables(probeWithSkew(skew, nil), memstore.New()), map[string]string{"tables": "ok", "clock": want, "limits": "ok"})
	}
	expectFindings(t, doctor.Tables(probeWithSkew(0, errors.New("down")), memstore.New()), map[string]string{"tables": "down", "clock": "not compared", "limits": "ok"})
}

// TestChecksCanRunConcurrently fails under the race detector if the checks share
// unprotected state.
func TestChecksCanRunConcurrently(t *testing.T) {
	checks := doctor.Tables(probeWithSkew(0, nil), memstore.New())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { expectFindings(t, checks, map[string]string{"tables": "ok", "clock": "ok", "limits": "ok"}) })
	}
	all.Wait()
}

func TestInvalidSubscriptionsAreReported(t *testing.T) {
	store := memstore.New()
	_, e1 := store.PutTier(t.Context(), subscription.Tier{ID: "gold"})
	_, e2 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "a", Tier: "silver"})
	_, e3 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "b", Tier: "gold", Overrides: overrides(t, `{"burstTokens":5}`)})
	_, e4 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "c", Tier: "gold", Group: "x"})
	_, e5 := store.PutGroup(t.Context(), subscription.Group{ID: "x", Parent: "y"})
	_, e6 := store.PutGroup(t.Context(), subscription.Group{ID: "y", Parent: "x"})
	if err := errors.Join(e1, e2, e3, e4, e5, e6); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"subscription a: tier silver doesn't exist", "subscription b: ", `has "tokens", which is not a limit of the tier`, `subscription c: parent makes group "x" its own ancestor`, `group y: parent makes group`} {
		expectFindings(t, doctor.Tables(probeWithSkew(0, nil), store)[:1], map[string]string{"tables": part})
	}
}

func overrides(t *testing.T, text string) (o subscription.Overrides) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestLimitsWithoutEffectAreReported, and limits that are the same. Groups without limits and
// overrides that have ended are only notes.
func TestLimitsWithoutEffectAreReported(t *testing.T) {
	calls := func(name string, perMinute int64) subscription.Limit {
		return subscription.Limit{Name: name, Unit: limit.Calls, PerMinute: perMinute}
	}
	day := func(name string, quota int64, period limit.Period) subscription.Limit {
		return subscription.Limit{Name: name, Unit: limit.Calls, Quota: quota, Period: period}
	}
	with := func(l subscription.Limit, change func(*subscription.Limit)) subscription.Limit {
		change(&l)
		return l
	}
	onlyR1 := func(l *subscription.Limit) { l.Models = []string{"r1"} }
	for name, c := range map[string]struct {
		limits []subscription.Limit
		models []string
		want   string
	}{
		"two different":                  {[]subscription.Limit{calls("a", 5), day("b", 9, limit.Daily)}, nil, "ok"},
		"the same":                       {[]subscription.Limit{calls("a", 5), calls("b", 5)}, nil, "limits a and b of tier gold are the same"},
		"a looser one":                   {[]subscription.Limit{calls("a", 5), calls("b", 6)}, nil, "limit b of tier gold has no effect, because a is always reached first"},
		"a looser one of some models":    {[]subscription.Limit{calls("a", 5), with(calls("b", 6), onlyR1)}, nil, "limit b of tier gold has no effect"},
		"a stricter one of some models":  {[]subscription.Limit{calls("a", 6), with(calls("b", 5), onlyR1)}, nil, "ok"},
		"a stricter one in shadow":       {[]subscription.Limit{with(calls("a", 5), func(l *subscription.Limit) { l.Shadow = true }), calls("b", 6)}, nil, "ok"},
		"a larger burst":                 {[]subscription.Limit{with(calls("a", 5), func(l *subscription.Limit) { l.Burst = 9 }), calls("b", 6)}, nil, "ok"},
		"another key":                    {[]subscription.Limit{calls("a", 5), with(calls("b", 6), func(l *subscription.Limit) { l.CounterKey = "{client-ip}" })}, nil, "ok"},
		"a looser quota of a day":        {[]subscription.Limit{day("a", 5, limit.Monthly), day("b", 6, limit.Daily)}, nil, "limit b of tier gold has no effect"},
		"a looser quota of a month":      {[]subscription.Limit{day("a", 5, limit.Daily), day("b", 6, limit.Monthly)}, nil, "ok"},
		"a week is in no month":          {[]subscription.Limit{day("a", 5, limit.Monthly), day("b", 6, limit.Weekly)}, nil, "ok"},
		"for models that nobody may use": {[]subscription.Limit{with(calls("a", 5), onlyR1)}, []string{"gpt-4o"}, "limit a of tier gold has no effect: it is for models"},
	} {
		t.Run(name, func(t *testing.T) {
			store := memstore.New()
			if _, err := store.PutTier(t.Context(), subscription.Tier{ID: "gold", Rules: subscription.Rules{Limits: c.limits, Models: c.models}}); err != nil {
				t.Fatal(err)
			}
			expectFindings(t, doctor.Tables(probeWithSkew(0, nil), store)[2:], map[string]string{"limits": c.want})
		})
	}
	store := memstore.New()
	_, e1 := store.PutGroup(t.Context(), subscription.Group{ID: "lab"})
	_, e2 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "a", Overrides: overrides(t, `{"limits":[{"name":"calls","perMinute":9,"until":"2020-01-01T00:00:00Z"}]}`)})
	if err := errors.Join(e1, e2); err != nil {
		t.Fatal(err)
	}
	if got, want := manage.RunChecks(t.Context(), doctor.Tables(probeWithSkew(0, nil), store)[2:])[0], "group lab has no limits; subscription a's override of calls ended at 2020-01-01T00:00:00Z"; !got.OK || got.Note != want {
		t.Errorf("limits: got %+v, want it OK with the note %q", got, want)
	}
}

func TestCountingByAHeaderIsReported(t *testing.T) {
	store := memstore.New()
	_, e1 := store.PutTier(t.Context(), subscription.Tier{ID: "gold", Rules: subscriptiontest.Limits{TokensPerMinute: 5, CounterKey: "{subscription}/{header:X-Team}"}.Rules()})
	_, e2 := store.PutTier(t.Context(), subscription.Tier{ID: "silver", Rules: subscriptiontest.Limits{TokensPerMinute: 5}.Rules()})
	_, e3 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "a", Tier: "gold"})
	_, e4 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "b", Tier: "silver", Overrides: overrides(t, `{"counterKey":"{header:X-App}"}`)})
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		t.Fatal(err)
	}
	found := manage.RunChecks(t.Context(), doctor.Tables(probeWithSkew(0, nil), store)[:1])[0]
	if !found.OK || !strings.Contains(found.Note, "tokens of tier gold counts by X-Team; tokens of subscription b counts by X-App.") {
		t.Errorf("got %+v, want it to name gold's and b's headers", found)
	}
}

func TestUnreadableCountersAreReported(t *testing.T) {
	counters := func(fault error, keys ...string) func(context.Context) iter.Seq2[counter.Entry, error] {
		return func(context.Context) iter.Seq2[counter.Entry, error] {
			return func(yield func(counter.Entry, error) bool) {
				for _, key := range keys {
					if !yield(counter.Entry{Key: key}, fault) {
						return
					}
				}
			}
		}
	}
	expectFindings(t, []manage.Check{doctor.Counters(counters(nil, "a", "b"))}, map[string]string{"counters": "ok"})
	expectFindings(t, []manage.Check{doctor.Counters(counters(counter.ErrEdited, "a", "b", "c", "d", "e", "f"))}, map[string]string{"counters": "and 1 more"})
	expectFindings(t, []manage.Check{doctor.Counters(counters(errors.New("down"), ""))}, map[string]string{"counters": "down"})
}

func TestUnreachableAddressesAreReportedWithAFix(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	expectFindings(t, []manage.Check{doctor.Reachable("up", server.URL)}, map[string]string{"up": "ok"})
	server.Close()
	expectFindings(t, []manage.Check{doctor.Reachable("up", server.URL)}, map[string]string{"up": "check the address, the firewall"})
	expectFindings(t, []manage.Check{doctor.Reachable("up", "https://nowhere.invalid")}, map[string]string{"up": "nowhere.invalid"})
	token := func(err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return "canary", err }
	}
	expectFindings(t, []manage.Check{doctor.Identity("the models", token(nil))}, map[string]string{"identity": "ok"})
	expectFindings(t, []manage.Check{doctor.Identity("the models", token(errors.New("none of them\nmany lines")))}, map[string]string{"identity": "no token for the models: none of them: give the app an identity"})
}

func TestAWrongPepperIsReported(t *testing.T) {
	right, e1 := subscription.NewPepper("0123456789abcdef")
	wrong, e2 := subscription.NewPepper("fedcba9876543210")
	if err := errors.Join(e1, e2); err != nil {
		t.Fatal(err)
	}
	store := memstore.New()
	registry := subscription.Registry{Store: store}
	pepper := func(p subscription.Pepper, want string) {
		t.Helper()
		expectFindings(t, []manage.Check{doctor.Pepper(p, store)}, map[string]string{"pepper": want})
	}
	pepper(right, "ok") // nothing to compare it with
	if err := registry.ClaimPepper(t.Context(), wrong); err != nil {
		t.Fatal(err)
	}
	if err := registry.ClaimPepper(t.Context(), right); err != nil {
		t.Fatalf("claim another pepper while no key is stored: got %v, want no error", err)
	}
	pepper(right, "ok")
	if err := store.PutKey(t.Context(), subscription.KeyRecord{Hash: right.Hash(subscription.NewKey())}); err != nil {
		t.Fatal(err)
	}
	if err := registry.ClaimPepper(t.Context(), wrong); !errors.Is(err, subscription.ErrOtherPepper) {
		t.Errorf("claim another pepper while a key is stored: got %v, want ErrOtherPepper", err)
	}
	pepper(right, "ok")
	pepper(wrong, "KEY_PEPPER is not the one")
	store.Fail(errors.New("down"))
	pepper(right, "down")
}

func TestAnEndpointIsTestedWithItsCredential(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		key    string
		want   string
	}{
		"accepted":                {400, "right", "ok"},
		"accepted, call invalid":  {422, "right", "ok"},
		"accepted, call succeeds": {200, "right", "ok"},
		"busy":                    {429, "right", "ok"},
		"wrong key":               {400, "wrong", "refuses the credential with 401: set UPSTREAM_API_KEY"},
		"forbidden":               {403, "right", "refuses the credential with 403"},
		"no such deployment":      {404, "right", "the deployment's name"},
		"unpaid":                  {402, "right", "check the account's billing"},
		"redirect":                {301, "right", "redirects (301)"},
		"failing":                 {503, "right", "answers 503"},
	} {
		var asked, body string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			asked, body = r.Method+" "+r.URL.Path, string(text)
			if r.Header.Get("Api-Key") != "right" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(c.status)
		}))
		endpoint := upstream.Endpoint{URL: server.URL, Shape: shape.Deployments, Models: map[string]upstream.Model{"R1": {Name: "mine"}}, Key: secret.New(c.key)}
		checks := doctor.Endpoints([]upstream.Endpoint{endpoint}, []string{"gpt", "R1"})
		expectFindings(t, checks, map[string]string{"upstream": c.want})
		server.Close()
		if asked != "POST /openai/deployments/mine/chat/completions" || !strings.Contains(body, `"messages":[]`) {
			t.Errorf("%s: the endpoint got %s %s, want a call of deployment mine without messages", name, asked, body)
		}
		expectFindings(t, checks, map[string]string{"upstream": "can't be reached"})
	}
	if checks := doctor.Endpoints([]upstream.Endpoint{{URL: "ftp://x"}}, nil); checks != nil {
		t.Errorf("checks of an invalid endpoint: got %v, want none", checks)
	}
}

// TestModelsThatAreNotServedAreReported, in a tier and in a subscription's overrides.
func TestModelsThatAreNotServedAreReported(t *testing.T) {
	store := memstore.New()
	check := func(want string) {
		t.Helper()
		expectFindings(t, []manage.Check{doctor.Models([]string{"gpt-4o", "DeepSeek-R1"}, store)}, map[string]string{"models": want})
	}
	_, e1 := store.PutTier(t.Context(), subscription.Tier{ID: "gold", Rules: subscriptiontest.Limits{Models: []string{"gpt-4o"}}.Rules()})
	_, e2 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "a", Tier: "gold"})
	if err := errors.Join(e1, e2); err != nil {
		t.Fatal(err)
	}
	check("ok")
	_, e1 = store.PutSubscription(t.Context(), subscription.Subscription{ID: "b", Tier: "gold", Overrides: overrides(t, `{"models":["gpt-4o","nope"]}`)})
	if e1 != nil {
		t.Fatal(e1)
	}
	check(`subscription b names the model "nope"`)
	if _, err := store.PutTier(t.Context(), subscription.Tier{ID: "silver", Rules: subscriptiontest.Limits{Models: []string{"gpt-40"}}.Rules()}); err != nil {
		t.Fatal(err)
	}
	check(`tier silver names the model "gpt-40"`)
	if _, err := store.PutGroup(t.Context(), subscription.Group{ID: "lab", Limits: []subscription.Limit{{Name: "calls", Unit: limit.Calls, PerMinute: 9, Models: []string{"gpt-5"}}}}); err != nil {
		t.Fatal(err)
	}
	check(`limit calls of group lab names the model "gpt-5"`)
	store.Fail(errors.New("down"))
	check("down")
}
