package tablestore_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/tablestore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
)

func TestListerConformance(t *testing.T) {
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	countertest.RunLister(t, tablestore.New(service, "counters"+rand.Text()))
}

// A walk that an edited row ended would leave the others without housekeeping.
func TestListGoesOnAfterAnEditedRow(t *testing.T) {
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	table := "counters" + rand.Text()
	store := tablestore.New(service, table)
	for _, key := range []string{"a", "c"} {
		if _, _, err := store.Swap(t.Context(), key, lease.New(limit.Limits{PerMinute: 1}, time.Now(), "epoch"), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := service.NewClient(table).AddEntity(t.Context(), []byte(`{"PartitionKey":"b","RowKey":"counter","Format":"x"}`), nil); err != nil {
		t.Fatal(err)
	}
	var keys string
	for stored, err := range store.List(t.Context()) {
		if edited := errors.Is(err, counter.ErrEdited); edited != (stored.Key == "b") || stored.Version == "" {
			t.Errorf("got %+v, %v; want a version, and ErrEdited for b only", stored, err)
		}
		keys += stored.Key
	}
	if keys != "abc" {
		t.Errorf("keys listed: got %q, want \"abc\"", keys)
	}
}
