package tablestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"tollgate/handler/azurite"
	"tollgate/handler/secret"
	"tollgate/handler/storage"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

var opened atomic.Int64

// open makes a store over tables of its own.
func open(t *testing.T) (*tablestore.Store, tablestore.Tables, storage.Settings) {
	t.Helper()
	settings := storage.Settings{ConnectionString: secret.New(azurite.Shared(t))}
	service, err := storage.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	n := opened.Add(1)
	tables := tablestore.Tables{Tiers: fmt.Sprintf("tiers%d", n), Subscriptions: fmt.Sprintf("subscriptions%d", n), Keys: fmt.Sprintf("keys%d", n)}
	return tablestore.New(service, tables), tables, settings
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
	key := subscription.NewKey()
	if err := store.PutKey(t.Context(), subscription.KeyRecord{Hash: pepper.Hash(key), Subscription: "a", Slot: subscription.Primary}); err != nil {
		t.Fatal(err)
	}
	service, err := storage.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	page, err := service.NewClient(tables.Keys).NewListEntitiesPager(nil).NextPage(t.Context())
	if err != nil || len(page.Entities) != 1 {
		t.Fatalf("%d rows, %v", len(page.Entities), err)
	}
	row := string(page.Entities[0])
	if strings.Contains(row, key) || strings.Contains(row, secretPepper) || !strings.Contains(row, pepper.Hash(key)) {
		t.Errorf("the row of a key is %s", row)
	}
}

func TestAStoreThatIsDownIsNeitherNotFoundNorNamed(t *testing.T) {
	service, err := storage.Open(storage.Settings{ConnectionString: secret.New("DefaultEndpointsProtocol=http;AccountName=" + azurite.AccountName +
		";AccountKey=" + azurite.AccountKey + ";TableEndpoint=http://127.0.0.1:1/" + azurite.AccountName)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tablestore.New(service, tablestore.Usual).Key(context.Background(), "canary-hash")
	if err == nil || errors.Is(err, subscription.ErrNotFound) || strings.Contains(err.Error(), "canary-hash") {
		t.Errorf("Key = %v", err)
	}
}
