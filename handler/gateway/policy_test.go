package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"tollgate/handler/counter"
	countermem "tollgate/handler/counter/memstore"
	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/operation/chat"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/tokens"
)

// caps are the caps in a body sent upstream.
type caps struct {
	Model               string `json:"model"`
	N                   int64  `json:"n"`
	MaxTokens           *int64 `json:"max_tokens"`
	MaxCompletionTokens *int64 `json:"max_completion_tokens"`
}

func (c caps) String() string {
	text := ""
	for name, n := range map[string]*int64{"max_tokens": c.MaxTokens, "max_completion_tokens": c.MaxCompletionTokens} {
		if n != nil {
			text += fmt.Sprintf("%s=%d", name, *n)
		}
	}
	return text
}

// recording is a model that stores the caps that it was sent in asked, and reports
// total tokens.
func recording(t *testing.T, asked *caps, total int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = caps{}
		if err := json.Unmarshal(body, asked); err != nil {
			t.Errorf("upstream got %s, want JSON: %v", body, err)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":0,"total_tokens":%d}}`, total, total)
	}
}

// with adds fields to the demo's body.
func with(fields string) string { return strings.Replace(demo, "{", "{"+fields, 1) }

// promptOf is the count of the demo's prompt, in tokens.
func promptOf(t *testing.T) int64 {
	t.Helper()
	request, err := chat.Parse([]byte(demo))
	if err != nil {
		t.Fatal(err)
	}
	n, err := tokens.ForModel("DeepSeek-R1").CountChat(request.Messages, nil)
	if err != nil {
		t.Fatal(err)
	}
	return int64(n)
}

func TestACapIsPutOnCallsWithoutOne(t *testing.T) {
	maxTokens := func(n int64) string { return fmt.Sprintf("max_tokens=%d", n) }
	left := 300 - promptOf(t)
	full := subscriptiontest.Limits{TokensPerMinute: 300, Reserve: subscription.ReserveFull, MaxCompletionTokens: 100}
	uncapped := subscriptiontest.Limits{TokensPerMinute: 300, Reserve: subscription.ReserveFull}
	for name, test := range map[string]struct {
		limits subscriptiontest.Limits
		fields string
		want   string
		status int
	}{
		"full, the tier's cap":                 {full, ``, "max_tokens=100", 200},
		"full, each of two completions":        {full, `"n":2,`, "max_tokens=100", 200},
		"full, clamped to what is left":        {full, `"n":3,`, maxTokens(left / 3), 200},
		"full, all that is left":               {uncapped, ``, maxTokens(left), 200},
		"full, a null is none":                 {uncapped, `"max_tokens":null,`, maxTokens(left), 200},
		"full, a cap of 0 is none":             {uncapped, `"max_tokens":0,`, maxTokens(left), 200},
		"full, the caller's cap is kept":       {full, `"max_tokens":200,`, "max_tokens=200", 200},
		"full, its newer name too":             {full, `"max_completion_tokens":200,`, "max_tokens=200", 200},
		"full, never below 16 a completion":    {full, `"n":18,`, "", 413}, // the prompt and 18 x 16 are above 300
		"full, the largest of the caller's":    {full, `"max_tokens":1,"max_completion_tokens":10000,`, "", 413},
		"full, times n without an overflow":    {full, `"n":9223372036854775807,"max_tokens":9223372036854775807,`, "", 413},
		"full, n alone without an overflow":    {uncapped, `"n":9223372036854775807,`, "", 413},
		"prompt, the tier's cap":               {subscriptiontest.Limits{TokensPerMinute: 300, MaxCompletionTokens: 500}, ``, "max_tokens=500", 200},
		"none, the tier's cap":                 {subscriptiontest.Limits{TokensPerMinute: 300, Reserve: subscription.ReserveNone, MaxCompletionTokens: 5}, ``, "max_tokens=5", 200},
		"prompt, the caller's cap is kept":     {subscriptiontest.Limits{TokensPerMinute: 300, MaxCompletionTokens: 5}, `"max_tokens":7,`, "max_tokens=7", 200},
		"prompt, no cap where the tier has no": {subscriptiontest.Limits{TokensPerMinute: 300}, ``, "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			var asked caps
			b := start(t, test.limits, recording(t, &asked, 30))
			response, body := b.post(t, demoPath, with(test.fields))
			if response.StatusCode != test.status || asked.String() != test.want {
				t.Errorf("got %d with %q asked for: %s; want %d with %q", response.StatusCode, asked, body, test.status, test.want)
			}
		})
	}
}

