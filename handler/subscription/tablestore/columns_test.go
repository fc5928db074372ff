package tablestore_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestColumnsAreReadableAndTyped(t *testing.T) {
	store, tables, settings := open(t)
	rules := subscriptiontest.Tokens(1 << 40)
	rules.Reserve, rules.Shadow, rules.Models, rules.MaxCompletionTokens = "full", true, []string{"a"}, 1<<30
	if _, err := store.PutTier(t.Context(), subscription.Tier{ID: "gold", Rules: rules}); err != nil {
		t.Fatal(err)
	}
	var row map[string]any
	if err := json.Unmarshal(rows(t, settings, tables.Tiers)[0], &row); err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]any{
		"PartitionKey": "tier", "RowKey": "gold", "maxCompletionTokens": "1073741824", "maxCompletionTokens@odata.type": "Edm.Int64",
		"limits":  `[{"name":"tokens","perMinute":1099511627776,"unit":"tokens"}]`,
		"reserve": "full", "shadow": true, "models": `["a"]`,
	} {
		if row[column] != want {
			t.Errorf("column %s: got %v, want %v", column, row[column], want)
		}
	}
	if _, twice := row["id"]; twice {
		t.Error("columns: got one for the id, want none, because the id is the row key")
	}
}

func TestTheErrorOfAnUnreadableRowNamesTheColumn(t *testing.T) {
	store, tables, settings := open(t)
	if _, err := store.PutTier(t.Context(), subscription.Tier{ID: "gold"}); err != nil {
		t.Fatal(err)
	}
	for column, value := range map[string]string{"models": `"[oops"`, "tokensPerMinute": `"many"`, "maxWait": `"5"`} {
		edited := fmt.Sprintf(`{"PartitionKey":"tier","RowKey":"gold",%q:%s}`, column, value)
		if _, err := client(t, settings, tables.Tiers).UpdateEntity(t.Context(), []byte(edited), &aztables.UpdateEntityOptions{UpdateMode: aztables.UpdateModeReplace}); err != nil {
			t.Fatal(err)
		}
		want := column
		if column == "maxWait" {
			want = `"5" is not a duration`
		}
		if _, err := store.Tier(t.Context(), "gold"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("column %s edited to %s: got error %v, want %s", column, value, err, want)
		}
	}
}

func TestListsReadAllPages(t *testing.T) {
	store, tables, settings := open(t)
	if _, err := store.PutTier(t.Context(), subscription.Tier{ID: "t"}); err != nil {
		t.Fatal(err)
	}
	const more = 1010 // the service returns at most 1,000 rows a page
	for from := 0; from < more; from += 100 {
		var batch []aztables.TransactionAction
		for i := from; i < min(from+100, more); i++ {
			batch = append(batch, aztables.TransactionAction{ActionType: aztables.TransactionTypeAdd,
				Entity: fmt.Appendf(nil, `{"PartitionKey":"tier","RowKey":"t-%04d","version":1}`, i)})
		}
		if _, err := client(t, settings, tables.Tiers).SubmitTransaction(t.Context(), batch, nil); err != nil {
			t.Fatal(err)
		}
	}
	all, err := store.Tiers(t.Context())
	if err != nil || len(all) != more+1 || all[0].ID != "t" || all[more].ID != "t-1009" {
		t.Errorf("Tiers: got %d tiers and error %v, want %d in order, from t to t-1009", len(all), err, more+1)
	}
}
