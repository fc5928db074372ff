package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// quotaUsed returns the tokens that a key's subscription has used of its quota.
func quotaUsed(url, key string) (int64, error) {
	request, err := http.NewRequest(http.MethodGet, url+"/usage", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Api-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer struct{ Quota struct{ Used int64 } }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET /usage: got %d and error %v, want 200", response.StatusCode, err)
	}
	return answer.Quota.Used, nil
}

// After a caller has left, the gateway reads the model's answer to its end for the usage. A
// process that is ended meanwhile waits for the usage and writes it. If the usage doesn't
// come within the drain time, the call's reservation stays charged.
func TestAProcessThatEndsChargesCallsWhoseCallersHaveLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it starts processes and an emulator")
	}
	emulator, binary := azurite.Own(t), buildGateway(t)
	key := withLimits(t, emulator, subscriptiontest.Limits{TokenQuota: 100_000, TokenQuotaPeriod: limit.Yearly, Reserve: subscription.ReserveFull, MaxCompletionTokens: 3000})
	for name, test := range map[string]struct {
		drain        string
		reportsUsage bool
		want         int64
	}{"usage comes in time": {"20s", true, 509}, "none comes": {"1s", false, 0}} {
		t.Run(name, func(t *testing.T) {
			begun, ending, cancelled := make(chan struct{}), make(chan struct{}), make(chan struct{})
			model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				close(begun)
				if test.reportsUsage {
					<-ending
					_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":500}}`)
					return
				}
				<-r.Context().Done()
				close(cancelled)
			}))
			defer model.Close()
			p := startProcess(t, binary, emulator.ConnectionString, model.URL, "DRAIN_TIMEOUT="+test.drain, "SETTLE_TIMEOUT=10m")
			before, err := quotaUsed(p.url, key)
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/v1/chat/completions", strings.NewReader(`{"model":"DeepSeek-R1","messages":[{"role":"user","content":"hi"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Api-Key", key)
			go func() {
				<-begun
				leave()
			}()
			if _, err := http.DefaultClient.Do(request); !errors.Is(err, context.Canceled) {
				t.Fatalf("the call whose caller leaves: got error %v, want %v", err, context.Canceled)
			}
			// Until the usage is known, the whole reservation counts as used.
			asynctest.Eventually(t, "the reservation is charged", func() error {
				used, err := quotaUsed(p.url, key)
				if err == nil && used-before < 3000 {
					err = fmt.Errorf("got %d tokens used, want 3000 or more", used-before)
				}
				return err
			})
			go func() { // the model answers some time after the process stops accepting calls
				defer time.AfterFunc(2*time.Second, func() { close(ending) })
				for every := time.Tick(5 * time.Millisecond); ; <-every {
					response, err := http.Get(p.url + "/")
					if err != nil {
						return
					}
					response.Body.Close()
				}
			}()
			p.kill(t, syscall.SIGTERM)
			if !test.reportsUsage {
				<-cancelled
			}
			next := startProcess(t, binary, emulator.ConnectionString, model.URL)
			defer next.kill(t, syscall.SIGKILL)
			used, err := quotaUsed(next.url, key)
			if used -= before; err != nil || test.reportsUsage && used != test.want || !test.reportsUsage && (used < 3000 || used > 3100) {
				t.Errorf("got %d tokens used (error %v), want %d, or 3000 to 3100 where the model reports no usage; %s", used, err, test.want, p.stderr.String())
			}
		})
	}
}
