package tablestore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/local/azurite"
	"tollgate/handler/stored"
	"tollgate/handler/stored/storedtest"
	"tollgate/handler/stored/tablestore"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

func open(t *testing.T, connection, table string) *tablestore.Store {
	t.Helper()
	service := azuretest.Open(t, connection)
	return tablestore.New(service, table)
}

func TestConformance(t *testing.T) {
	storedtest.Run(t, open(t, azurite.Shared(t), "responses"+rand.Text()))
}

func TestErrorsExplainAnUnreachableOrRefusingStorageAccount(t *testing.T) {
	down := azurite.ConnectionString("1")
	wrong := strings.Replace(azurite.Shared(t), azurite.AccountKey, "d3Jvbmc=", 1)
	for connection, want := range map[string]string{down: "can't be reached", wrong: "check the account's key"} {
		store := open(t, connection, "responses")
		_, get := store.Get(t.Context(), "resp_1", time.Now())
		_, expire := store.DeleteExpired(t.Context(), time.Now())
		put := store.Put(t.Context(), stored.Response{ID: "resp_1", Created: time.Now()})
		for name, err := range map[string]error{"put": put, "get": get, "delete": expire} {
			if err == nil || errors.Is(err, stored.ErrUnknown) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "resp_1") {
				t.Errorf("%s: got error %v, want %s and no id", name, err, want)
			}
		}
	}
}

// operations counts the requests to a table.
type operations struct{ count int }

func (o *operations) Do(r *http.Request) (*http.Response, error) {
	o.count++
	return http.DefaultClient.Do(r)
}

func TestAResponseCostsOneOperation(t *testing.T) {
	counted := &operations{}
	store := tablestore.New(counting(t, counted), "responses"+rand.Text())
	put := func(id string) {
		t.Helper()
		if err := store.Put(context.Background(), stored.Response{ID: id, Subscription: "acme", Endpoint: "e", Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	put("resp_first") // makes the table
	counted.count = 0
	for _, id := range []string{"resp_1", "resp_2", "resp_3"} {
		put(id)
	}
	if counted.count != 3 {
		t.Errorf("got %d operations for 3 responses, want 3", counted.count)
	}
}