// In shadow mode a limit changes no answer: the tokens that are left don't become a call's
// cap. MaxCompletionTokens still does.
func TestShadowCutsNoAnswerShort(t *testing.T) {
	for most, want := range map[int64]string{0: "", 200: "max_tokens=200"} {
		var asked caps
		b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, Shadow: true, Reserve: subscription.ReserveFull, MaxCompletionTokens: most}, recording(t, &asked, 120))
		for range 2 {
			if response, body := b.post(t, demoPath, demo); response.StatusCode != 200 || asked.String() != want {
				t.Errorf("got %d with %q asked for: %s; want %q", response.StatusCode, asked, body, want)
			}
		}
	}
}

// startFor starts a gateway with these models.
func startFor(t *testing.T, models []string, limits subscriptiontest.Limits, model http.HandlerFunc) *fixture {
	t.Helper()
	return start(t, limits, model, func(c *gateway.Config) { c.Models = models })
}

func TestMaxCompletionTokensIsSentToModelsThatReadNoOtherCap(t *testing.T) {
	for model, want := range map[string]string{"DeepSeek-R1": "max_tokens=5", "gpt-4o": "max_tokens=5", "o3-mini": "max_completion_tokens=5", "GPT-5.1": "max_completion_tokens=5", "o10": "max_tokens=5"} {
		var asked caps
		b := startFor(t, []string{model}, subscriptiontest.Limits{MaxCompletionTokens: 5}, recording(t, &asked, 30))
		response, body := b.post(t, demoPath, strings.Replace(demo, "DeepSeek-R1", model, 1))
		if response.StatusCode != 200 || asked.String() != want {
			t.Errorf("%s: got %d with %q asked for: %s; want %q", model, response.StatusCode, asked, body, want)
		}
	}
}

func TestFullReservationNeverExceedsTheLimit(t *testing.T) {
	var asked caps
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, Reserve: subscription.ReserveFull, MaxCompletionTokens: 200}, recording(t, &asked, 225))
	for i, want := range []struct {
		status int
		cap    string
		left   string
	}{{200, "max_tokens=200", "75"}, {200, fmt.Sprintf("max_tokens=%d", 75-promptOf(t)), "0"}, {429, "", "0"}} {
		asked = caps{}
		response, body := b.post(t, demoPath, demo)
		if response.StatusCode != want.status || asked.String() != want.cap || response.Header.Get("x-apim-remaining-tokens") != want.left {
			t.Errorf("call %d: got %d with %q asked for and %s left: %s; want %+v", i+1, response.StatusCode, asked, response.Header.Get("x-apim-remaining-tokens"), body, want)
		}
	}
}

// join adds another subscription of the fixture's tier and returns its key.
func (b *fixture) join(t *testing.T, id string) string {
	t.Helper()
	return subscriptiontest.Seed(t, b.store, subscription.Tier{ID: "demo"}, id)
}

// A caller can't get another counter by a header that no trusted proxy set, or by another
// address in its IPv6 network.
func TestAForgedAddressDoesNotChangeTheCounter(t *testing.T) {
	for name, test := range map[string]struct {
		believed gateway.Addresses
		header   string
		values   []string
	}{
		"one network of IPv6":     {gateway.Addresses{FrontEnd: true}, "Client-Ip", []string{"[2001:db8:1:2::1]:5", "[2001:db8:1:2::2]:5", "[2001:db8:1:2:ff::]:5"}},
		"no front end":            {gateway.Addresses{Host: true}, "Client-Ip", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}},
		"its other header":        {gateway.Addresses{Host: true}, "X-Client-Ip", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}},
		"no host":                 {gateway.Addresses{}, "X-Forwarded-For", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}},
		"the host's list":         {gateway.Addresses{Host: true}, "X-Forwarded-For", []string{"192.0.2.1, 198.51.100.1", "192.0.2.2, 198.51.100.1", "198.51.100.1"}},
		"a Front Door not chosen": {gateway.Addresses{FrontEnd: true}, "X-Azure-Clientip", []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}},
	} {
		b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, CounterKey: "{client-ip}"}, answering(5), func(c *gateway.Config) { c.Addresses = test.believed })
		for i, value := range test.values {
			want := strconv.Itoa(300 - 30*(i+1))
			if response, body := b.post(t, demoPath, demo, test.header, value); response.Header.Get("x-apim-remaining-tokens") != want {
				t.Errorf("%s, call %d: got %s left: %s; want %s", name, i+1, response.Header.Get("x-apim-remaining-tokens"), body, want)
			}
		}
	}
}

