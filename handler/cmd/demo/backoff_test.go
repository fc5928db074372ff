package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// recording returns the setup behind a proxy, which calls before ahead of each request and
// then records the clock's time.
func (s demo) recording(t *testing.T, before func()) (behind *setup, times func() []time.Time) {
	t.Helper()
	gateway, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var recorded []time.Time
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		before()
		mu.Lock()
		defer mu.Unlock()
		recorded = append(recorded, s.clock.Now().Round(0))
		r.SetURL(gateway)
	}})
	t.Cleanup(proxy.Close)
	return &setup{url: proxy.URL}, func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(recorded)
	}
}

// subscribeEach creates a subscription for each of refusedClients, and returns their keys by client.
func (s demo) subscribeEach(t *testing.T, name string, rules subscription.Rules) map[string]string {
	t.Helper()
	keys := make(map[string]string)
	for _, client := range refusedClients {
		keys[client] = subscription.NewKey()
		if err := s.subscribe(t.Context(), name+"-"+client, keys[client], rules); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

// callsOf returns rules with one limit in calls.
func callsOf(l subscription.Limit) subscription.Rules {
	l.Name, l.Unit = "calls", limit.Calls
	return subscription.Rules{Limits: []subscription.Limit{l}}
}

// beforeEnd is the time before a minute's end at which clients' calls are refused: enough
// for all of them on a busy machine.
const beforeEnd = 15 * time.Second

// TestOfficialClientsRetryInTheNextMinute checks that each client with its retries on makes
// one more request if a minute's limit refuses its call, in the next minute, and succeeds.
// The clients' first requests are held until all have started, so that none is late for the
// minute in which they are refused.
func TestOfficialClientsRetryInTheNextMinute(t *testing.T) {
	s := openForClients(t)
	limits := map[string]map[string]string{
		"calls":  s.subscribeEach(t, "calls", callsOf(subscription.Limit{PerMinute: 1})),
		"tokens": s.subscribeEach(t, "tokens", subscriptiontest.Tokens(tokensPerMinute)),
	}
	held, release := context.WithCancel(t.Context())
	defer release()
	var started, using, ended sync.WaitGroup
	for unit, keys := range limits {
		for client, key := range keys {
			started.Add(1)
			ready := sync.OnceFunc(started.Done)
			behind, times := s.recording(t, func() {
				ready()
				<-held.Done()
			})
			ended.Go(func() {
				defer ready() // if the client fails before its first request
				got := behind.callWith(t, key, client, "plain", "3")
				at := times()
				if !got.answered(hasCompletion(client)) || len(at) != 2 || limit.Minute(at[1]) != limit.Minute(at[0])+1 {
					t.Errorf("%s, a minute's %s used up: got %+v after requests at %v, want an answer to the second, in the next minute", client, unit, got, at)
				}
			})
		}
	}
	started.Wait()
	s.clock.Set(time.Minute - beforeEnd)
	for _, keys := range limits {
		for _, key := range keys {
			using.Go(func() { s.useUp(t, key) })
		}
	}
	using.Wait()
	release()
	ended.Wait()
}

// TestOfficialClientsDontRetryInVain checks that each client with its retries on returns a
// refusal after one request if waiting doesn't help: a quota is used up, or the call is
// larger than a limit.
func TestOfficialClientsDontRetryInVain(t *testing.T) {
	s := openForClients(t)
	quotas := s.subscribeEach(t, "quota", callsOf(subscription.Limit{Quota: 1, Period: limit.Yearly}))
	small := s.subscribeEach(t, "small", subscriptiontest.Tokens(2))
	check := func(client, key string, status int) {
		behind, times := s.recording(t, func() {})
		if got := behind.callWith(t, key, client, "plain", "3"); got.Error == "" || got.Status != status || len(times()) != 1 {
			t.Errorf("%s: got %+v after %d requests, want an error with %d after 1", client, got, len(times()), status)
		}
	}
	var all sync.WaitGroup
	for _, client := range refusedClients {
		all.Go(func() {
			s.useUp(t, quotas[client])
			check(client, quotas[client], http.StatusForbidden)
			check(client, small[client], http.StatusRequestEntityTooLarge)
		})
	}
	all.Wait()
}
