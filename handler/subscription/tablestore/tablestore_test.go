package tablestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/azure/azuretest"
	"tollgate/handler/local/azurite"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

var tableSets atomic.Int64

// newTableNames returns names that no other test uses.
func newTableNames() tablestore.Tables {
	n := tableSets.Add(1)
	return tablestore.Tables{Tiers: fmt.Sprintf("tiers%d", n), Groups: fmt.Sprintf("groups%d", n), Subscriptions: fmt.Sprintf("subscriptions%d", n), Keys: fmt.Sprintf("keys%d", n)}
}

func open(t *testing.T) (*tablestore.Store, tablestore.Tables, azure.Settings) {
	t.Helper()
	settings := azure.Settings{ConnectionString: secret.New(azurite.Shared(t))}
	service, err := azure.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	tables := newTableNames()
	return tablestore.New(service, tables), tables, settings
}

func client(t *testing.T, settings azure.Settings, table string) *aztables.Client {
	t.Helper()
	service, err := azure.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	return service.NewClient(table)
}

// rows returns a table's rows as JSON.
func rows(t *testing.T, settings azure.Settings, table string) [][]byte {
	t.Helper()
	page, err := client(t, settings, table).NewListEntitiesPager(nil).NextPage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return page.Entities
}

func TestConformance(t *testing.T) {
	subscriptiontest.Run(t, func(t *testing.T) subscription.Store {
		store, _, _ := open(t)
		return store
	})
}

func TestRowsHoldNoKeyAndNoPepper(t *testing.T) {
	store, tables, settings := open(t)
	const secretPepper = "a pepper of the test"
	pepper, err := subscription.NewPepper(secretPepper)
	if err != nil {
		t.Fatal(err)
	}
	registry, ctx := subscription.Registry{Store: store}, t.Context()
	if _, err := registry.SetTier(ctx, "t", func(*subscription.Tier) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Create(ctx, subscription.Subscription{ID: "s", Tier: "t"}); err != nil {
		t.Fatal(err)
	}
	first, _, e1 := registry.CreateKey(ctx, pepper, "s", subscription.Primary, subscription.KeyOptions{})
	second, _, e2 := registry.CreateKey(ctx, pepper, "s", subscription.Secondary, subscription.KeyOptions{})
	third, record, e3 := registry.RotateKey(ctx, pepper, "s", subscription.Primary, subscription.KeyOptions{})
	if err := errors.Join(e1, e2, e3); err != nil {
		t.Fatal(err)
	}
	if n := len(rows(t, settings, tables.Keys)); n != 3 || record.Hash != pepper.Hash(third) {
		t.Errorf("got %d rows after a rotation, want 2 keys and a fingerprint", n)
	}
	for _, table := range []string{tables.Tiers, tables.Subscriptions, tables.Keys} {
		for _, row := range rows(t, settings, table) {
			for _, hidden := range []string{first, second, third, secretPepper} {
				if strings.Contains(string(row), hidden) {
					t.Errorf("a row of %s: got %s, want no key and no pepper in it", table, row)
				}
			}
		}
	}
}

func TestTheErrorOfAnUnreachableStoreIsNotErrNotFoundAndHasNoHash(t *testing.T) {
	service := azuretest.Open(t, azurite.ConnectionString("1"))
	_, err := tablestore.New(service, tablestore.DefaultTables).Key(context.Background(), "canary-hash")
	if err == nil || errors.Is(err, subscription.ErrNotFound) || strings.Contains(err.Error(), "canary-hash") {
		t.Errorf("Key: got error %v, want one that is not ErrNotFound and shows no hash", err)
	}
}
