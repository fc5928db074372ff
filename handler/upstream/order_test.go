package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tollgate/handler/upstream"
)

// named returns an endpoint that can't be reached.
func named(name string, weight int) upstream.Endpoint {
	e := endpoint("http://127.0.0.1:1")
	e.Name, e.Weight = name, weight
	return e
}

// orders returns a function that returns the names of the endpoints in the order in
// which a subscription's calls of model m try them.
func orders(t rapid.TB, endpoints []upstream.Endpoint) func(subscription string) (names []string) {
	t.Helper()
	client, err := upstream.New(endpoints, upstream.Timeouts{})
	if err != nil {
		t.Fatal(err)
	}
	return func(subscription string) []string { return orderOf(t, client, subscription) }
}

func orderOf(t rapid.TB, client *upstream.Client, subscription string) (names []string) {
	t.Helper()
	targets, err := client.Targets(upstream.Selection{Model: "m", Path: chatPath, Subscription: subscription})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		names = append(names, target.Endpoint)
	}
	return names
}

// drawEndpoints draws 2 to 6 endpoints with weights, some of other priorities.
func drawEndpoints(t *rapid.T) (endpoints []upstream.Endpoint) {
	for i := range rapid.IntRange(2, 6).Draw(t, "endpoints") {
		e := named(fmt.Sprintf("e%d", i), rapid.IntRange(1, 9).Draw(t, "weight"))
		e.Priority = rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "priority")
		endpoints = append(endpoints, e)
	}
	return endpoints
}

func TestSubscriptionsAreSharedByWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		endpoints := drawEndpoints(t)
		seed := rapid.Uint32().Draw(t, "seed")
		const subscriptions = 1500
		first, order := make(map[string]int), orders(t, endpoints)
		for i := range subscriptions {
			first[order(fmt.Sprint(seed, "-", i))[0]]++
		}
		least := slices.MinFunc(endpoints, func(a, b upstream.Endpoint) int { return a.Priority - b.Priority }).Priority
		total := 0
		for _, e := range endpoints {
			if e.Priority == least {
				total += e.Weight
			}
		}
		for _, e := range endpoints {
			share := float64(e.Weight) / float64(total)
			if e.Priority != least {
				share = 0
			}
			want, got := share*subscriptions, float64(first[e.Name])
			if deviation := math.Sqrt(want * (1 - share)); math.Abs(got-want) > 6*deviation { // once in 10⁹
				t.Errorf("%s: got %v subscriptions, want %.0f ± %.0f", e.Name, got, want, 6*deviation)
			}
		}
	})
}

func TestRemovingAnEndpointMovesOnlyItsOwnSubscriptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		endpoints := drawEndpoints(t)
		gone := rapid.IntRange(0, len(endpoints)-1).Draw(t, "gone")
		subscription := rapid.StringN(1, 20, -1).Draw(t, "subscription")
		before := orders(t, endpoints)(subscription)
		name := endpoints[gone].Name
		want := slices.DeleteFunc(slices.Clone(before), func(n string) bool { return n == name })
		if got := orders(t, slices.Delete(slices.Clone(endpoints), gone, gone+1))(subscription); !slices.Equal(got, want) {
			t.Errorf("%v without %s: got order %v, want %v", before, name, got, want)
		}
	})
}

func TestAHeavierWeightMovesSubscriptionsToThatEndpointOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		endpoints := drawEndpoints(t)
		raised := rapid.IntRange(0, len(endpoints)-1).Draw(t, "raised")
		subscription := rapid.StringN(1, 20, -1).Draw(t, "subscription")
		before := orders(t, endpoints)(subscription)[0]
		endpoints[raised].Weight += rapid.IntRange(1, 20).Draw(t, "more")
		if after := orders(t, endpoints)(subscription)[0]; after != before && after != endpoints[raised].Name {
			t.Errorf("%s has more weight: got the subscription moved from %s to %s, want it to stay or go there", endpoints[raised].Name, before, after)
		}
	})
}

