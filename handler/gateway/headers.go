package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// HeaderNames are the names of the answers' headers that APIM's llm-token-limit
// lets an operator choose.
type HeaderNames struct {
	RemainingTokens      string // tokens left of this minute
	TokensConsumed       string // tokens that this call was charged
	RemainingQuotaTokens string // tokens left of this quota period
	RetryAfter           string // seconds, beside the standard Retry-After
}

// DefaultHeaderNames are the names that APIM's documentation and samples use.
var DefaultHeaderNames = HeaderNames{
	RemainingTokens:      "x-apim-remaining-tokens",
	TokensConsumed:       "x-apim-tokens-consumed",
	RemainingQuotaTokens: "x-apim-remaining-quota-tokens",
	RetryAfter:           "x-apim-retry-after",
}

// OpenAI's names for the minute's limit. Its clients and dashboards read them.
const (
	headerLimitTokens     = "X-Ratelimit-Limit-Tokens"
	headerRemainingTokens = "X-Ratelimit-Remaining-Tokens"
	headerResetTokens     = "X-Ratelimit-Reset-Tokens"
)

// canonical are the names as they are sent, so that no call has to find out.
func (n HeaderNames) canonical() HeaderNames {
	return HeaderNames{
		RemainingTokens:      http.CanonicalHeaderKey(n.RemainingTokens),
		TokensConsumed:       http.CanonicalHeaderKey(n.TokensConsumed),
		RemainingQuotaTokens: http.CanonicalHeaderKey(n.RemainingQuotaTokens),
		RetryAfter:           http.CanonicalHeaderKey(n.RetryAfter),
	}
}

// standing writes what is left, for a limit that the tier has. The names must be
// canonical, here and below.
func (n HeaderNames) standing(h http.Header, s limit.Standing, now time.Time) {
	if s.TokensPerMinute > 0 {
		remaining := []string{strconv.FormatInt(s.Remaining, 10)}
		h[n.RemainingTokens], h[headerRemainingTokens] = remaining, remaining
		h[headerLimitTokens] = []string{strconv.FormatInt(s.TokensPerMinute, 10)}
		h[headerResetTokens] = []string{wholeSeconds(s.ResetAt.Sub(now)).String()}
	}
	if s.Quota > 0 {
		h[n.RemainingQuotaTokens] = []string{strconv.FormatInt(s.QuotaRemaining, 10)}
	}
}

func (n HeaderNames) consumed(h http.Header, usage limit.Usage) {
	h[n.TokensConsumed] = []string{strconv.FormatInt(usage.Total(), 10)}
}

// retry writes how long to wait, rounded up: in seconds and, as Azure OpenAI does, in
// milliseconds, which OpenAI's and other clients read first. Many of them wait for
// anything below 60,000 ms, but not for 60 s.
func (n HeaderNames) retry(h http.Header, after time.Duration) {
	seconds := []string{strconv.FormatInt(int64(wholeSeconds(after)/time.Second), 10)}
	h["Retry-After"], h[n.RetryAfter] = seconds, seconds
	h["Retry-After-Ms"] = []string{strconv.FormatInt(int64((after+time.Millisecond-1)/time.Millisecond), 10)}
}

// headerShouldRetry tells clients made by Stainless, OpenAI's and others, whether to
// try again by themselves.
const headerShouldRetry = "X-Should-Retry"

// remind has an answer that reserved nothing say where the limits stand that a
// call of this key is counted under, as far as this instance knows.
func (g *Gateway) remind(c *call) {
	if c.grant == nil || c.standing != (limit.Standing{}) || c.model == "" && c.grant.Tier.CounterKey.Has(subscription.ModelPart) {
		return
	}
	if s, known := g.Counter.Known(g.counterKey(c, c.model)); known {
		g.names.standing(c.w.Header(), s, time.Now())
	}
}

// private keeps every answer out of caches and its type from being guessed: what
// a key may see, another caller of the same URL must not, and caches don't heed
// the headers that keys come in. The values are shared; nobody may change them.
func private(h http.Header) {
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
}

var noStore, noSniff = []string{"no-store"}, []string{"nosniff"}

const headerRequestID = "X-Request-Id"

// requestIDMax is the longest request id taken from a caller, in bytes: room
// for any UUID or trace id, none for an essay in the log.
const requestIDMax = 128

// requestID is the caller's own, where it is well-formed, else a new one.
func requestID(h http.Header) string {
	if id := h.Get(headerRequestID); wellFormed(id) {
		return id
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	return hex.EncodeToString(random[:])
}

// wellFormed admits what can't break out of a header, a log line or a JSON
// string, and is no key: it would be in all of these.
func wellFormed(id string) bool {
	if id == "" || len(id) > requestIDMax || strings.Contains(id, subscription.KeyPrefix) {
		return false
	}
	for i := range len(id) {
		c := id[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != ':' {
			return false
		}
	}
	return true
}
