package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tollgate/handler/azure"
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	ledgertables "tollgate/handler/ledger/tablestore"
	"tollgate/handler/local/insights"
	"tollgate/handler/secret"
)

// spend adds what a subscription used of a model to the ledger.
func (m *terminal) spend(subscription, model string, at time.Time, prompt, completion, calls int64) {
	m.t.Helper()
	client, err := azure.Open(azure.Settings{ConnectionString: secret.New(m.environment["AzureWebJobsStorage"])})
	if err != nil {
		m.t.Fatal(err)
	}
	used := ledger.Totals{Calls: calls, PromptTokens: prompt, CompletionTokens: completion}
	if err := ledgertest.Happened(m.t.Context(), ledgertables.New(client, m.tables.usage), at, subscription, model, used); err != nil {
		m.t.Fatal(err)
	}
}

func TestReplaySendsWholeMinutesAgainBySubscription(t *testing.T) {
	m := newTerminal(t)
	var service insights.Collector
	server := httptest.NewServer(&service)
	defer server.Close()
	m.environment["APPLICATIONINSIGHTS_CONNECTION_STRING"] = insights.ConnectionString(server.Listener.Addr().String())
	m.environment["METRIC_NAMESPACE"] = "API Management"
	m.environment["METRIC_DIMENSIONS"] = "Client IP, SubscriptionId={Subscription ID}, Stage=production"
	at := time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)
	m.spend("replayed-a", "DeepSeek-R1", at, 25, 233, 2)
	m.spend("replayed-a", "gpt-4o", at, 5, 7, 1)
	m.spend("replayed-a", "gpt-4o", at.Add(time.Minute), 1, 2, 0)
	m.spend("replayed-b", "DeepSeek-R1", at, 30, 40, 3)
	m.spend("replayed-a", "DeepSeek-R1", at.Add(2*time.Minute), 1000, 1000, 1)
	m.spend("replayed-a", "DeepSeek-R1", at.Add(-time.Minute), 1000, 1000, 1)
	replay := []string{"metrics", "replay", "--from", at.Format("2006-01-02T15:04Z"), "--to", at.Add(2 * time.Minute).In(time.FixedZone("CET", 3600)).Format(time.RFC3339), "-o", "json"}

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
	}{{"Subscription ID", "replayed-a", 273, 4}, {"SubscriptionId", "replayed-a", 273, 4}, {"Stage", "production", 343, 7}, {"Subscription ID", "replayed-b", 70, 3}} {
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

func TestReplaySaysWhichMinutesAreNoLongerKept(t *testing.T) {
	m := newTerminal(t)
	m.environment["APPLICATIONINSIGHTS_CONNECTION_STRING"] = insights.ConnectionString("127.0.0.1:1")
	_, stderr, status := m.run("metrics", "replay", "--from", "2020-01-01T10:00Z", "--to", "2020-01-01T11:00Z", "--dry-run")
	if status != exitDone || !strings.Contains(stderr, "are no longer kept: they were not sent") {
		t.Errorf("a replay of long ago: got status %d and %s, want %d and what is no longer kept", status, stderr, exitDone)
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
	at := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	m.spend("replayed-c", "DeepSeek-R1", at, 1, 1, 1)
	m.fails(exitFailed, []string{"not all was sent", "Entra tokens only", fmt.Sprintf("%d telemetry items", 3)},
		"metrics", "replay", "--from", at.Format("2006-01-02T15:04Z"), "--to", at.Add(time.Hour).Format("2006-01-02T15:04Z"), "--timeout", "2s") // enough for the refusal on a busy machine
}
