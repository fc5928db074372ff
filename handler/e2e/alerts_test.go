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
	"tollgate/handler/subscription/subscriptiontest"
)

// An inbox is a webhook's receiver, which checks signatures as docs/operate.md says.
type inbox struct {
	secret string

	mu    sync.Mutex
	taken []string
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
	i.taken = append(i.taken, string(body))
}

// TestAThresholdIsToldToLogTelemetryAndWebhook runs the gateway as main does, uses half of a
// quota in calls, and ends the gateway: all three must hear of it, once.
func TestAThresholdIsToldToLogTelemetryAndWebhook(t *testing.T) {
	var service insights.Collector
	ingestion := httptest.NewServer(&service)
	defer ingestion.Close()
	model := httptest.NewServer(new(fakemodel.Endpoint))
	defer model.Close()
	hook := &inbox{secret: strings.Repeat("canary-of-a-secret", 2)}
	receiver := httptest.NewServer(hook)
	defer receiver.Close()
	key := subscription.NewKey()
	g := run(t, "PORT", map[string]string{"KEY_PEPPER": subscriptiontest.PepperSecret, "UPSTREAM_URL": model.URL, "UPSTREAM_API_KEY": fakemodel.Key, "STORE": "memory",
		"MEMORY_DIRECTORY": fmt.Sprintf(`{"tiers":[{"id":"demo","limits":[{"name":"calls","unit":"calls","quota":6,"period":"Yearly","alertAt":[50,100]}]}],
			"subscriptions":[{"id":"team-a","tier":"demo"}],"keys":[{"subscription":"team-a","slot":"primary","key":%q}]}`, key),
		"APPLICATIONINSIGHTS_CONNECTION_STRING": insights.ConnectionString(ingestion.Listener.Addr().String()),
		"ALERT_WEBHOOK_URL":                     receiver.URL + "/hook?sig=canary", "ALERT_WEBHOOK_SECRET": hook.secret})
	for range 4 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/models/chat/completions", strings.NewReader(`{"model":"DeepSeek-R1","messages":[{"role":"user","content":"a canary of a prompt"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Api-Key", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	g.stop()
	hook.mu.Lock()
	defer hook.mu.Unlock()
	var told struct {
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
	if len(hook.taken) != 1 {
		t.Fatalf("got %d posts, want 1: %q", len(hook.taken), hook.taken)
	}
	if err := json.Unmarshal([]byte(hook.taken[0]), &told); err != nil || told.Percent != 50 || told.Limit != "calls" || told.Counter != "team-a/calls" ||
		told.Owner.Subscription != "team-a" || told.Used < 3 || told.Used > 4 || told.Quota != 6 || told.Period != "Yearly" {
		t.Errorf("got the post %s and error %v, want 50%% of team-a's 6 calls a year, 3 or 4 used", hook.taken[0], err)
	}
	var events []insights.Item
	for _, item := range service.Items() {
		if item.Event != nil {
			events = append(events, item)
		}
	}
	if len(events) != 1 || events[0].Event.Name != "Limit Threshold" || events[0].Properties["Alert ID"] != told.ID || events[0].Event.Measurements["Percent"] != 50 {
		t.Errorf("got events %v, want one Limit Threshold at 50%% with the id %s", events, told.ID)
	}
	if faults := service.Faults(); faults != nil {
		t.Errorf("got schema faults %v, want none", faults)
	}
	if lines := strings.Count(g.out.String(), `"msg":"limit threshold"`); lines != 1 || !strings.Contains(g.out.String(), told.ID) {
		t.Errorf("got %d lines of thresholds, want 1 with the id %s:\n%s", lines, told.ID, g.out.String())
	}
	if all := g.out.String() + g.errs.String() + hook.taken[0] + fmt.Sprint(events); strings.Contains(all, "canary") || strings.Contains(all, key) {
		t.Errorf("got a secret or a prompt in %s, want none", all)
	}
}
