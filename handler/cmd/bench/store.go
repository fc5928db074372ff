package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	settings []string
	close    func()
	tiers    []subscription.Tier // each with a subscription of its name
	keys     map[string]string   // a key for each subscription
	// operations is the number of operations, but for those on counters of severalLimits.
	operations atomic.Int64
	// counted is the number of operations on the counters of severalLimits.
	counted atomic.Int64
}

// newStore returns a store that will hold tiers, with a subscription and a key for each.
func newStore(tiers ...subscription.Tier) *store {
	s := &store{close: func() {}, tiers: tiers, keys: make(map[string]string)}
	for _, tier := range tiers {
		s.keys[tier.ID] = subscription.NewKey()
	}
	return s
}

// tier returns a tier with a limit of every kind for each unit, far above the bench's load:
// each call is decided and granted.
func tier(id string, reserve subscription.Reserve, units ...limit.Unit) subscription.Tier {
	rules := subscription.Rules{Reserve: reserve, MaxCompletionTokens: 4096, MaxConcurrent: new(int64(0))}
	for _, unit := range units {
		rules.Limits = append(rules.Limits, subscription.Limit{Name: string(unit), Unit: unit, PerMinute: 2e9, Burst: 1e6, Quota: 1e13, Period: limit.Monthly})
	}
	return subscription.Tier{ID: id, Rules: rules}
}

// openStore opens a store with a tier, a subscription and a key for each of the gateways.
func openStore(ctx context.Context, where string) (*store, error) {
	s := newStore(tier(full, subscription.ReserveFull, limit.Tokens), tier(byPrompt, subscription.ReservePrompt, limit.Tokens),
		tier(severalLimits, subscription.ReserveFull, limit.Tokens, limit.PromptTokens, limit.CompletionTokens, limit.Calls))
	if where == "memory" {
		return s, s.inMemory()
	}
	emulator, err := azurite.Start(ctx, "")
	if errors.Is(err, azurite.ErrNotInstalled) {
		fmt.Println("Azurite is not installed: the counters are kept in memory.")
		return s, s.inMemory()
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

func (s *store) inMemory() error {
	type document struct {
		Tiers         []subscription.Tier `json:"tiers"`
		Subscriptions []map[string]string `json:"subscriptions"`
		Keys          []map[string]string `json:"keys"`
	}
	d := document{Tiers: s.tiers}
	for name, key := range s.keys {
		d.Subscriptions = append(d.Subscriptions, map[string]string{"id": name, "tier": name})
		d.Keys = append(d.Keys, map[string]string{"subscription": name, "key": key})
	}
	text, err := json.Marshal(d)
	s.settings = []string{"STORE=memory", "MEMORY_DIRECTORY=" + string(text)}
	return err
}

func (s *store) subscribe(ctx context.Context, connection string) error {
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(connection)})
	if err != nil {
		return err
	}
	directory := tablestore.New(service, tablestore.DefaultTables)
	for _, tier := range s.tiers {
		if err := subscriptiontest.Add(ctx, directory, pepper, tier, tier.ID, s.keys[tier.ID]); err != nil {
			return err
		}
	}
	return nil
}

// count puts a proxy that counts operations in front of the emulator.
func (s *store) count(emulator *azurite.Server) error {
	proxy, err := azurite.Proxy(emulator.ConnectionString)
	if err != nil {
		return err
	}
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "PartitionKey='"+severalLimits+"!") { // a counter's partition: the subscription, an escaped slash, the limit
			s.counted.Add(1)
		} else {
			s.operations.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	s.settings = []string{"STORE=tables", "AzureWebJobsStorage=" + azurite.ConnectionString(strings.TrimPrefix(counting.URL, "http://127.0.0.1:"))}
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
