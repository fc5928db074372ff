package memstore_test

import (
	"strings"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestConformance(t *testing.T) {
	subscriptiontest.Run(t, func(*testing.T) subscription.Store { return memstore.New() })
}

func pepper(t *testing.T) subscription.Pepper {
	t.Helper()
	p, err := subscription.NewPepper("0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoadReadsADirectory(t *testing.T) {
	key := subscription.NewKey()
	store, err := memstore.Load([]byte(`{"tiers":[{"id":"demo","tokensPerMinute":300}],"subscriptions":[{"id":"a","tier":"demo"}],`+
		`"keys":[{"subscription":"a","slot":"primary","key":"`+key+`"}]}`), pepper(t))
	if err != nil {
		t.Fatal(err)
	}
	grant, err := subscription.NewDirectory(store, pepper(t)).Authenticate(t.Context(), key)
	if err != nil || grant.Subscription.ID != "a" || grant.Tier.TokensPerMinute != 300 {
		t.Errorf("Authenticate = %+v, %v", grant, err)
	}
}

func TestLoadNamesEveryFaultAndNoKey(t *testing.T) {
	key := subscription.NewKey()
	_, err := memstore.Load([]byte(`{"tiers":[{"id":"a","burstTokens":5},{"id":"A"}],"subscriptions":[{"id":"s","tier":"none"}],`+
		`"keys":[{"subscription":"nobody","key":"`+key+`"}]}`), pepper(t))
	for _, part := range []string{"tier a: burstTokens", "tier A: id", `tier "none"`, "keys[0]"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not name %s", err, part)
		}
	}
	if err != nil && strings.Contains(err.Error(), key) {
		t.Error("the error shows a key")
	}
	if _, err := memstore.Load([]byte(`{"tears":[]}`), pepper(t)); err == nil {
		t.Error("a misspelt field is taken")
	}
}
