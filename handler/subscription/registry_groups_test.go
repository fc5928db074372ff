package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

func TestAChangeThatMakesGroupsInvalidIsRejected(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	set := func(id, parent string, limits int) error {
		_, err := r.SetGroup(ctx, id, func(g *subscription.Group) error {
			g.Parent, g.Limits = parent, nil
			for i := range limits {
				g.Limits = append(g.Limits, subscription.Limit{Name: fmt.Sprintf("l%d", i), Unit: limit.Calls, PerMinute: int64(i + 1)})
			}
			return nil
		})
		return err
	}
	for _, g := range []struct {
		id, parent string
	}{{"one", ""}, {"two", "one"}, {"three", "two"}, {"four", "three"}, {"other", ""}, {"below", "other"}} {
		if err := set(g.id, g.parent, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Change(ctx, "a", func(s *subscription.Subscription) error { s.Group = "three"; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"two", "three"} {
		if err := set(id, map[string]string{"two": "one", "three": "two"}[id], 8); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"itself":               {set("one", "one", 0), "parent is the group itself: use another group, or leave it out"},
		"its own ancestor":     {set("one", "four", 0), `parent makes group "one" its own ancestor: use a group that isn't below it`},
		"a parent missing":     {set("one", "nobody", 0), `group "nobody" was not found`},
		"too deep":             {set("five", "four", 0), "parent makes groups nest deeper than 4"},
		"too deep for a child": {set("other", "three", 0), `group "below": parent makes groups nest deeper than 4`},
		"too many limits":      {set("one", "", 8), `subscription "a": group and tier together charge each call to 25 limits: have at most 24`},
		"more than a group's":  {set("other", "", 9), "limits has 9 limits: use at most 8"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", name, c.err, c.want)
		}
	}
	if g, err := r.Group(ctx, "one"); err != nil || g.Parent != "" || len(g.Limits) > 0 {
		t.Errorf("after refused changes: got %+v and error %v, want it unchanged", g, err)
	}
	if _, err := r.Create(ctx, subscription.Subscription{ID: "b", Tier: "gold", Group: "nobody"}); !errors.Is(err, subscription.ErrNotFound) {
		t.Errorf("a subscription of a missing group: got error %v, want ErrNotFound", err)
	}
}

func TestAGroupWithAMissingParentCanBeSuspended(t *testing.T) {
	r, _ := newRegistry(t)
	if _, err := r.PutGroup(t.Context(), subscription.Group{ID: "lab", Parent: "gone"}); err != nil { // as edited by hand
		t.Fatal(err)
	}
	for range 2 {
		if g, err := r.SuspendGroup(t.Context(), "lab", true); err != nil || !g.Suspended {
			t.Errorf("got %+v and error %v, want it suspended", g, err)
		}
	}
}

// A crossingStore sets the parent of lab to room just before that of room is set to lab.
type crossingStore struct {
	*memstore.Store
	crossed bool
}

func (s *crossingStore) PutGroup(ctx context.Context, g subscription.Group) (int64, error) {
	if g.Parent == "lab" && !s.crossed {
		s.crossed = true
		lab, err := s.Group(ctx, "lab")
		if err != nil {
			return 0, err
		}
		lab.Parent = "room"
		if _, err := s.Store.PutGroup(ctx, lab); err != nil {
			return 0, err
		}
	}
	return s.Store.PutGroup(ctx, g)
}

// Each of the two changes alone would be valid.
func TestConcurrentChangesOfParentsLeaveNoCycle(t *testing.T) {
	r := subscription.Registry{Store: &crossingStore{Store: memstore.New()}}
	ctx := t.Context()
	set := func(id, parent string) error {
		_, err := r.SetGroup(ctx, id, func(g *subscription.Group) error { g.Parent = parent; return nil })
		return err
	}
	if err := errors.Join(set("lab", ""), set("room", "")); err != nil {
		t.Fatal(err)
	}
	if err := set("room", "lab"); err == nil || !strings.Contains(err.Error(), "its own ancestor") {
		t.Errorf("the later change: got error %v, want one saying that room would be its own ancestor", err)
	}
	for _, id := range []string{"lab", "room"} {
		if chain, err := subscription.GroupChain(ctx, id, r.Store.Group); err != nil {
			t.Errorf("%s afterwards: got groups %+v and error %v, want no cycle", id, chain, err)
		}
	}
}

func TestCounterLimitsHasTheLimitOfEachCounter(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	_, e1 := r.SetGroup(ctx, "lab", func(g *subscription.Group) error {
		g.Limits = []subscription.Limit{{Name: "spend", Unit: limit.Cost, Quota: 5e9, Period: limit.Monthly}}
		return nil
	})
	_, e2 := r.Change(ctx, "a", func(s *subscription.Subscription) (err error) {
		s.Group = "lab"
		s.Overrides, err = subscription.PatchOverrides(s.Overrides, []byte(`{"tokensPerMinute":70}`), func(document, _ []byte) ([]byte, error) { return document, nil })
		return err
	})
	all, e3 := subscription.CounterLimits(ctx, r.Store)
	if err := errors.Join(e1, e2, e3); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int64{"a/tokens": 70, "gold:tokens/client-ip=1": 300, "lab@spend.cost": 5e9} {
		name := subscription.CounterNameOf(key)
		if got := all[name]; got.PerMinute+got.Quota != want {
			t.Errorf("%s: got %+v, want the amount %d", key, got.Limit, want)
		}
	}
	if name, unit := subscription.CounterNameOf("lab@spend.cost/model=x").LimitName(); name != "spend" || unit != limit.Cost {
		t.Errorf("lab@spend.cost: got limit %s in %s, want spend in cost", name, unit)
	}
}
