package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/doctor"
	"tollgate/handler/manage"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

// expect runs checks, whose findings must be these: ok, or what is said.
func expect(t *testing.T, checks []manage.Check, want map[string]string) {
	t.Helper()
	findings := manage.Examine(t.Context(), checks)
	if len(findings) != len(want) {
		t.Errorf("found %+v", findings)
	}
	for _, f := range findings {
		if part := want[f.Name]; f.OK != (part == "ok") || part != "ok" && !strings.Contains(f.Note, part) {
			t.Errorf("%s: %t, %s; want %s", f.Name, f.OK, f.Note, part)
		}
	}
}

func at(skew time.Duration, err error) func(context.Context) (time.Time, error) {
	return func(context.Context) (time.Time, error) {
		if err != nil {
			return time.Time{}, err
		}
		return time.Now().Add(-skew).Truncate(time.Second), nil // as an HTTP date is
	}
}

func TestClocksThatDifferAreSaid(t *testing.T) {
	for skew, want := range map[time.Duration]string{0: "ok", time.Second: "ok", -time.Second: "ok", time.Minute: "ahead of the table service's", -time.Minute: "behind the table service's"} {
		expect(t, doctor.Tables(at(skew, nil), memstore.New()), map[string]string{"tables": "ok", "clock": want})
	}
	expect(t, doctor.Tables(at(0, errors.New("down")), memstore.New()), map[string]string{"tables": "down", "clock": "not compared"})
}

// TestSeveralOperatorsMayLookAtOnce fails under the race detector where they
// share what one of them has read.
func TestSeveralOperatorsMayLookAtOnce(t *testing.T) {
	checks := doctor.Tables(at(0, nil), memstore.New())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { expect(t, checks, map[string]string{"tables": "ok", "clock": "ok"}) })
	}
	all.Wait()
}

func TestSubscriptionsThatDoNotFitAreNamed(t *testing.T) {
	store := memstore.New()
	_, e1 := store.PutTier(t.Context(), subscription.Tier{ID: "gold"})
	_, e2 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "a", Tier: "silver"})
	_, e3 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "b", Tier: "gold", Overrides: json.RawMessage(`{"burstTokens":5}`)})
	if err := errors.Join(e1, e2, e3); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"subscription a names tier silver", "subscription b: ", "burstTokens"} {
		expect(t, doctor.Tables(at(0, nil), store)[:1], map[string]string{"tables": part})
	}
}

func TestCountingByTheCallersOwnWordIsNamed(t *testing.T) {
	store := memstore.New()
	_, e1 := store.PutTier(t.Context(), subscription.Tier{ID: "gold", Limits: subscription.Limits{TokensPerMinute: 5, CounterKey: "{subscription}/{header:X-Team}"}})
	_, e2 := store.PutTier(t.Context(), subscription.Tier{ID: "silver", Limits: subscription.Limits{TokensPerMinute: 5}})
	_, e3 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "a", Tier: "gold"})
	_, e4 := store.PutSubscription(t.Context(), subscription.Subscription{ID: "b", Tier: "silver", Overrides: json.RawMessage(`{"counterKey":"{header:X-App}"}`)})
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		t.Fatal(err)
	}
	found := manage.Examine(t.Context(), doctor.Tables(at(0, nil), store)[:1])[0]
	if !found.OK || !strings.Contains(found.Note, "tier gold counts by X-Team; subscription b counts by X-App.") {
		t.Errorf("got %+v, want it to name gold's and b's headers", found)
	}
}

func TestCountersThatCannotBeReadAreNamed(t *testing.T) {
	counters := func(fault error, keys ...string) func(context.Context) iter.Seq2[counter.Stored, error] {
		return func(context.Context) iter.Seq2[counter.Stored, error] {
			return func(yield func(counter.Stored, error) bool) {
				for _, key := range keys {
					if !yield(counter.Stored{Key: key}, fault) {
						return
					}
				}
			}
		}
	}
	expect(t, []manage.Check{doctor.Counters(counters(nil, "a", "b"))}, map[string]string{"counters": "ok"})
	expect(t, []manage.Check{doctor.Counters(counters(counter.ErrEdited, "a", "b", "c", "d", "e", "f"))}, map[string]string{"counters": "and 1 more"})
	expect(t, []manage.Check{doctor.Counters(counters(errors.New("down"), ""))}, map[string]string{"counters": "down"})
}

func TestWhatCannotBeReachedIsSaidWithItsFix(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	expect(t, []manage.Check{doctor.Reachable("up", server.URL)}, map[string]string{"up": "ok"})
	server.Close()
	expect(t, []manage.Check{doctor.Reachable("up", server.URL)}, map[string]string{"up": "check the address, the firewall"})
	expect(t, []manage.Check{doctor.Reachable("up", "https://nowhere.invalid")}, map[string]string{"up": "nowhere.invalid"})
	token := func(err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return "canary", err }
	}
	expect(t, []manage.Check{doctor.Identity("the models", token(nil))}, map[string]string{"identity": "ok"})
	expect(t, []manage.Check{doctor.Identity("the models", token(errors.New("none of them\nmany lines")))}, map[string]string{"identity": "no token for the models: none of them: give the app an identity"})
	expect(t, []manage.Check{doctor.Pepper("0123456789abcdef")}, map[string]string{"pepper": "ok"})
	expect(t, []manage.Check{doctor.Pepper("canary")}, map[string]string{"pepper": "KEY_PEPPER is shorter"})
}
