package tablestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// format numbers the row's layout. Rows of a later format are left alone, because old and new
// instances share counters while a release is rolled out. Rows of an earlier format are
// repaired like edited ones.
const format = 6

// encode returns a row as an entity, with typed columns that are readable in a table browser.
func encode(partitionKey string, r lease.Row) ([]byte, error) {
	number := func(n int64) aztables.EDMInt64 { return aztables.EDMInt64(n) }
	entity, err := json.Marshal(aztables.EDMEntity{
		Entity: aztables.Entity{PartitionKey: partitionKey, RowKey: rowKey},
		Properties: map[string]any{
			"Format": number(format), "Epoch": r.Epoch, "Rev": number(r.Rev),
			"Window": number(r.Window), "Credit": number(r.Credit), "Spent": number(r.Spent),
			"PeriodStart": number(unix(r.PeriodStart)), "PeriodSpent": number(r.PeriodSpent), "Periods": lease.FormatPeriods(r.Periods),
			"Opened": lease.FormatSpans(r.Opened, r.Window), "Given": lease.FormatSpans(r.Given, r.Window),
			"PerMinute": number(r.PerMinute), "Burst": number(r.Burst), "Quota": number(r.Quota), "Period": string(r.Period),
			"LimitsVersion": number(r.Version), "Slots": lease.FormatSlots(r.Slots, r.Window), "Alerted": number(r.Alerted),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode counter: %w", err)
	}
	return entity, nil
}

// decode returns the row of an entity that encode made. It returns counter.ErrEdited, with
// what could be read of the row, or counter.ErrNewer.
func decode(entity []byte) (lease.Row, error) {
	var columns aztables.EDMEntity
	if err := json.Unmarshal(entity, &columns); err != nil {
		return lease.Row{}, counter.ErrEdited
	}
	c := azure.NewColumns(columns)
	written := c.Int64("Format")
	if written > format {
		return lease.Row{}, counter.ErrNewer
	}
	r := lease.Row{
		Limits: limit.Limits{PerMinute: c.Int64("PerMinute"), Burst: c.Int64("Burst"), Quota: c.Int64("Quota"),
			Period: limit.Period(c.Text("Period")), Version: c.Int64("LimitsVersion")},
		Balance: limit.Balance{Window: c.Int64("Window"), Credit: c.Int64("Credit"), Spent: c.Int64("Spent"),
			PeriodStart: fromUnix(c.Int64("PeriodStart")), PeriodSpent: c.Int64("PeriodSpent")},
		Epoch: c.Text("Epoch"), Rev: c.Int64("Rev"), Alerted: c.Int64("Alerted"),
	}
	slots, err1 := lease.ParseSlots(c.Text("Slots"), r.Window)
	r.SetSlots(slots)
	var err2, err3, err4 error
	r.Periods, err2 = lease.ParsePeriods(c.Text("Periods"))
	r.Opened, err3 = lease.ParseSpans(c.Text("Opened"), r.Window)
	r.Given, err4 = lease.ParseSpans(c.Text("Given"), r.Window)
	if errors.Join(err1, err2, err3, err4) != nil || c.Faulty() || written != format {
		return r, counter.ErrEdited
	}
	return r, nil
}

// unix returns a time in Unix seconds; 0 is the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// fromUnix reverses unix.
func fromUnix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// partition returns the PartitionKey of a counter's key. It is percent-encoded, with '!' in
// place of '%', which the service would decode.
func partition(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "!", "%21"), "+", "%20"), "%", "!")
}

// keyOf returns the counter's key of a PartitionKey. It reverses partition.
func keyOf(partition string) string {
	key, err := url.QueryUnescape(strings.ReplaceAll(partition, "!", "%"))
	if err != nil {
		return partition
	}
	return key
}