func TestTheCounterKeyDecidesWhichCallsCountTogether(t *testing.T) {
	var asked caps
	for template, want := range map[string][4]string{ // tokens left after each of four calls of 30
		"{subscription}":       {"270", "240", "270", "240"},
		"{client-ip}":          {"270", "270", "240", "240"},
		"{header:X-Team}":      {"270", "240", "210", "180"},
		"{model}{header:Tier}": {"270", "240", "210", "180"},
	} {
		b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, CounterKey: subscription.CounterKey(template)}, recording(t, &asked, 30))
		other := b.join(t, "team-b")
		for i, headers := range [][]string{
			{"Client-Ip", "192.0.2.1:5"}, {"Client-Ip", "192.0.2.2:5"},
			{"Client-Ip", "192.0.2.1:6", "Api-Key", other}, {"Client-Ip", "192.0.2.2:6", "Api-Key", other},
		} {
			response, body := b.post(t, demoPath, demo, headers...)
			if left := response.Header.Get("x-apim-remaining-tokens"); left != want[i] {
				t.Errorf("%s, call %d: got %s left: %d %s; want %s", template, i+1, left, response.StatusCode, body, want[i])
			}
		}
	}
}

func TestShadowReportsRefusalsAndRefusesNothing(t *testing.T) {
	var asked caps
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, Shadow: true, Reserve: subscription.ReserveFull, MaxCompletionTokens: 250}, recording(t, &asked, 270))
	for i, want := range []struct{ shadow, asked, left string }{
		{"", "max_tokens=250", "30"}, {"token_limit_exceeded", "max_tokens=250", "30"}, {"token_limit_exceeded", "max_tokens=250", "30"},
	} {
		response, body := b.post(t, demoPath, demo)
		h := response.Header
		if response.StatusCode != 200 || h.Get("X-Tollgate-Shadow") != want.shadow || asked.String() != want.asked || h.Get("X-Apim-Remaining-Tokens") != want.left || h.Get("X-Apim-Tokens-Consumed") != "270" || h.Get("Retry-After") != "" {
			t.Errorf("call %d: got %d, %v, asked for %s: %s; want 200, %+v", i+1, response.StatusCode, h, asked, body, want)
		}
	}
	response, _ := b.post(t, demoPath, with(`"max_tokens":1000,`))
	if response.StatusCode != 200 || response.Header.Get("X-Tollgate-Shadow") != "token_limit_too_small" {
		t.Errorf("a call that never fits: got %d %v, want 200 and X-Tollgate-Shadow token_limit_too_small", response.StatusCode, response.Header)
	}
	got := b.usage(t, "")
	if got.Total.Calls != 4 || got.Total.TotalTokens != 4*270 || got.Total.Refused != 0 || got.Total.Shadowed != 3 || got.Minute.Used != 270 {
		t.Errorf("got usage %+v and minute %+v, want 4 calls of 1080 tokens in all, none refused and 3 that would have been, and 270 used of the minute", got.Total, got.Minute)
	}
	if n := strings.Count(b.logged(), `"shadow":"token_limit_exceeded"`); n != 2 {
		t.Errorf("got %d log lines that name what would have been refused, want 2", n)
	}
}

func TestTheErrorForACallThatNeverFitsSaysByHowMuch(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300, BurstTokens: 20, Reserve: subscription.ReserveFull}, answering(1))
	response, body := b.post(t, demoPath, with(`"max_tokens":400,`))
	if want := fmt.Sprintf("The call needs %d tokens, %d tokens more than the limit ever has.", 400+promptOf(t), 80+promptOf(t)); response.StatusCode != 413 ||
		!strings.Contains(body, want) || !strings.Contains(body, "max_tokens") || response.Header.Get("Retry-After") != "" || response.Header.Get("x-apim-retry-after") != "" {
		t.Errorf("got %d %v %s, want 413 with %q and max_tokens, and without Retry-After", response.StatusCode, response.Header, body, want)
	}
	if response, _ := b.post(t, demoPath, with(`"max_tokens":200,`)); response.StatusCode != 200 {
		t.Errorf("a call that fits: got %d, want 200", response.StatusCode)
	}
}

func TestTheErrorForACallThatNeverFitsAdvisesOnlyWhatMakesItFit(t *testing.T) {
	const shorter, fewer = "Send a shorter prompt", "fewer tokens with max_tokens"
	for unit, want := range map[limit.Unit][2]bool{limit.Tokens: {true, true}, limit.PromptTokens: {true, false}, limit.CompletionTokens: {false, true}} {
		b := startRules(t, fmt.Sprintf(`{"reserve":"full","limits":[{"name":"small","unit":%q,"perMinute":5}]}`, unit), "", answering(1))
		response, body := b.post(t, demoPath, with(`"max_tokens":6,`))
		if got := [2]bool{strings.Contains(body, shorter), strings.Contains(body, fewer)}; response.StatusCode != http.StatusRequestEntityTooLarge || got != want {
			t.Errorf("a limit in %s: got %d %s, want 413, %q in it: %t, and %q: %t", unit, response.StatusCode, body, shorter, want[0], fewer, want[1])
		}
	}
}

