package tablestore_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azurite"
	"tollgate/handler/counter"
	"tollgate/handler/counter/tablestore"
	"tollgate/handler/limit"
	"tollgate/handler/secret"
	"tollgate/handler/storage"
)

// firstFormat is a row as the first format had it: of a minute long over, with
// 60 of a day's 1,000 tokens spent and a slot that is long dead.
const firstFormat = `{"PartitionKey":"team-a","RowKey":"counter",
	"Format":"1","Format@odata.type":"Edm.Int64","Rev":"7","Rev@odata.type":"Edm.Int64","Epoch":"first",
	"Window":"%[1]d","Window@odata.type":"Edm.Int64","Credit":"300","Credit@odata.type":"Edm.Int64","Spent":"60","Spent@odata.type":"Edm.Int64",
	"PeriodStart":"%[2]d","PeriodStart@odata.type":"Edm.Int64","PeriodSpent":"60","PeriodSpent@odata.type":"Edm.Int64",
	"PromptTokens":"20","PromptTokens@odata.type":"Edm.Int64","CompletionTokens":"40","CompletionTokens@odata.type":"Edm.Int64",
	"Requests":"2","Requests@odata.type":"Edm.Int64","Refused":"1","Refused@odata.type":"Edm.Int64","Forfeited":"0","Forfeited@odata.type":"Edm.Int64",
	"Tpm":"300","Tpm@odata.type":"Edm.Int64","Burst":"0","Burst@odata.type":"Edm.Int64","Quota":"1000","Quota@odata.type":"Edm.Int64",
	"Period":"Yearly","TierVersion":"1","TierVersion@odata.type":"Edm.Int64","Slots":"abcdefgh:3:a:0:a","Outbox":""}`

func TestARowOfAnEarlierFormatIsReadAndRewritten(t *testing.T) {
	service, err := storage.Open(storage.Settings{ConnectionString: secret.New(azurite.Shared(t))})
	if err != nil {
		t.Fatal(err)
	}
	name := "formats" + rand.Text()
	table := service.NewClient(name)
	if _, err := table.CreateTable(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	row := fmt.Sprintf(firstFormat, limit.Minute(now)-5, limit.Yearly.Start(now).Unix())
	if _, err := table.AddEntity(t.Context(), []byte(row), nil); err != nil {
		t.Fatal(err)
	}
	c := counter.New(counter.Config{Store: tablestore.New(service, name), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		OperationTimeout: time.Minute, SlowOperation: time.Minute}) // a busy machine's emulator doesn't count as down
	terms := counter.Terms{Limits: limit.Limits{TokensPerMinute: 300, Quota: 1000, Period: limit.Yearly, Version: 1}}
	r, d, err := c.Reserve(t.Context(), "team-a", terms, limit.Ask{Tokens: 10})
	if err != nil || d.Standing.QuotaUsed+d.Standing.QuotaRemaining != 1000 || d.Standing.QuotaRemaining > 940 {
		t.Fatalf("%+v, %v; want a call admitted, and the 60 tokens still spent", d, err)
	}
	r.Settle(limit.Usage{PromptTokens: 10})
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := table.GetEntity(t.Context(), "team-a", "counter", nil)
	if err != nil {
		t.Fatal(err)
	}
	var entity aztables.EDMEntity
	if err := json.Unmarshal(found.Value, &entity); err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]int64{"Format": 2, "PeriodSpent": 70, "PromptTokens": 10, "Requests": 1} {
		if got, _ := entity.Properties[column].(aztables.EDMInt64); int64(got) != want {
			t.Errorf("%s is %d, want %d", column, got, want)
		}
	}
	if entity.Properties["Epoch"] != "first" {
		t.Errorf("the row was taken for edited: epoch %v", entity.Properties["Epoch"])
	}
}
