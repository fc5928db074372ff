package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/handler/charge/chargetest"
	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// A randomBiller is a gateway in front of an endpoint that bills by its own count, not the
// gateway's.
type randomBiller struct {
	*fixture
	endpoint *fakemodel.Endpoint
	log      logLines

	mu   sync.Mutex
	next fakemodel.Behaviour
}

// startRandomBiller starts one for a model.
func startRandomBiller(t *testing.T, limits subscriptiontest.Limits, model string, settle time.Duration, timeouts upstream.Timeouts) *randomBiller {
	t.Helper()
	s := &randomBiller{endpoint: &fakemodel.Endpoint{}, log: make(logLines, 100)}
	limits.TokenQuotaPeriod = limit.Yearly
	s.fixture = start(t, limits, nil, func(c *gateway.Config) {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			behaviour := s.next
			s.mu.Unlock()
			r.Header.Set("Api-Key", fakemodel.Key)
			r.Header.Set(fakemodel.Header, fmt.Sprintf("bill,hidden=%d,first-token=%s,hold-after=%d,completion=%d", behaviour.Hidden, behaviour.FirstToken, behaviour.HoldAfter, max(8, behaviour.Completion)))
			s.endpoint.ServeHTTP(w, r)
		})
		c.Upstream = newUpstream(t, timeouts, upstream.Endpoint{URL: url, Shape: shape.OpenAI})
		c.Models, c.Log = []string{model}, slog.New(slog.NewJSONHandler(s.log, nil))
		c.SettleTimeout, c.TokensPerSecond = settle, map[string]int64{"": 1000}
	})
	return s
}

// answers sets how the endpoint answers from now on.
func (s *randomBiller) answers(b fakemodel.Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = b
}

// call makes a call, leaves after that number of events if the answer has so many, and
// waits until the gateway is done with the call.
func (s *randomBiller) call(t *testing.T, body string, events int) (status int) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request := s.newRequest(ctx, t, http.MethodPost, demoPath, strings.NewReader(body))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got []byte
	for buffer := make([]byte, 4096); events == 0 || bytes.Count(got, []byte("\n\n")) < events; {
		n, err := response.Body.Read(buffer)
		if got = append(got, buffer[:n]...); err != nil {
			break
		}
	}
	leave()
	_, _ = io.Copy(io.Discard, response.Body)
	s.reported(t)
	return response.StatusCode
}

// reported waits until a chat completion is reported, and so settled.
func (s *randomBiller) reported(t *testing.T) {
	t.Helper()
	for deadline := time.After(time.Minute); ; {
		select {
		case line := <-s.log:
			if bytes.Contains(line, []byte(`"stream":`)) {
				return
			}
		case <-deadline:
			t.Fatal("got no report of the call before the deadline, want one")
		}
	}
}

func forModel(body, model string, fields ...string) string {
	return `{"model":"` + model + `",` + strings.Join(append(fields, ""), ",") + body[1:]
}

// Wherever in the body a caller puts its prompt, and however early it leaves, it pays for
// what the endpoint bills.
func TestEveryFormOfPromptIsCharged(t *testing.T) {
	big := strings.Repeat("word ", 1500)
	for _, reserve := range []subscription.Reserve{subscription.ReserveNone, subscription.ReservePrompt, subscription.ReserveFull} {
		for _, model := range []string{"gpt-4o", "chat-prod", "DeepSeek-V3.2"} {
			if testing.Short() && model != "gpt-4o" {
				continue
			}
			s := startRandomBiller(t, subscriptiontest.Limits{TokenQuota: 3_000_000, Reserve: reserve, MaxCompletionTokens: 50}, model, 50*time.Millisecond, upstream.Timeouts{})
			s.answers(fakemodel.Behaviour{HoldAfter: 4})
			for name, body := range chargetest.Carriers {
				body = forModel(strings.ReplaceAll(body, "$", big), model, `"stream":true`)
				billed, spent := s.endpoint.Billed(), s.spent(t)
				status := s.call(t, body, 3)
				if billed, spent = s.endpoint.Billed()-billed, s.spent(t)-spent; billed > spent {
					t.Errorf("%s, %s, %s: got status %d, %d tokens billed and %d charged; want at least the bill charged", reserve, model, name, status, billed, spent)
				}
			}
		}
	}
}

// Under reserve: full the limit is never exceeded, whatever callers send and whenever they
// leave. With the other ways of reserving, any excess is charged and becomes debt.
func TestACallerPaysWhatItUsedWhateverItDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it makes hundreds of calls")
	}
	for _, reserve := range []subscription.Reserve{subscription.ReserveNone, subscription.ReservePrompt, subscription.ReserveFull} {
		for _, model := range []string{"DeepSeek-R1", "DeepSeek-V3.2", "gpt-4o", "gpt-4o-mini", "o3", "chat-prod"} {
			t.Run(fmt.Sprintf("%s, %s", reserve, model), func(t *testing.T) {
				const quota = 30_000
				limits := subscriptiontest.Limits{TokenQuota: quota, Reserve: reserve, MaxCompletionTokens: 40}
				s := startRandomBiller(t, limits, model, 20*time.Millisecond, upstream.Timeouts{})
				random := rand.New(rand.NewPCG(7, uint64(len(model))))
				admitted := 0
				for range 25 {
					body := forModel(chargetest.Body(random), model,
						[]string{`"x":0`, `"stream":true`, `"stream":true,"max_tokens":30`, `"stream":true,"max_completion_tokens":20`, `"n":1,"max_tokens":9,"max_completion_tokens":30`}[random.IntN(5)])
					if strings.Contains(body, `"temperature"`) && random.IntN(2) == 0 {
						continue
					}
					behaviour := fakemodel.Behaviour{Completion: int64(random.IntN(80))}
					events := 0
					if model == "o3" || model == "chat-prod" {
						behaviour.Hidden, behaviour.FirstToken = 20, 20*time.Millisecond
					}
					if random.IntN(2) == 0 && strings.Contains(body, `"stream":true`) {
						behaviour.HoldAfter = 4 + random.IntN(3)
						if events = behaviour.HoldAfter; model != "DeepSeek-R1" { // R1's calls are cancelled, and events on their way then aren't counted
							events -= random.IntN(2)
						}
					}
					s.answers(behaviour)
					if s.call(t, body, events) == 200 {
						admitted++
					}
					billed, spent := s.endpoint.Billed(), s.spent(t)
					if reserve == subscription.ReserveFull && billed > quota || billed > spent {
						t.Fatalf("got %d tokens billed with a quota of %d and %d charged, after %s; want the bill within the quota and the charge", billed, quota, spent, body)
					}
				}
				if admitted < 4 {
					t.Errorf("got %d calls admitted, want at least 4", admitted)
				}
			})
		}
	}
}
