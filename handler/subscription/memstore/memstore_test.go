package memstore_test

import (
	"fmt"
	"strings"
	"testing"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestConformance(t *testing.T) {
	subscriptiontest.Run(t, func(*testing.T) subscription.Store { return memstore.New() })
}

func TestLoadReadsADirectory(t *testing.T) {
	key := subscription.NewKey()
	store, err := memstore.Load([]byte(`{"tiers":[{"id":"demo","tokensPerMinute":300}],"subscriptions":[{"id":"a","tier":"demo"}],`+
		`"keys":[{"subscription":"a","slot":"primary","key":"`+key+`"}]}`), subscriptiontest.Pepper(t))
	if err != nil {
		t.Fatal(err)
	}
	grant, err := subscription.NewDirectory(store, subscriptiontest.Pepper(t)).Authenticate(t.Context(), key)
	if err != nil || grant.Subscription.ID != "a" || grant.Limits[0].PerMinute != 300 {
		t.Errorf("Authenticate: got %+v, %v; want subscription a with 300 tokens a minute", grant, err)
	}
}

func TestLoadNamesEveryFaultButNoKey(t *testing.T) {
	key := subscription.NewKey()
	_, err := memstore.Load([]byte(`{"tiers":[{"id":"a","burstTokens":5},{"id":"A"},{"id":"b"},{"id":"b"},{"id":"c","burstTokens":5,"limits":[{"name":"tokens","unit":"tokens","perMinute":9}]}],`+
		`"subscriptions":[{"id":"s","tier":"none"},{"id":"r","tier":"b","overrides":{"maxWait":"9h"}}],`+
		`"keys":[{"subscription":"nobody","key":"`+key+`"},{"subscription":"s","slot":"third","key":"`+key[:40]+`"}]}`), subscriptiontest.Pepper(t))
	if err == nil {
		t.Fatal("Load of an invalid document: got no error, want one")
	}
	for _, part := range []string{
		`tiers[0] "a": limits.tokens.perMinute is missing`, `tiers[1] "A": id`, `tiers[3] "b": exists already`, `tiers[4] "c": limits has the limit named tokens, which tokensPerMinute`, `subscriptions[0] "s": tier "none"`,
		`subscriptions[1] "r": with the subscription's overrides: maxWait`, `keys[0]: subscription "nobody"`, `keys[1]: key is not a key`, `slot "third"`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %v, want it to contain %s", err, part)
		}
	}
	if strings.Contains(err.Error(), key[:40]) {
		t.Errorf("got error %v, want no key in it", err)
	}
}

func TestEachLineOfALoadErrorNamesWhatItConcerns(t *testing.T) {
	_, err := memstore.Load([]byte(`{"tiers":[{"id":"a","limits":[{"name":"x","perMinute":3},{"name":"y","unit":"calls"}]}]}`), subscriptiontest.Pepper(t))
	want := "tiers[0] \"a\": limits.x.unit is missing: use tokens, prompt-tokens, completion-tokens, calls, cost\n" +
		"tiers[0] \"a\": limits.y.perMinute is missing, and so is quota: set one of the two, or both"
	if err == nil || err.Error() != want {
		t.Errorf("two faults of a tier: got\n%v\nwant\n%s", err, want)
	}
}

func TestLoadRejectsASubscriptionWithTooManyLimits(t *testing.T) {
	var limits []string
	for i := range subscription.MaxLimits {
		limits = append(limits, fmt.Sprintf(`{"name":"l%d","unit":"calls","perMinute":%d}`, i, i+1))
	}
	all := strings.Join(limits, ",")
	document := fmt.Sprintf(`{"tiers":[{"id":"t","limits":[%[1]s]}],"groups":[{"id":"g1","limits":[%[1]s]},{"id":"g2","parent":"g1","limits":[%[1]s]},{"id":"g3","parent":"g2","limits":[%[1]s]}],`+
		`"subscriptions":[{"id":"s","tier":"t","group":"g3"},{"id":"r","tier":"t","group":"g2"}]}`, all)
	_, err := memstore.Load([]byte(document), subscriptiontest.Pepper(t))
	if want := `subscriptions[0] "s": `; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "32 limits") || strings.Contains(err.Error(), `"r"`) {
		t.Errorf("subscriptions with 32 and 24 limits: got error %v, want one that begins with %s, names 32 limits, and doesn't mention the other", err, want)
	}
}

func TestLoadRejectsWrongJSON(t *testing.T) {
	for document, want := range map[string]string{
		`{"tears":[]}`:                        "tears is unknown",
		`{"tiers":{}}`:                        "tiers is a JSON object: use a list",
		`{"tiers":[{"tokensPerMinute":"1"}]}`: "tokensPerMinute is a JSON string",
		`{"tiers":[`:                          "ends early",
	} {
		if _, err := memstore.Load([]byte(document), subscriptiontest.Pepper(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %s", document, err, want)
		}
	}
}
