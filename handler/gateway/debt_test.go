package gateway_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription/subscriptiontest"
)

// refused is the part of a refusal that these tests read.
type refused struct {
	Error struct {
		Code   string
		Limits []struct {
			Used, Owed, Limit int64
			ResetAt           time.Time
		}
	}
}

// waits returns how long an answer's headers say to wait.
func waits(t *testing.T, answer *http.Response) (seconds, ms int64) {
	t.Helper()
	seconds, e1 := strconv.ParseInt(answer.Header.Get("Retry-After"), 10, 64)
	ms, e2 := strconv.ParseInt(answer.Header.Get("Retry-After-Ms"), 10, 64)
	if e1 != nil || e2 != nil || ms < 1 || (ms+999)/1000 != seconds {
		t.Errorf("got Retry-After %q and Retry-After-Ms %q, want one wait of 1 ms or more in both, rounded up to seconds", answer.Header.Get("Retry-After"), answer.Header.Get("Retry-After-Ms"))
	}
	return seconds, ms
}

// Headers, error and /usage must name the time when the debt is paid, not the end of the
// minute, when the caller would be refused again.
func TestHeadersErrorAndUsageAgreeOnADebt(t *testing.T) {
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, answering(1275))
	minute := b.now().UTC().Truncate(time.Minute)
	b.post(t, demoPath, demo) // uses 1,300 tokens, 1,000 more than the limit
	answer, body := b.post(t, demoPath, demo)
	var decoded refused
	if err := json.Unmarshal([]byte(body), &decoded); err != nil {
		t.Fatal(err)
	}
	paid := minute.Add(4 * time.Minute) // four minutes of 300 tokens pay the debt
	if l := decoded.Error.Limits[0]; answer.StatusCode != 429 || l.Owed != 1000 || l.Used != 1300 || !l.ResetAt.Equal(paid) {
		t.Errorf("got %d %s, want 429 with 1300 used and 1000 owed until %s", answer.StatusCode, body, paid)
	}
	seconds, _ := waits(t, answer)
	reset, err := time.ParseDuration(answer.Header.Get("X-Ratelimit-Reset-Tokens"))
	if apart := reset - time.Duration(seconds)*time.Second; err != nil || apart.Abs() > time.Second || seconds <= 180 {
		t.Errorf("got Retry-After %d s and X-Ratelimit-Reset-Tokens %q, want the same in both, beyond 3 minutes", seconds, answer.Header.Get("X-Ratelimit-Reset-Tokens"))
	}
	if got := answer.Header.Get("X-Should-Retry"); got != "false" {
		t.Errorf("after a refusal for minutes: got X-Should-Retry %q, want false", got)
	}
	_, body = b.get(t, "/usage")
	var usage struct {
		Minute struct {
			Used, Owed, Left int64
			ResetAt          time.Time
		}
	}
	if err := json.Unmarshal([]byte(body), &usage); err != nil || usage.Minute.Owed != 1000 || usage.Minute.Left != 0 || !usage.Minute.ResetAt.Equal(paid) {
		t.Errorf("/usage: got %s, want none left and 1000 owed until %s", body, paid)
	}
}

func TestUselessRetriesAreDiscouraged(t *testing.T) {
	for name, test := range map[string]struct {
		limits subscriptiontest.Limits
		body   string
		status int
		want   string
	}{
		"a minute used up": {subscriptiontest.Limits{TokensPerMinute: 300}, demo, 429, ""},
		"a quota used up":  {subscriptiontest.Limits{TokenQuota: 300, TokenQuotaPeriod: limit.Yearly}, demo, 403, "false"},
		"never fits":       {subscriptiontest.Limits{TokensPerMinute: 20}, demo, 413, "false"},
		"too large a body": {subscriptiontest.Limits{TokensPerMinute: 300}, string(make([]byte, 1<<17)), 413, "false"},
		"a bad request":    {subscriptiontest.Limits{TokensPerMinute: 300}, "{", 400, ""},
	} {
		b := start(t, test.limits, answering(275)) // a call uses 300 tokens with its prompt
		b.post(t, demoPath, demo)
		answer, body := b.post(t, demoPath, test.body)
		if got := answer.Header.Get("X-Should-Retry"); answer.StatusCode != test.status || got != test.want {
			t.Errorf("%s: got %d with X-Should-Retry %q: %s; want %d with %q", name, answer.StatusCode, got, body, test.status, test.want)
		}
		if test.status == 429 || test.status == 403 {
			waits(t, answer)
		}
		if _, ms := answer.Header["Retry-After-Ms"]; ms != (test.status == 429 || test.status == 403) {
			t.Errorf("%s: got Retry-After-Ms %v, want it on 429 and 403 alone", name, answer.Header["Retry-After-Ms"])
		}
	}
}

// The endpoint's Retry-After passes unchanged. The gateway adds no header of its own that
// says how long to wait or whether to retry.
func TestUpstreamsOwnRetryAfterIsPassedOnAlone(t *testing.T) {
	b := start(t, subscriptiontest.Limits{}, refusing(429, `{"error":{}}`, "Retry-After", "90"))
	answer, _ := b.post(t, demoPath, demo)
	if h := answer.Header; answer.StatusCode != 429 || h.Get("Retry-After") != "90" || h.Get("Retry-After-Ms") != "" || h.Get("X-Should-Retry") != "" {
		t.Errorf("got %d %v, want 429 with the endpoint's Retry-After 90, and neither Retry-After-Ms nor X-Should-Retry", answer.StatusCode, h)
	}
}
