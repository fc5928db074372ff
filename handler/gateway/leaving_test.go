package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/price"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// A caller that leaves is charged for the prompt and the text generated so far, not for all
// that was reserved. The call to upstream is cancelled.
func TestACallerThatLeavesPaysForWhatItGot(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		sent func(gone func()) http.HandlerFunc // gone is called when upstream is cancelled
		read string                             // text that the caller reads before it leaves
		cost charge
	}{
		"before the first byte":     {streamBody, after(events, ""), "", byPrompt},
		"before upstream's headers": {streamBody, after(answer, ""), "", byPrompt},
		"after an event":            {streamBody, after(events, thoughtEvent), thoughtEvent, charge{prompt: true, text: "Let me think of the hour."}},
		"mid-event":                 {streamBody, after(events, thoughtEvent+textEvent+`data: {"choi`), thoughtEvent + textEvent, byCount},
		"mid-event, with less read": {streamBody, after(events, thoughtEvent+textEvent), thoughtEvent[:20], byCount},
		"after usage":               {streamBody, after(events, thoughtEvent+textEvent+stopAndUsageEvent), thoughtEvent + textEvent + stopAndUsageEvent, byUsage},
		"just after [DONE]":         {streamBody, after(events, thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), doneEvent, byUsage},
	} {
		for _, reserve := range []subscription.Reserve{subscription.ReserveNone, subscription.ReservePrompt, subscription.ReserveFull} {
			t.Run(fmt.Sprint(name, ", reserve ", reserve), func(t *testing.T) {
				t.Parallel()
				begun, gone := make(chan struct{}), make(chan struct{})
				model := test.sent(func() { close(gone) })
				b, log := startLogged(t, subscriptiontest.Limits{TokenQuota: 10_000, TokenQuotaPeriod: limit.Yearly, Reserve: reserve, MaxCompletionTokens: 5000}, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // only a call that arrived whole costs tokens
					close(begun)
					model(w, r)
				})
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				left := make(chan struct{})
				go func() {
					defer close(left)
					b.leaveAfter(ctx, test.body, test.read, leave)
				}()
				<-begun
				if test.read == "" {
					leave()
				}
				<-left
				<-gone
				line, want := log.call(t), test.cost.tokens(promptIn(t, test.body))
				// Text that the gateway had not read yet is not counted.
				least := charge{prompt: true}.tokens(promptIn(t, test.body))
				got := line.Prompt + line.Completion
				if line.Outcome != "client_closed" || got > want || got < least || test.read != "" && got != want {
					t.Errorf("got %+v reported, want client_closed and from %d to %d tokens (the most, if the caller read part of the answer)", line, least, want)
				}
				if used := b.spent(t); used != got {
					t.Errorf("got %d tokens used up and %d reported, want the same", used, got)
				}
			})
		}
	}
}

// after returns a model that sends text and waits until its call is cancelled.
func after(kind func(string, ...func(http.ResponseWriter, *http.Request)) http.HandlerFunc, text string) func(func()) http.HandlerFunc {
	return func(gone func()) http.HandlerFunc {
		return kind(text, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			gone()
		})
	}
}

// leaveAfter makes a call and leaves when the text has arrived.
func (b *fixture) leaveAfter(ctx context.Context, body, text string, leave func()) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+demoPath, strings.NewReader(body))
	if err != nil {
		return
	}
	request.Header.Set("Api-Key", b.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	var got []byte
	for buffer := make([]byte, 4096); !strings.Contains(string(got), text) || text == ""; {
		n, err := response.Body.Read(buffer)
		if got = append(got, buffer[:n]...); err != nil {
			return
		}
	}
	leave()
}

// leaveOnce makes a call, leaves once begun is closed, and returns when the caller has
// left. The gateway may still be busy with the call.
func (b *fixture) leaveOnce(t *testing.T, body string, begun <-chan struct{}) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		b.leaveAfter(ctx, body, "", leave)
	}()
	<-begun
	leave()
	<-gone
}

// slow is a store of the directory that never answers.
type slow struct {
	subscription.Reader
	asked chan struct{}
}

func (s slow) Key(ctx context.Context, _ string) (subscription.KeyRecord, error) {
	close(s.asked)
	<-ctx.Done()
	return subscription.KeyRecord{}, ctx.Err()
}

// A caller that leaves while its key is looked up is not counted as refused.
func TestLeavingDuringAuthenticationIsNotARefusal(t *testing.T) {
	store, reports := slow{asked: make(chan struct{})}, &callReports{more: make(chan struct{}, 1)}
	b := start(t, subscriptiontest.Limits{}, answer(wholeAnswer), func(c *gateway.Config) {
		c.Directory, c.Telemetry = subscriptiontest.Directory(t, store), reports
	})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go func() {
		<-store.asked
		leave()
	}()
	request := b.newRequest(ctx, t, http.MethodGet, "/usage", nil)
	if _, err := http.DefaultClient.Do(request); err == nil {
		t.Error("got an answer, want the call to end with its caller")
	}
	if c := reports.next(); c.Outcome != "client_closed" || c.Refused || c.Status != 499 {
		t.Errorf("got %q reported, %d, refused %t; want client_closed, 499, false", c.Outcome, c.Status, c.Refused)
	}
}

// slowPrices can't be read before their caller leaves.
type slowPrices struct{ asked chan struct{} }

func (p slowPrices) Quote(ctx context.Context, _ string, _ []string, _ time.Time) (price.Quote, error) {
	close(p.asked)
	<-ctx.Done()
	return price.Quote{}, fmt.Errorf("%w: %w", price.ErrUnavailable, ctx.Err())
}

func (p slowPrices) Currency(context.Context) (string, error) { return "", nil }

func TestLeavingWhilePricesAreReadIsNotAnOutageOfThePrices(t *testing.T) {
	prices, reports := slowPrices{make(chan struct{})}, &callReports{more: make(chan struct{}, 1)}
	b := start(t, subscriptiontest.Limits{}, answer(wholeAnswer), func(c *gateway.Config) { c.Prices, c.Telemetry = prices, reports })
	b.setRules(t, budgetRules("prompt", limit.Nano), "")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go func() {
		<-prices.asked
		leave()
	}()
	request := b.newRequest(ctx, t, http.MethodPost, demoPath, strings.NewReader(demo))
	if _, err := http.DefaultClient.Do(request); err == nil {
		t.Error("got an answer, want the call to end with its caller")
	}
	if c := reports.next(); c.Outcome != "client_closed" || c.Refused || c.Status != 499 {
		t.Errorf("got %q reported, %d, refused %t; want client_closed, 499, false", c.Outcome, c.Status, c.Refused)
	}
}
