package alert_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/alert"
	"tollgate/handler/asynctest"
	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
	"tollgate/handler/secret"
	"tollgate/handler/telemetry"
)

const signingSecret = "canary-0123456789abcdef0123456789abcdef"

// A receiver is the webhook's other end. It answers the statuses in turn, then 200; a
// status of 0 breaks the connection.
type receiver struct {
	mu       sync.Mutex
	statuses []int
	header   http.Header // of answers
	hang     chan struct{}
	got      []posted
}

// A posted is one attempt that the receiver saw.
type posted struct {
	at     time.Time
	url    string
	header http.Header
	body   []byte
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.got = append(r.got, posted{time.Now(), request.URL.String(), request.Header, body})
	status := http.StatusOK
	if len(r.statuses) > 0 {
		status, r.statuses = r.statuses[0], r.statuses[1:]
	}
	r.mu.Unlock()
	if r.hang != nil {
		select {
		case <-r.hang:
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
	if status == 0 {
		return nil, errors.New("connection reset by peer")
	}
	return &http.Response{StatusCode: status, Header: r.header, Body: io.NopCloser(strings.NewReader("a long answer " + strings.Repeat("x", 10_000)))}, nil
}

// attempts returns what the receiver saw.
func (r *receiver) attempts() []posted {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]posted(nil), r.got...)
}

// events keeps the events of alerts.
type events struct{ got []telemetry.Event }

func (e *events) Event(event telemetry.Event) { e.got = append(e.got, event) }

// raised returns an alert of a counter.
func raised(key string, percent int, standing limit.Standing) counter.Alert {
	return counter.Alert{Key: key, Alert: lease.Alert{Percent: percent, Standing: standing}}
}

var (
	began    = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	standing = limit.Standing{Limits: limit.Limits{Quota: 1000, Period: limit.Daily}, QuotaUsed: 812, QuotaStartedAt: began, QuotaResetAt: began.AddDate(0, 0, 1)}
)

// start returns a notifier whose webhook is the receiver, and its log.
func start(r *receiver, e alert.Events) (*alert.Notifier, *asynctest.Buffer) {
	var log asynctest.Buffer
	return alert.New(alert.Config{Log: slog.New(slog.NewJSONHandler(&log, nil)), Events: e, Transport: r,
		Webhook: alert.Webhook{URL: secret.New("https://hooks.example.com/t?sig=canary"), Secret: secret.New(signingSecret)}}), &log
}

// checkSignature checks an attempt as docs/operate.md tells receivers to.
func checkSignature(t *testing.T, p posted) {
	t.Helper()
	stamp, signature, ok := strings.Cut(strings.TrimPrefix(p.header.Get("X-Tollgate-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(signingSecret))
	fmt.Fprintf(mac, "%s.%s", stamp, p.body)
	if want := hex.EncodeToString(mac.Sum(nil)); !ok || signature != want || stamp != fmt.Sprint(p.at.Unix()) {
		t.Errorf("X-Tollgate-Signature: got %q, want t=%d,v1=%s", p.header.Get("X-Tollgate-Signature"), p.at.Unix(), want)
	}
}

func TestAnAlertIsLoggedSentAndPostedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sent := &receiver{}, &events{}
		n, log := start(r, sent)
		n.Notify(raised("org@calls", 80, standing))
		n.Close(t.Context())
		got := r.attempts()
		if len(got) != 1 {
			t.Fatalf("got %d attempts, want 1", len(got))
		}
		checkSignature(t, got[0])
		var body map[string]any
		if err := json.Unmarshal(got[0].body, &body); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]any{"percent": 80.0, "limit": "org/calls", "unit": "calls", "owner": map[string]any{"group": "org"}, "counter": "org@calls",
			"used": 812.0, "quota": 1000.0, "period": "Daily", "resetAt": "2026-07-02T00:00:00Z"} {
			if fmt.Sprint(body[name]) != fmt.Sprint(want) {
				t.Errorf("%s: got %v in %s, want %v", name, body[name], got[0].body, want)
			}
		}
		if len(sent.got) != 1 || sent.got[0].Name != "Limit Threshold" || sent.got[0].Properties["Limit"] != "org/calls" || sent.got[0].Properties["Group ID"] != "org" ||
			sent.got[0].Properties["Alert ID"] != body["id"] || sent.got[0].Measurements["Percent"] != 80 || sent.got[0].Measurements["Quota Used"] != 812 {
			t.Errorf("got events %+v, want one Limit Threshold of org/calls at 80%%, with the id %v", sent.got, body["id"])
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(log.String()), &line); err != nil || line["msg"] != "limit threshold" || line["counter"] != "org@calls" || line["used"] != 812.0 {
			t.Errorf("got the log %q, want one line \"limit threshold\" with the counter and what is used", log)
		}
	})
}

