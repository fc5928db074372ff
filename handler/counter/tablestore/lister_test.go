package tablestore_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/tablestore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
)

func TestListerConformance(t *testing.T) {
	countertest.RunLister(t, tablestore.New(azuretest.Open(t, azurite.Shared(t)), "counters"+rand.Text()))
}

// If an edited row ended the list, the counters behind it would have no housekeeping.
func TestListGoesOnAfterAnEditedRow(t *testing.T) {
	store, _, table := openWired(t)
	for _, key := range []string{"a", "c"} {
		if _, _, err := store.Swap(t.Context(), key, lease.New(limit.Limits{PerMinute: 1}, time.Now(), "epoch"), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.AddEntity(t.Context(), []byte(`{"PartitionKey":"b","RowKey":"counter","Format":"x"}`), nil); err != nil {
		t.Fatal(err)
	}
	var keys string
	for entry, err := range store.List(t.Context()) {
		if edited := errors.Is(err, counter.ErrEdited); edited != (entry.Key == "b") || entry.Version == "" {
			t.Errorf("List: got %+v, %v; want a version, and ErrEdited for b only", entry, err)
		}
		keys += entry.Key
	}
	if keys != "abc" {
		t.Errorf("List: got the keys %q, want \"abc\"", keys)
	}
}
