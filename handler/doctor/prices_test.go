package doctor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tollgate/handler/doctor"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
	"tollgate/handler/price"
	pricemem "tollgate/handler/price/memstore"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

// served is what a gateway serves in tests of prices.
var served = price.Served{Models: []string{"r1", "gpt-4o"}, Endpoints: []string{"a"}}

func TestModelsWithoutAPriceAreReportedIfALimitIsInCost(t *testing.T) {
	const prices = `{"currency":"EUR","prices":[{"model":"r1","from":"2020-01-01","prompt":"1","completion":"1"}]}`
	budget := []subscription.Limit{{Name: "budget", Unit: limit.Cost, Quota: limit.Nano, Period: limit.Monthly}}
	ofR1 := []subscription.Limit{{Name: "budget", Unit: limit.Cost, Quota: limit.Nano, Period: limit.Monthly, Models: []string{"r1"}}}
	for name, c := range map[string]struct {
		prices  string
		tier    subscription.Rules
		group   []subscription.Limit
		own     string // a subscription's overrides
		want    string
		missing int // findings without reading subscriptions
	}{
		"no limit in cost":         {prices, subscription.Rules{}, nil, "", "ok", 0},
		"a tier's":                 {prices, subscription.Rules{Limits: budget}, nil, "", "model gpt-4o: has no price; set it with", 1},
		"a group's":                {prices, subscription.Rules{}, budget, "", "model gpt-4o: has no price; set it with", 1},
		"of priced models":         {prices, subscription.Rules{Limits: ofR1}, nil, "", "ok", 0},
		"of a tier's models":       {prices, subscription.Rules{Limits: budget, Models: []string{"r1"}}, nil, "", "ok", 0},
		"of a subscription's":      {prices, subscription.Rules{Limits: ofR1}, nil, `{"limits":[{"name":"budget","models":["gpt-4o"]}]}`, "model gpt-4o: has no price; set it with", 0},
		"partial":                  {strings.Replace(prices, `"prompt"`, `"partial":["audio"],"prompt"`, 1), subscription.Rules{Limits: ofR1}, nil, "", "model r1: its price from 2020-01-01 also depends on audio", 1},
		"accepted":                 {strings.Replace(prices, `"prompt"`, `"partial":["audio"],"acceptPartial":true,"prompt"`, 1), subscription.Rules{Limits: ofR1}, nil, "", "ok", 0},
		"an endpoint that isn't":   {strings.Replace(prices, `"prompt"`, `"multipliers":{"b":"2"},"prompt"`, 1), subscription.Rules{Limits: ofR1}, nil, "", "ok", 0},
		"no price of any":          {`{}`, subscription.Rules{Limits: budget}, nil, "", "model r1: has no price", 2},
		"a limit of unknown model": {`{}`, subscription.Rules{Limits: []subscription.Limit{{Name: "b", Unit: limit.Cost, Quota: 1, Period: limit.Daily, Models: []string{"x"}}}}, nil, "", "ok", 0},
	} {
		t.Run(name, func(t *testing.T) {
			store, list := memstore.New(), mustLoad(t, c.prices)
			_, e1 := store.PutTier(t.Context(), subscription.Tier{ID: "gold", Rules: c.tier})
			_, e2 := store.PutGroup(t.Context(), subscription.Group{ID: "lab", Limits: c.group})
			s := subscription.Subscription{ID: "a", Tier: "gold"}
			if c.own != "" {
				s.Overrides = overrides(t, c.own)
			}
			_, e3 := store.PutSubscription(t.Context(), s)
			if err := errors.Join(e1, e2, e3); err != nil {
				t.Fatal(err)
			}
			expectFindings(t, []manage.Check{doctor.Prices(served, store, list)}, map[string]string{"prices": c.want})
			if found, err := doctor.MissingPrices(t.Context(), served, store, list); err != nil || len(found) != c.missing {
				t.Errorf("MissingPrices: got %+v, %v; want %d findings", found, err, c.missing)
			}
			list.Fail(errors.New("down"))
			expectFindings(t, []manage.Check{doctor.Prices(served, store, list)}, map[string]string{"prices": "down"})
		})
	}
}

func mustLoad(t *testing.T, document string) *pricemem.Store {
	t.Helper()
	store, err := pricemem.Load([]byte(document))
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", document, err))
	}
	return store
}