// A quota's message begins as API Management's does, and says when the quota is renewed.
func TestTheQuotasMessageSaysWhenItIsRenewed(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokenQuota: 100, TokenQuotaPeriod: limit.Hourly}, answering(90))
	b.post(t, demoPath, demo)
	response, body := b.post(t, demoPath, demo)
	var seconds int
	if _, err := fmt.Sscan(response.Header.Get("Retry-After"), &seconds); err != nil || seconds < 1 || seconds > 3600 {
		t.Fatalf("got Retry-After %q, want 1 to 3600 s", response.Header.Get("Retry-After"))
	}
	plural := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	in := plural(seconds%60, "second")
	switch minutes := seconds / 60; {
	case seconds == 3600:
		in = "1 hour"
	case minutes > 0 && seconds%60 == 0:
		in = plural(minutes, "minute")
	case minutes > 0:
		in = plural(minutes, "minute") + " and " + in
	}
	if want := `{"statusCode":403,"message":"Token quota is exceeded. It is renewed in ` + in + `.",`; !strings.HasPrefix(body, want) {
		t.Errorf("got %s, want %s", body, want)
	}
}

func TestAChangedTierAppliesAtOnceAndResetsNothing(t *testing.T) {
	before := subscriptiontest.Limits{TokensPerMinute: 300, TokenQuota: 1000, TokenQuotaPeriod: limit.Hourly}
	for name, test := range map[string]struct {
		after       subscriptiontest.Limits
		status      int
		left, quota string
		other       string // tokens left after one more call, on an instance that still has the older tier
	}{
		"raised": {subscriptiontest.Limits{TokensPerMinute: 1000, TokenQuota: 1500, TokenQuotaPeriod: limit.Hourly}, 200, "770", "1270", "655"},
		// A refusal writes nothing, so the other instance hears of the cut from the directory.
		"cut":            {subscriptiontest.Limits{TokensPerMinute: 130, TokenQuota: 1500, TokenQuotaPeriod: limit.Hourly}, 429, "15", "1385", "70"},
		"another period": {subscriptiontest.Limits{TokensPerMinute: 300, TokenQuota: 1500, TokenQuotaPeriod: limit.Daily}, 200, "70", "1270", "0"},
		"a lower quota":  {subscriptiontest.Limits{TokensPerMinute: 300, TokenQuota: 400, TokenQuotaPeriod: limit.Hourly}, 200, "70", "170", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			now := fromMinuteStart() // the clock of all instances
			store := countermem.NewAt(now)
			var counters []*counter.Counter
			over := func(c *gateway.Config) {
				c.Counter = counter.New(counter.Config{Now: now, Store: store, Log: c.Log})
				counters = append(counters, c.Counter)
			}
			model := answering(90) // a call takes 115
			first := start(t, before, model, over)
			first.post(t, demoPath, demo)
			if err := counters[0].Close(t.Context()); err != nil { // writes all its charges
				t.Fatal(err)
			}
			older := start(t, before, model, func(c *gateway.Config) { over(c); c.Directory = subscriptiontest.Directory(t, first.store) })
			older.key = first.key
			older.get(t, "/v1/models") // reads the older tier into its directory
			first.setLimits(t, test.after)
			newer := start(t, before, model, func(c *gateway.Config) { over(c); c.Directory = subscriptiontest.Directory(t, first.store) })
			newer.key = first.key
			response, body := newer.post(t, demoPath, demo)
			if left, quota := response.Header.Get("x-apim-remaining-tokens"), response.Header.Get("x-apim-remaining-quota-tokens"); response.StatusCode != test.status || left != test.left || quota != test.quota {
				t.Errorf("the newer: got %d with %s and %s left: %s; want %d with %s and %s", response.StatusCode, left, quota, body, test.status, test.left, test.quota)
			}
			if err := counters[2].Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			response, body = older.post(t, demoPath, demo)
			if left := response.Header.Get("x-apim-remaining-tokens"); left != test.other {
				t.Errorf("the older: got %d with %s left: %s; want %s", response.StatusCode, left, body, test.other)
			}
		})
	}
}

// setLimits gives the fixture's tier other limits.
func (b *fixture) setLimits(t *testing.T, limits subscriptiontest.Limits) {
	t.Helper()
	tier, err := b.store.Tier(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	tier.Rules = limits.Rules()
	if _, err := b.store.PutTier(t.Context(), tier); err != nil {
		t.Fatal(err)
	}
}
