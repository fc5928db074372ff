package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"tollgate/handler/local/fakemodel"
	"tollgate/handler/local/insights"
	"tollgate/handler/subscription"
)

// An inbox receives a webhook's posts. It checks signatures as docs/operate.md describes.
type inbox struct {
	secret string

	mu       sync.Mutex
	received []string
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	stamp, signature, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("X-Tollgate-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(i.secret))
	fmt.Fprintf(mac, "%s.%s", stamp, body)
	if err != nil || r.Method != http.MethodPost || hex.EncodeToString(mac.Sum(nil)) != signature {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.received = append(i.received, string(body))
}

// TestAThresholdIsReportedOnceToLogTelemetryAndWebhook runs the gateway as main does, uses
// more than half of a quota of calls, and ends the gateway.
func TestAThresholdIsReportedOnceToLogTelemetryAndWebhook(t *testing.T) {
	var service insights.Collector
	ingestion := httptest.NewServer(&service)
	defer ingestion.Close()
	model := httptest.NewServer(new(fakemodel.Endpoint))
	defer model.Close()
	hook := &inbox{secret: strings.Repeat("canary-of-a-secret", 2)}
	receiver := httptest.NewServer(hook)
	defer receiver.Close()
	key := subscription.NewKey()
	g := run(t, "PORT", memorySettings(model.URL, `{"id":"demo","limits":[{"name":"calls","unit":"calls","quota":6,"period":"Yearly","alertAt":[50,100]}]}`, key,
		"APPLICATIONINSIGHTS_CONNECTION_STRING", insights.ConnectionString(ingestion.Listener.Addr().String()),
		"ALERT_WEBHOOK_URL", receiver.URL+"/hook?sig=canary", "ALERT_WEBHOOK_SECRET", hook.secret))
	for range 4 {
		g.chat(t, http.StatusOK, key, "a canary of a prompt")
	}
	g.stop()
	hook.mu.Lock()
	defer hook.mu.Unlock()
	var alert struct {
		ID            string
		Percent       int
		Limit, Unit   string
		Counter       string
		Used, Quota   int64
		Owner         struct{ Subscription string }
		Period        string
		At, ResetAt   string
		Prompt, Model *string
	}
	if len(hook.received) != 1 {
		t.Fatalf("got %d posts to the webhook, want 1: %q", len(hook.received), hook.received)
	}
	if err := json.Unmarshal([]byte(hook.received[0]), &alert); err != nil || alert.Percent != 50 || alert.Limit != "calls" || alert.Counter != "team-a/calls" ||
		alert.Owner.Subscription != "team-a" || alert.Used < 3 || alert.Used > 4 || alert.Quota != 6 || alert.Period != "Yearly" {
		t.Errorf("got the post %s and error %v, want 50%% of team-a's 6 calls a year, 3 or 4 used", hook.received[0], err)
	}
	var events []insights.Item
	for _, item := range service.Items() {
		if item.Event != nil {
			events = append(events, item)
		}
	}
	if len(events) != 1 || events[0].Event.Name != "Limit Threshold" || events[0].Properties["Alert ID"] != alert.ID || events[0].Event.Measurements["Percent"] != 50 {
		t.Errorf("got events %v, want one Limit Threshold at 50%% with the id %s", events, alert.ID)
	}
	if faults := service.Faults(); faults != nil {
		t.Errorf("got schema faults %v, want none", faults)
	}
	if lines := strings.Count(g.out.String(), `"msg":"limit threshold"`); lines != 1 || !strings.Contains(g.out.String(), alert.ID) {
		t.Errorf("got %d lines of thresholds, want 1 with the id %s:\n%s", lines, alert.ID, g.out.String())
	}
	if all := g.out.String() + g.errs.String() + hook.received[0] + fmt.Sprint(events); strings.Contains(all, "canary") || strings.Contains(all, key) {
		t.Errorf("got a secret or a prompt in %s, want none", all)
	}
}
