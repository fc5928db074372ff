package tablestore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/local/azurite"
	"tollgate/handler/price"
	"tollgate/handler/price/pricetest"
	"tollgate/handler/price/tablestore"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

var tables atomic.Int64

// open returns an empty store and a client of its table.
func open(t *testing.T) (*tablestore.Store, *aztables.Client) {
	t.Helper()
	service := azuretest.Open(t, azurite.Shared(t))
	name := fmt.Sprintf("prices%d", tables.Add(1))
	return tablestore.New(service, name), service.NewClient(name)
}

func TestConformance(t *testing.T) {
	pricetest.Run(t, func(t *testing.T) price.Store {
		store, _ := open(t)
		return store
	})
}

func example() price.Price {
	return price.Price{Model: "a/b", From: "2026-11-01", Terms: price.Terms{Rates: price.Rates{Prompt: "1", Completion: "2"}}}
}

func TestColumnsAreReadableAndTyped(t *testing.T) {
	store, client := open(t)
	p := example()
	p.Multipliers, p.Partial = map[string]price.Decimal{"e": "1.1"}, []string{"f"}
	version, err := store.Put(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	found, err := client.GetEntity(t.Context(), "price", "a!2Fb|2026-11-01", nil)
	if err != nil {
		t.Fatal(err)
	}
	var row map[string]any
	if err := json.Unmarshal(found.Value, &row); err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]any{"prompt": "1", "completion": "2", "multipliers": `{"e":"1.1"}`, "partial": `["f"]`,
		"version": fmt.Sprint(version), "version@odata.type": "Edm.Int64", "cached": nil} {
		if row[column] != want {
			t.Errorf("column %s: got %v, want %v", column, row[column], want)
		}
	}
}

func TestAnUnreadableRowAffectsOnlyItsOwnPrice(t *testing.T) {
	store, client := open(t)
	if _, err := store.PutCurrency(t.Context(), price.Currency{Code: "EUR"}); err != nil {
		t.Fatal(err)
	}
	other := example()
	other.Model = "other"
	if _, err := store.Put(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	for columns, broken := range map[string]bool{
		`"prompt":"1","completion":"2","multipliers":"{oops"`:                                                      true,
		`"prompt":7,"completion":"2","version":"5","version@odata.type":"Edm.Int64"`:                               true,
		`"prompt":"1","completion":"2","unknown":"x","version":"5","version@odata.type":"Edm.Int64","source":"me"`: false,
		`"completion":"2"`: false, // the list reports the missing prompt
	} {
		row := `{"PartitionKey":"price","RowKey":"a!2Fb|2026-11-01",` + columns + `}`
		if _, err := client.UpsertEntity(t.Context(), []byte(row), &aztables.UpsertEntityOptions{UpdateMode: aztables.UpdateModeReplace}); err != nil {
			t.Fatal(err)
		}
		all, err := store.Read(t.Context())
		if err != nil || len(all.Prices) != 2 || all.Prices[0].Model != "a/b" || all.Prices[0].From != "2026-11-01" || (all.Prices[0].Unreadable != "") != broken {
			t.Errorf("%s: got %+v and error %v, want two prices, the first unreadable: %t", columns, all.Prices, err, broken)
		}
		again := example()
		again.Version = all.Prices[0].Version
		if _, err := store.Put(t.Context(), again); err != nil {
			t.Errorf("%s: set again: got error %v, want none", columns, err)
		}
		if all.Currency.Code != "EUR" {
			t.Errorf("%s: got the currency %+v, want EUR", columns, all.Currency)
		}
	}
}

// An unreliable transport loses the answers to writes that the service has applied.
type unreliable struct{ loses atomic.Int64 }

func (u *unreliable) Do(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultClient.Do(r)
	if err == nil && r.Method != http.MethodGet && u.loses.Add(-1) >= 0 {
		_ = answer.Body.Close()
		return nil, errors.New("the answer was lost")
	}
	return answer, err
}

func TestAChangeSucceedsOnceEvenIfItsAnswerIsLost(t *testing.T) {
	wire := new(unreliable)
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: wire, Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	store := tablestore.New(service, fmt.Sprintf("prices%d", tables.Add(1)))
	if _, err := store.PutCurrency(t.Context(), price.Currency{Code: "EUR"}); err != nil { // makes the table
		t.Fatal(err)
	}
	p := example()
	wire.loses.Store(1)
	if p.Version, err = store.Put(t.Context(), p); err != nil {
		t.Errorf("an insertion whose answer was lost: got error %v, want none", err)
	}
	wire.loses.Store(1)
	p.Prompt = "3"
	if p.Version, err = store.Put(t.Context(), p); err != nil {
		t.Errorf("a change whose answer was lost: got error %v, want none", err)
	}
	if got, err := store.Price(t.Context(), p.Model, p.From); err != nil || got.Prompt != "3" || got.Version != p.Version {
		t.Errorf("got %+v and error %v, want the change with version %d", got, err, p.Version)
	}
	wire.loses.Store(1)
	if err := store.Delete(t.Context(), p.Model, p.From, p.Version); err != nil {
		t.Errorf("a deletion whose answer was lost: got error %v, want none", err)
	}
}

func TestReadFailsIfTheStoreIsUnreachable(t *testing.T) {
	service := azuretest.Open(t, azurite.ConnectionString("1"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if all, err := tablestore.New(service, tablestore.DefaultTable).Read(ctx); err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("Read: got %+v and error %v, want one saying that the table can't be reached", all, err)
	}
}
