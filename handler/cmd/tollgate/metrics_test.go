package main

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/local/insights"
)

// spend records calls of a subscription, which it makes if there is none of that id.
func (m *terminal) spend(subscription, model string, at time.Time, calls, prompt, completion int64) {
	m.t.Helper()
	if _, _, status := m.run("subscription", "show", subscription); status != exitDone {
		m.must("tier", "set", "any", "--create", "--tokens-per-minute", "10")
		m.must("subscription", "create", subscription, "--tier", "any")
	}
	ledgertest.Record(m.t, m.stores().Ledger, subscription, model, at, ledger.Totals{Calls: calls, PromptTokens: prompt, CompletionTokens: completion, ReasoningTokens: completion / 2, Cost: 1_500_000_000 * completion, Unpriced: calls / 3})
}

func TestReplaySendsWholeMinutesAgainBySubscription(t *testing.T) {
	m := newTerminal(t)
	var service insights.Collector
	server := httptest.NewServer(&service)
	defer server.Close()
	m.environment["APPLICATIONINSIGHTS_CONNECTION_STRING"] = insights.ConnectionString(server.Listener.Addr().String())
	m.environment["METRIC_NAMESPACE"] = "API Management"
	m.environment["METRIC_DIMENSIONS"] = "Client IP, SubscriptionId={Subscription ID}, Model, Stage=production"
	at := time.Now().UTC().Truncate(time.Hour).Add(-24 * time.Hour)
	m.must("price", "currency", "EUR")
	m.spend("replayed-a", "x", at, 2, 25, 233)
	m.spend("replayed-a", "y", at, 1, 5, 7)
	m.spend("replayed-a", "x", at.Add(time.Minute), 0, 1, 2)
	m.spend("replayed-b", "x", at, 3, 30, 40)
	m.spend("replayed-a", "x", at.Add(2*time.Minute), 1, 1000, 1000)
	m.spend("replayed-a", "x", at.Add(-time.Minute), 1, 1000, 1000)
	replay := []string{"metrics", "replay", "--from", at.Format("2006-01-02T15:04Z07:00"), "--to", at.Add(2 * time.Minute).Format(time.RFC3339), "-o", "json"}

	m.must(append(replay, "--dry-run")...)
	if n := len(service.Items()); n != 0 {
		t.Errorf("a dry run: got %d items sent, want none", n)
	}
	var sent resent
	if err := json.Unmarshal([]byte(m.must(replay...)), &sent); err != nil || sent != (resent{4, 6, 61, 282, 423_000_000_000}) {
		t.Errorf("replay: got %+v and error %v, want %+v", sent, err, resent{4, 6, 61, 282, 423_000_000_000})
	}
	if faults := service.Faults(); faults != nil {
		t.Errorf("got schema faults %v, want none", faults)
	}
	for _, want := range []struct {
		dimension, value string
		tokens           float64
		calls            int
	}{{"Subscription ID", "replayed-a", 273, 4}, {"SubscriptionId", "replayed-a", 273, 4}, {"Stage", "production", 343, 7}, {"Subscription ID", "replayed-b", 70, 3}, {"Model", "y", 12, 1}} {
		if sum, calls := service.Sum("Total Tokens", want.dimension, want.value, "Replayed", "true"); sum != want.tokens || calls != want.calls {
			t.Errorf("%s: got %v tokens of %d calls, want %v of %d", want.value, sum, calls, want.tokens, want.calls)
		}
	}
	for _, item := range service.Items() {
		if item.Metric.Namespace != "API Management" || item.At.Second() != 0 || item.At.Before(at) || !item.At.Before(at.Add(2*time.Minute)) {
			t.Errorf("got item %v at %v, want the namespace API Management and a whole minute of the two from %v", item, item.At, at)
		}
	}
	if sum, calls := service.Sum("Completion Reasoning Tokens", "Replayed", "true"); sum != 116+3+1+20 || calls != 7 {
		t.Errorf("reasoning: got %v tokens of %d calls, want 140 of 7", sum, calls)
	}
	if sum, calls := service.Sum("Cost", "Replayed", "true", "Currency", "EUR", "Subscription ID", "replayed-b"); sum != 60 || calls != 2 {
		t.Errorf("cost: got %v of %d calls, want 60 of the 2 that had a price", sum, calls)
	}
	service = insights.Collector{}
	if err := json.Unmarshal([]byte(m.must(append(replay, "--subscription", "replayed-a")...)), &sent); err != nil || sent != (resent{3, 3, 31, 242, 363_000_000_000}) {
		t.Errorf("replay of one subscription: got %+v and error %v, want %+v", sent, err, resent{3, 3, 31, 242, 363_000_000_000})
	}
}

func TestReplayReportsBadFlags(t *testing.T) {
	m := newTerminal(t)
	for _, wrong := range [][]string{
		{"--from is missing", "--to", "2020-01-01T10:00Z"},
		{`--from is "2020-01-01T10:00:30Z": name a whole minute`, "--from", "2020-01-01T10:00:30Z", "--to", "2020-01-01T11:00Z"},
		{"--to must be after --from", "--from", "2020-01-01T11:00Z", "--to", "2020-01-01T11:00Z"},
		{"minutes are kept for 7 days, and of earlier ones only hours or days are left; the first to send is", "--from", "2020-01-01T11:00Z", "--to", "2020-01-01T12:00Z"},
	} {
		m.fails(exitUsage, wrong[:1], append([]string{"metrics", "replay"}, wrong[1:]...)...)
	}
	at := time.Now().UTC().Truncate(time.Hour)
	span := []string{"metrics", "replay", "--from", at.Add(-time.Hour).Format(time.RFC3339), "--to", at.Format(time.RFC3339)}
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
	at := time.Now().UTC().Truncate(time.Hour).Add(-24 * time.Hour)
	m.spend("replayed-c", "x", at, 1, 1, 1)
	m.fails(exitFailed, []string{"not all was sent", "Entra tokens only", "4 telemetry items"},
		"metrics", "replay", "--from", at.Format(time.RFC3339), "--to", at.Add(time.Hour).Format(time.RFC3339), "--timeout", "2s") // enough for the refusal on a busy machine
}
