package subscription_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// change changes the fixture's subscription.
func (d *directoryFixture) change(t *testing.T, change func(*subscription.Subscription)) {
	t.Helper()
	s, err := d.store.Subscription(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	change(&s)
	if _, err := d.store.PutSubscription(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// putGroups stores groups, each below the next; the last is the top.
func (d *directoryFixture) putGroups(t *testing.T, ids ...string) {
	t.Helper()
	for i, id := range ids {
		g := subscription.Group{ID: id, Limits: []subscription.Limit{{Name: "calls", Unit: limit.Calls, PerMinute: 60}}}
		if i+1 < len(ids) {
			g.Parent = ids[i+1]
		}
		if _, err := d.store.PutGroup(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAGrantListsTheTiersLimitsThenThoseOfAllGroupsAbove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.putGroups(t, "team", "department", "org")
		d.change(t, func(s *subscription.Subscription) { s.Group = "team" })
		grant, err := d.Authenticate(t.Context(), d.key)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range grant.Limits {
			got = append(got, grant.Limits[i].Key(&grant.Subscription, nil))
		}
		if want := []string{"a/tokens", "team@calls", "department@calls", "org@calls"}; len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
			t.Errorf("counters: got %q, want %q", got, want)
		}
	})
}

func TestSuspendingAGroupSuspendsAllSubscriptionsBelowWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectoryFixture(t)
		d.putGroups(t, "team", "org")
		d.change(t, func(s *subscription.Subscription) { s.Group = "team" })
		d.expectAuthenticate(t, d.key, nil)
		org, err := d.store.Group(t.Context(), "org")
		org.Suspended = true
		if _, e := d.store.PutGroup(t.Context(), org); errors.Join(err, e) != nil {
			t.Fatal(err, e)
		}
		time.Sleep(time.Minute)
		d.expectAuthenticate(t, d.key, subscription.ErrUnauthorized)
	})
}

// Without the whole chain of groups, the limits are incomplete.
func TestNoCallIsAdmittedIfTheChainOfGroupsIsInvalid(t *testing.T) {
	for name, ids := range map[string][]string{"missing": nil, "a circle": {"team", "org", "team"}, "too deep": {"team", "b", "c", "d", "e"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDirectoryFixture(t)
				if name == "a circle" {
					ids = ids[:2]
				}
				d.putGroups(t, ids...)
				if name == "a circle" { // as if somebody edited the row
					org, err := d.store.Group(t.Context(), "org")
					org.Parent = "team"
					if _, e := d.store.PutGroup(t.Context(), org); errors.Join(err, e) != nil {
						t.Fatal(err, e)
					}
				}
				d.change(t, func(s *subscription.Subscription) { s.Group = "team" })
				d.expectAuthenticate(t, d.key, subscription.ErrUnavailable)
			})
		})
	}
}

// An override's end takes effect at once, for the first call after a quiet time too, and
// while the store is down.
func TestAnOverrideIsNotUsedAfterItEnds(t *testing.T) {
	for name, fault := range map[string]error{"store up": nil, "store down": errors.New("down")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDirectoryFixture(t)
				until := func(after time.Duration) string { return time.Now().Add(after).UTC().Format(time.RFC3339) }
				tier := subscription.Tier{ID: "silver", Rules: subscriptiontest.Tokens(300)}
				tier.Limits = append(tier.Limits, subscription.Limit{Name: "calls", Unit: limit.Calls, PerMinute: 5})
				if _, err := d.store.PutTier(t.Context(), tier); err != nil {
					t.Fatal(err)
				}
				d.change(t, func(s *subscription.Subscription) {
					s.Tier = "silver"
					s.Overrides = overrides(t, `{"limits":[{"name":"tokens","perMinute":900,"until":"`+until(10*time.Second)+`"},{"name":"calls","perMinute":50,"until":"`+until(40*time.Second)+`"}]}`)
				})
				expect := func(when string, tokens, calls int64) {
					t.Helper()
					grant, err := d.Authenticate(t.Context(), d.key)
					if err != nil {
						t.Fatal(err)
					}
					if got := grant.Limits; got[0].PerMinute != tokens || got[1].PerMinute != calls {
						t.Errorf("%s: got %d tokens and %d calls a minute, want %d and %d", when, got[0].PerMinute, got[1].PerMinute, tokens, calls)
					}
				}
				expect("before the first end", 900, 50)
				d.store.Fail(fault)
				time.Sleep(10 * time.Second)
				expect("after the first end", 300, 50)
				time.Sleep(30 * time.Second)
				expect("after the second end", 300, 5)
			})
		})
	}
}
