package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"

	"tollgate/handler/azure"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

// pepper hashes the keys, which live as long as the bench.
const pepper = "for-a-bench-on-one-machine-only"

// A store keeps the gateway's keys and counters: an emulator behind a proxy that counts
// operations, or the gateway's memory.
type store struct {
	settings   []string
	operations atomic.Int64
	close      func()
	keys       map[subscription.Reserve]string // a key for each way of reserving
}

// limits returns every kind of limit, far above the bench's load: each call is decided and
// granted.
func limits(reserve subscription.Reserve) subscription.Limits {
	return subscription.Limits{TokensPerMinute: 2e9, BurstTokens: 1e6, TokenQuota: 1e13, TokenQuotaPeriod: limit.Monthly,
		Reserve: reserve, MaxCompletionTokens: 4096, MaxConcurrent: new(int64(0))}
}

// openStore creates a tier, a subscription and a key for each way of reserving.
func openStore(ctx context.Context, where string) (*store, error) {
	s := &store{close: func() {}, keys: map[subscription.Reserve]string{
		subscription.ReserveFull: subscription.NewKey(), subscription.ReservePrompt: subscription.NewKey(),
	}}
	if where == "memory" {
		s.inMemory()
		return s, nil
	}
	emulator, err := azurite.Start(ctx, "")
	if errors.Is(err, azurite.ErrNotInstalled) {
		fmt.Println("Azurite is not installed: the counters are kept in memory.")
		s.inMemory()
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.close = emulator.Stop
	if err := s.subscribe(ctx, emulator.ConnectionString); err != nil {
		emulator.Stop()
		return nil, err
	}
	return s, s.count(emulator)
}

func (s *store) inMemory() {
	var tiers, subscriptions, keys []string
	for reserve, key := range s.keys {
		l := limits(reserve)
		tiers = append(tiers, fmt.Sprintf(`{"id":%q,"tokensPerMinute":%d,"burstTokens":%d,"tokenQuota":%d,"tokenQuotaPeriod":%q,"reserve":%q,"maxCompletionTokens":%d,"maxConcurrent":%d}`,
			reserve, l.TokensPerMinute, l.BurstTokens, l.TokenQuota, l.TokenQuotaPeriod, l.Reserve, l.MaxCompletionTokens, l.Concurrent()))
		subscriptions = append(subscriptions, fmt.Sprintf(`{"id":%q,"tier":%q}`, reserve, reserve))
		keys = append(keys, fmt.Sprintf(`{"subscription":%q,"key":%q}`, reserve, key))
	}
	list := func(of []string) string { return "[" + strings.Join(of, ",") + "]" }
	s.settings = []string{"STORE=memory", fmt.Sprintf(`MEMORY_DIRECTORY={"tiers":%s,"subscriptions":%s,"keys":%s}`, list(tiers), list(subscriptions), list(keys))}
}

func (s *store) subscribe(ctx context.Context, connection string) error {
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(connection)})
	if err != nil {
		return err
	}
	directory := tablestore.New(service, tablestore.DefaultTables)
	for reserve, key := range s.keys {
		id := string(reserve)
		if err := subscriptiontest.Add(ctx, directory, pepper, subscription.Tier{ID: id, Limits: limits(reserve)}, id, key); err != nil {
			return err
		}
	}
	return nil
}

// count puts a proxy that counts operations in front of the emulator.
func (s *store) count(emulator *azurite.Server) error {
	_, endpoint, found := strings.Cut(emulator.ConnectionString, "TableEndpoint=")
	to, err := url.Parse(endpoint)
	if !found || err != nil {
		return errors.New("the emulator's connection string names no TableEndpoint")
	}
	to.Path = ""
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.operations.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	s.settings = []string{"STORE=tables", "AzureWebJobsStorage=" + strings.Replace(emulator.ConnectionString, "http://"+to.Host, counting.URL, 1)}
	stop := s.close
	s.close = func() {
		counting.Close()
		stop()
	}
	return nil
}

// gatewaySettings returns the gateway's settings for the model at an address.
func (s *store) gatewaySettings(model string) []string {
	return append([]string{"KEY_PEPPER=" + pepper, "UPSTREAM_URL=" + model, "UPSTREAM_SHAPE=openai", "UPSTREAM_API_KEY=" + fakemodel.Key,
		"MODELS=DeepSeek-R1"}, s.settings...)
}