func TestAnAlertNamesItsOwnerUnitAndAmounts(t *testing.T) {
	money := standing
	money.Quota, money.QuotaUsed = 12_500_000_000, 10_000_000_001
	for key, want := range map[string]string{
		"team-a/tokens/model=gpt": `"limit":"tokens","unit":"tokens","owner":{"subscription":"team-a"}`,
		"gold:all.calls":          `"limit":"all","unit":"calls","owner":{"tier":"gold"}`,
		"org@budget.cost":         `"limit":"org/budget","unit":"cost","owner":{"group":"org"},"counter":"org@budget.cost","used":"10.000000001","quota":"12.5"`,
	} {
		synctest.Test(t, func(t *testing.T) {
			r, sent := &receiver{}, &events{}
			n, _ := start(r, sent)
			n.Notify(raised(key, 80, money))
			n.Close(t.Context())
			if got := r.attempts(); len(got) != 1 || !bytes.Contains(got[0].body, []byte(want)) {
				t.Errorf("%s: got %d attempts, want one with %s", key, len(got), want)
			}
			if strings.HasSuffix(key, "cost") && sent.got[0].Measurements["Quota Limit"] != 12.5 {
				t.Errorf("%s: got the event's Quota Limit %v, want 12.5", key, sent.got[0].Measurements["Quota Limit"])
			}
		})
	}
}

func TestTheSameAlertHasTheSameID(t *testing.T) {
	next := standing
	next.QuotaStartedAt = began.AddDate(0, 0, 1)
	synctest.Test(t, func(t *testing.T) {
		sent := &events{}
		n, _ := start(&receiver{}, sent)
		n.Notify(raised("a/tokens", 80, standing))
		n.Notify(raised("a/tokens", 80, standing))
		n.Notify(raised("a/tokens", 95, standing))
		n.Notify(raised("b/tokens", 80, standing))
		n.Notify(raised("a/tokens", 80, next))
		n.Close(t.Context())
		ids := make(map[string]int)
		for _, e := range sent.got {
			ids[e.Properties["Alert ID"]]++
		}
		if len(ids) != 4 || ids[sent.got[0].Properties["Alert ID"]] != 2 {
			t.Errorf("got ids %v, want 4, the first of them twice", ids)
		}
	})
}

func TestAFailedAttemptIsRepeatedWithGrowingPausesAndAFreshSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{statuses: []int{0, 500, 503, 429, 408}}
		n, _ := start(r, nil)
		n.Notify(raised("a/tokens", 80, standing))
		time.Sleep(5 * time.Minute)
		got := r.attempts()
		if len(got) != 6 {
			t.Fatalf("got %d attempts, want 6: five that failed and one that was taken", len(got))
		}
		for i, p := range got {
			checkSignature(t, p)
			if !bytes.Equal(p.body, got[0].body) {
				t.Errorf("attempt %d: got the body %s, want that of the first, %s", i+1, p.body, got[0].body)
			}
			if i == 0 {
				continue
			}
			if pause, usual := p.at.Sub(got[i-1].at), time.Second<<(i-1); pause < usual/2 || pause > usual {
				t.Errorf("attempt %d: got a pause of %s before it, want %s to %s", i+1, pause, usual/2, usual)
			}
		}
		n.Close(t.Context())
	})
}

func TestARetryAfterIsHonouredUpToAMinute(t *testing.T) {
	for asked, want := range map[string]time.Duration{"20": 20 * time.Second, "86400": time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{statuses: []int{429}, header: http.Header{"Retry-After": {asked}}}
			n, _ := start(r, nil)
			n.Notify(raised("a/tokens", 80, standing))
			time.Sleep(5 * time.Minute)
			if got := r.attempts(); len(got) != 2 || got[1].at.Sub(got[0].at) != want {
				t.Errorf("Retry-After %s: got %d attempts, want 2, %s apart", asked, len(got), want)
			}
			n.Close(t.Context())
		})
	}
}

func TestAPermanentFailureIsLoggedWithoutRetries(t *testing.T) {
	for _, status := range []int{301, 302, 307, 400, 401, 404, 410} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{statuses: []int{status}, header: http.Header{"Location": {"https://elsewhere.example.com/"}}}
			n, log := start(r, nil)
			n.Notify(raised("a/tokens", 80, standing))
			time.Sleep(time.Hour)
			n.Close(t.Context())
			if got := r.attempts(); len(got) != 1 {
				t.Errorf("status %d: got %d attempts, want 1", status, len(got))
			}
			if !strings.Contains(log.String(), "was not delivered") || !strings.Contains(log.String(), fmt.Sprintf("answered %d", status)) || strings.Contains(log.String(), "canary") {
				t.Errorf("status %d: got the log %s, want that the alert was not delivered, why, and no secret", status, log)
			}
		})
	}
}

