package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"tollgate/handler/azure"
	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
	"tollgate/handler/local/insights"
	"tollgate/handler/secret"
)

// spend writes rows to the history, as closed minutes of counters.
func (m *terminal) spend(rows ...usage.Row) {
	m.t.Helper()
	client, err := azure.Open(azure.Settings{ConnectionString: secret.New(m.environment["AzureWebJobsStorage"])})
	if err != nil {
		m.t.Fatal(err)
	}
	history := countertables.NewHistory(client, countertables.DefaultHistoryTable)
	for _, row := range rows {
		if err := history.PutClosed(m.t.Context(), row.Counter, row.Epoch, row.Closed); err != nil {
			m.t.Fatal(err)
		}
	}
}

func spent(counter string, at time.Time, prompt, completion, requests int64) usage.Row {
	minute := at.Unix() / 60
	return usage.Row{Counter: counter, Epoch: "e1", Closed: limit.Closed{Minute: minute, From: minute, Usage: limit.Usage{PromptTokens: prompt, CompletionTokens: completion}, Requests: requests}}
}

func TestReplaySendsWholeMinutesAgainByOwner(t *testing.T) {
	m := newTerminal(t)
	var service insights.Collector
	server := httptest.NewServer(&service)
	defer server.Close()
	m.environment["APPLICATIONINSIGHTS_CONNECTION_STRING"] = insights.ConnectionString(server.Listener.Addr().String())
	m.environment["METRIC_NAMESPACE"] = "API Management"
	m.environment["METRIC_DIMENSIONS"] = "Client IP, SubscriptionId={Subscription ID}, Stage=production"
	at := time.Date(2020, 1, 1, 10, 0, 0, 0, time.UTC)
	m.spend(spent("replayed-a", at, 25, 233, 2), spent("replayed-a/model=x", at, 5, 7, 1), spent("replayed-a", at.Add(time.Minute), 1, 2, 0),
		spent("replayed-tier:client-ip=192.0.2.7", at, 30, 40, 3), spent("replayed-a", at.Add(2*time.Minute), 1000, 1000, 1), spent("replayed-a", at.Add(-time.Minute), 1000, 1000, 1))
	replay := []string{"metrics", "replay", "--from", "2020-01-01T10:00Z", "--to", "2020-01-01T11:02:00+01:00", "-o", "json"}

	m.must(append(replay, "--dry-run")...)
	if n := len(service.Items()); n != 0 {
		t.Errorf("a dry run: got %d items sent, want none", n)
	}
	var sent resent
	if err := json.Unmarshal([]byte(m.must(replay...)), &sent); err != nil || sent != (resent{3, 6, 61, 282}) {
		t.Errorf("replay: got %+v and error %v, want %+v", sent, err, resent{3, 6, 61, 282})
	}
	if faults := service.Faults(); faults != nil {
		t.Errorf("got schema faults %v, want none", faults)
	}
	for _, want := range []struct {
		dimension, value string
		tokens           float64
		calls            int
	}{{"Subscription ID", "replayed-a", 273, 4}, {"SubscriptionId", "replayed-a", 273, 4}, {"Stage", "production", 343, 7}, {"Product ID", "replayed-tier", 70, 3}} {
		if sum, calls := service.Sum("Total Tokens", want.dimension, want.value, "Replayed", "true"); sum != want.tokens || calls != want.calls {
			t.Errorf("%s: got %v tokens of %d calls, want %v of %d", want.value, sum, calls, want.tokens, want.calls)
		}
	}
	for _, item := range service.Items() {
		if item.Metric.Namespace != "API Management" || item.At.Second() != 0 || item.At.Before(at) || !item.At.Before(at.Add(2*time.Minute)) {
			t.Errorf("got item %v at %v, want the namespace API Management and a whole minute of the two from %v", item, item.At, at)
		}
	}
	service = insights.Collector{}
	if err := json.Unmarshal([]byte(m.must(append(replay, "--subscription", "replayed-a")...)), &sent); err != nil || sent != (resent{2, 3, 31, 242}) {
		t.Errorf("replay of one subscription: got %+v and error %v, want %+v", sent, err, resent{2, 3, 31, 242})
	}
}

func TestReplayReportsBadFlags(t *testing.T) {
	m := newTerminal(t)
	for _, wrong := range [][]string{
		{"--from is missing", "--to", "2020-01-01T10:00Z"},
		{`--from is "2020-01-01T10:00:30Z": name a whole minute`, "--from", "2020-01-01T10:00:30Z", "--to", "2020-01-01T11:00Z"},
		{"--to must be after --from", "--from", "2020-01-01T11:00Z", "--to", "2020-01-01T11:00Z"},
	} {
		m.fails(exitUsage, wrong[:1], append([]string{"metrics", "replay"}, wrong[1:]...)...)
	}
	span := []string{"metrics", "replay", "--from", "2020-02-01T10:00Z", "--to", "2020-02-01T11:00Z"}
	m.fails(exitFailed, []string{"APPLICATIONINSIGHTS_CONNECTION_STRING is missing"}, span...)
	m.environment["APPLICATIONINSIGHTS_CONNECTION_STRING"] = "InstrumentationKey=1"
	m.fails(exitFailed, []string{"APPLICATIONINSIGHTS_CONNECTION_STRING has no InstrumentationKey"}, span...)
}

func TestAReplayThatDoesNotArriveFails(t *testing.T) {
	m := newTerminal(t)
	service := insights.Collector{Token: "an identity's"} // as if disableLocalAuth were on
	server := httptest.NewServer(&service)
	defer server.Close()
	m.environment["APPLICATIONINSIGHTS_CONNECTION_STRING"] = insights.ConnectionString(server.Listener.Addr().String())
	m.spend(spent("replayed-c", time.Date(2020, 3, 1, 10, 0, 0, 0, time.UTC), 1, 1, 1))
	m.fails(exitFailed, []string{"not all was sent", "Entra tokens only", fmt.Sprintf("%d telemetry items", 3)},
		"metrics", "replay", "--from", "2020-03-01T10:00Z", "--to", "2020-03-01T11:00Z", "--timeout", "2s") // enough for the refusal on a busy machine
}
