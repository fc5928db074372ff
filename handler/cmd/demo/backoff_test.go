package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// counting returns the setup behind a proxy that counts requests.
func (s *setup) counting(t *testing.T) (behind *setup, requests *atomic.Int64) {
	t.Helper()
	gateway, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int64)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		requests.Add(1)
		r.SetURL(gateway)
	}})
	t.Cleanup(proxy.Close)
	return &setup{url: proxy.URL}, requests
}

// TestOfficialClientsBackOffByLimit checks what each client does with its retries on when a
// limit refuses: where waiting is useless it tells its caller at once, after one request;
// where the next minute helps it makes one more request, then, and succeeds.
func TestOfficialClientsBackOffByLimit(t *testing.T) {
	s := openForClients(t)
	calls := subscription.Limit{Name: "calls", Unit: limit.Calls}
	perMinute, perYear := calls, calls
	perMinute.PerMinute, perYear.Quota, perYear.Period = 1, 1, limit.Yearly
	tried := append(clientNames, "responses")
	keys := make(map[string]string)
	add := func(name string, rules subscription.Rules) {
		keys[name] = subscription.NewKey()
		if err := s.subscribe(t.Context(), name, keys[name], rules); err != nil {
			t.Fatal(err)
		}
	}
	for _, client := range tried {
		add("minute-"+client, subscription.Rules{Limits: []subscription.Limit{perMinute}})
		add("quota-"+client, subscription.Rules{Limits: []subscription.Limit{perYear}})
		add("small-"+client, subscriptiontest.Tokens(5))
	}
	each := func(check func(client string)) {
		var all sync.WaitGroup
		for _, client := range tried {
			all.Go(func() { check(client) })
		}
		all.Wait()
	}
	each(func(client string) {
		s.useUp(t, keys["quota-"+client])
		for name, status := range map[string]int{"quota-": http.StatusForbidden, "small-": http.StatusRequestEntityTooLarge} {
			behind, requests := s.counting(t)
			if got := behind.through(t, keys[name+client], client, "plain", "3"); got.Error == "" || got.Status != status || requests.Load() != 1 {
				t.Errorf("%s, %s: got %+v after %d requests, want an error with %d after 1", client, name, got, requests.Load(), status)
			}
		}
	})
	if err := waitForMinute(t.Context(), 15*time.Second); err != nil { // all must be refused in it, however slowly the clients start
		t.Fatal(err)
	}
	minute := time.Now().Truncate(time.Minute)
	each(func(client string) { s.useUp(t, keys["minute-"+client]) })
	each(func(client string) {
		behind, requests := s.counting(t)
		if got := behind.through(t, keys["minute-"+client], client, "plain", "3"); !got.answered(true) || requests.Load() != 2 || time.Now().Before(minute.Add(time.Minute)) {
			t.Errorf("%s, a call a minute: got %+v after %d requests at %s, want an answer after 2, in the next minute", client, got, requests.Load(), time.Now())
		}
	})
}