// Otherwise one endpoint would have all models of the only subscription.
func TestASubscriptionsModelsAreSharedToo(t *testing.T) {
	client := newClient(t, upstream.Timeouts{}, named("a", 1), named("b", 1))
	first := make(map[string]bool)
	for i := range 64 {
		targets, err := client.Targets(upstream.Selection{Model: fmt.Sprint("m", i), Subscription: "s"})
		if err != nil {
			t.Fatal(err)
		}
		first[targets[0].Endpoint] = true
	}
	if len(first) != 2 {
		t.Errorf("got 64 models at %v, want both endpoints", first)
	}
}

// equalEndpoints returns a pool of the endpoints a and b, which have the same priority, and
// a subscription whose calls go to a first.
func equalEndpoints(t *testing.T, a, b http.HandlerFunc) (p *pool, subscription string) {
	endpoints := []upstream.Endpoint{endpoint("http://127.0.0.1:0"), endpoint("http://127.0.0.1:1")}
	endpoints[0].Name, endpoints[1].Name = "a", "b"
	order := orders(t, endpoints)
	for i := 0; subscription == ""; i++ {
		if s := fmt.Sprint("s", i); order(s)[0] == "a" {
			subscription = s
		}
	}
	return poolOf(t, endpoints, a, b), subscription
}

// wantCall makes a call and checks which endpoints it asked, and its outcome.
func (p *pool) wantCall(t *testing.T, call upstream.Call, asked, outcome string) {
	t.Helper()
	if gotAsked, gotOutcome := p.sendCall(t, call); gotAsked != asked || gotOutcome != outcome {
		t.Errorf("got endpoints %q asked and %s, want %q and %s", gotAsked, gotOutcome, asked, outcome)
	}
}

func TestASubscriptionStaysAtItsEndpointWhileThatAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := false
		p, subscription := equalEndpoints(t, func(w http.ResponseWriter, r *http.Request) {
			if full {
				status(429, "20")(w, r)
			}
		}, ok)
		call := upstream.Call{Selection: upstream.Selection{Model: "m", Path: chatPath, Subscription: subscription}}
		for range 20 {
			p.wantCall(t, call, "a", "answer of a")
		}
		full = true
		p.wantCall(t, call, "ab", "answer of b")
		full = false
		for range 20 {
			p.wantCall(t, call, "b", "answer of b")
		}
		time.Sleep(20 * time.Second)
		for range 20 {
			p.wantCall(t, call, "a", "answer of a")
		}
	})
}

func TestASubscriptionMovesWhenItsEndpointFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, subscription := equalEndpoints(t, nil, ok)
		call := upstream.Call{Selection: upstream.Selection{Model: "m", Path: chatPath, Subscription: subscription}}
		for range 5 {
			p.wantCall(t, call, "ab", "answer of b")
		}
		for range 20 {
			p.wantCall(t, call, "b", "answer of b")
		}
	})
}

// Another endpoint doesn't have what the call refers to.
func TestACallThatNamesItsEndpointGoesNowhereElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, ok, status(429, "20"))
		call := upstream.Call{Selection: upstream.Selection{Model: "m", Path: chatPath, Subscription: "s", Endpoint: "b"}}
		for range 10 {
			p.wantCall(t, call, "b", "429")
		}
		call.Endpoint = "a"
		p.wantCall(t, call, "a", "answer of a")
	})
}

func TestACallToAnUnknownEndpointOrOneWithoutTheModelIsAnError(t *testing.T) {
	a, b := named("a", 1), named("b", 1)
	b.Models = map[string]upstream.Model{"other": {Name: "other"}}
	client := newClient(t, upstream.Timeouts{}, a, b)
	for name, want := range map[string]error{"gone": upstream.ErrEndpoint, "b": upstream.ErrModel} {
		if _, err := client.Send(context.Background(), upstream.Call{Selection: upstream.Selection{Model: "m", Path: chatPath, Endpoint: name}}); !errors.Is(err, want) {
			t.Errorf("a call to endpoint %q: got error %v, want %v", name, err, want)
		}
	}
}
