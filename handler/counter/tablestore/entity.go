package tablestore

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// format numbers the row's layout. Rows of a later format are left alone,
// since old and new instances share counters while a release is rolled out.
// Rows of an earlier format are repaired like edited ones.
const format = 3

// encode makes the row, with typed columns that are readable in a table
// browser.
func encode(partitionKey string, s limit.State) ([]byte, error) {
	number := func(n int64) aztables.EDMInt64 { return aztables.EDMInt64(n) }
	row, err := json.Marshal(aztables.EDMEntity{
		Entity: aztables.Entity{PartitionKey: partitionKey, RowKey: rowKey},
		Properties: map[string]any{
			"Format": number(format), "Epoch": s.Epoch, "Rev": number(s.Rev),
			"Window": number(s.Window), "Credit": number(s.Credit), "Spent": number(s.Spent),
			"PeriodStart": number(unix(s.PeriodStart)), "PeriodSpent": number(s.PeriodSpent), "Periods": limit.FormatPeriods(s.Periods),
			"Opened": limit.FormatSpans(s.Opened, s.Window), "Given": limit.FormatSpans(s.Given, s.Window),
			"PromptTokens": number(s.Happened.PromptTokens), "CompletionTokens": number(s.Happened.CompletionTokens),
			"Requests": number(s.Happened.Requests), "Refused": number(s.Happened.Refused), "Forfeited": number(s.Happened.Forfeited),
			"Charged": number(s.Happened.Charged), "UsageFrom": number(s.UsageFrom),
			"Tpm": number(s.TokensPerMinute), "Burst": number(s.Burst), "Quota": number(s.Quota), "Period": string(s.Period),
			"TierVersion": number(s.Version), "Slots": limit.FormatSlots(s.Slots, s.Window), "Outbox": limit.FormatOutbox(s.Outbox),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode counter: %w", err)
	}
	return row, nil
}

// decode reads what encode wrote. It returns ErrEdited or ErrNewer.
func decode(row []byte) (limit.State, error) {
	var entity aztables.EDMEntity
	if err := json.Unmarshal(row, &entity); err != nil {
		return limit.State{}, counter.ErrEdited
	}
	c := columns{values: entity.Properties}
	written := c.number("Format")
	if written > format {
		return limit.State{}, counter.ErrNewer
	}
	s := limit.State{
		Limits: limit.Limits{TokensPerMinute: c.number("Tpm"), Burst: c.number("Burst"), Quota: c.number("Quota"),
			Period: limit.Period(c.text("Period")), Version: c.number("TierVersion")},
		Window: c.number("Window"), Credit: c.number("Credit"), Spent: c.number("Spent"),
		PeriodStart: fromUnix(c.number("PeriodStart")), PeriodSpent: c.number("PeriodSpent"),
		Happened: limit.Happened{
			Usage:    limit.Usage{PromptTokens: c.number("PromptTokens"), CompletionTokens: c.number("CompletionTokens")},
			Requests: c.number("Requests"), Refused: c.number("Refused"), Forfeited: c.number("Forfeited"),
		},
		Epoch: c.text("Epoch"), Rev: c.number("Rev"),
	}
	s.UsageFrom, s.Happened.Charged = c.number("UsageFrom"), c.number("Charged")
	var slots, outbox, periods, opened, given error
	s.Slots, slots = limit.ParseSlots(c.text("Slots"), s.Window)
	s.Outbox, outbox = limit.ParseOutbox(c.text("Outbox"))
	s.Periods, periods = limit.ParsePeriods(c.text("Periods"))
	s.Opened, opened = limit.ParseSpans(c.text("Opened"), s.Window)
	s.Given, given = limit.ParseSpans(c.text("Given"), s.Window)
	if opened != nil || given != nil || slots != nil || outbox != nil || periods != nil || c.bad || written != format {
		return s, counter.ErrEdited
	}
	return s, nil
}

// columns reads a row's columns, and records whether one is missing or of the
// wrong type.
type columns struct {
	values map[string]any
	bad    bool
}

func (c *columns) number(name string) int64 {
	n, ok := c.values[name].(aztables.EDMInt64)
	c.bad = c.bad || !ok
	return int64(n)
}

func (c *columns) text(name string) string {
	text, ok := c.values[name].(string)
	c.bad = c.bad || !ok
	return text
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromUnix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// partition returns a counter's key as a PartitionKey: percent-encoded, with
// '!' instead of '%', which the service would decode.
func partition(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "!", "%21"), "+", "%20"), "%", "!")
}