func TestADeadWebhookGetsABoundedNumberOfAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{hang: make(chan struct{})}
		n, log := start(r, nil)
		began := time.Now()
		n.Notify(raised("a/tokens", 80, standing))
		n.Notify(raised("a/tokens", 95, standing))
		time.Sleep(time.Hour)
		got := r.attempts()
		if len(got) < 4 || len(got) > 16 || got[len(got)-1].at.Sub(began) > 11*time.Minute {
			t.Errorf("got %d attempts, the last after %s; want at most 8 for each of the two, in 11 minutes", len(got), got[len(got)-1].at.Sub(began))
		}
		if lost := strings.Count(log.String(), "was not delivered"); lost != 2 {
			t.Errorf("got %d lines of lost alerts, want 2: %s", lost, log)
		}
		n.Close(t.Context())
	})
}

func TestAHangingWebhookDelaysNobodyAndItsQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, sent := &receiver{hang: make(chan struct{})}, &events{}
		n, log := start(r, sent)
		began := time.Now()
		for i := range 300 {
			n.Notify(raised(fmt.Sprintf("s%d/tokens", i), 80, standing))
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("got a wait of %s for 300 alerts, want none", waited)
		}
		synctest.Wait()
		if lost := strings.Count(log.String(), "256 alerts are waiting already"); lost < 43 || lost > 44 || len(sent.got) != 300 {
			t.Errorf("got %d alerts lost and %d events, want 43 or 44 lost beyond a queue of 256, and all 300 events", lost, len(sent.got))
		}
		close(r.hang)
		n.Close(t.Context())
		if got := len(r.attempts()); got < 256 {
			t.Errorf("got %d attempts, want one for each of the 256 that waited", got)
		}
	})
}

func TestClosingMakesOneMoreAttemptWithoutPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{statuses: []int{503, 503, 200, 503}}
		n, log := start(r, nil)
		n.Notify(raised("a/tokens", 80, standing))
		synctest.Wait() // it failed, and pauses
		n.Notify(raised("b/tokens", 80, standing))
		n.Notify(raised("c/tokens", 80, standing))
		began := time.Now()
		n.Close(t.Context())
		if took, got := time.Since(began), len(r.attempts()); took > 0 || got != 4 {
			t.Errorf("got %d attempts, the last ones in %s; want 4 at once", got, took)
		}
		if lost := strings.Count(log.String(), "was not delivered"); lost != 2 {
			t.Errorf("got %d lost alerts, want 2: %s", lost, log)
		}
		n.Notify(raised("d/tokens", 80, standing)) // after Close: logged, without a panic
		if !strings.Contains(log.String(), "the process is stopping") {
			t.Errorf("got the log %s, want that the alert after Close was not delivered", log)
		}
	})
}

func TestClosingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, log := start(&receiver{hang: make(chan struct{})}, nil)
		n.Notify(raised("a/tokens", 80, standing))
		n.Notify(raised("b/tokens", 80, standing))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		n.Close(ctx)
		if took := time.Since(began); took != 2*time.Second || strings.Count(log.String(), "was not delivered") != 2 {
			t.Errorf("got Close after %s and the log %s, want it after 2s with both alerts lost", took, log)
		}
	})
}

func TestWithoutAWebhookAlertsAreLoggedAndSent(t *testing.T) {
	var log bytes.Buffer
	sent := &events{}
	n := alert.New(alert.Config{Log: slog.New(slog.NewJSONHandler(&log, nil)), Events: sent})
	n.Notify(raised("a/tokens", 80, standing))
	n.Close(t.Context())
	if len(sent.got) != 1 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "limit threshold") {
		t.Errorf("got %d events and the log %s, want one of each", len(sent.got), &log)
	}
}

// TestASignatureIsWhatOpensslMakes of the command in docs/operate.md.
func TestASignatureIsWhatOpensslMakes(t *testing.T) {
	const want = "t=1795953603,v1=b0a34fc94a55ca944ec8c21a6e5ec0b85d1f96d23f6fa0a78d49710cfea780e8"
	got := alert.Sign(secret.New("0123456789abcdef0123456789abcdef"), time.Unix(1795953603, 0), []byte(`{"id":"x","limit":"org/calls"}`))
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
