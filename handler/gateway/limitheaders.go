package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"tollgate/handler/limit"
)

// OpenAI's headers for a minute's limits in tokens and in calls, which its clients and
// dashboards read.
var ratelimitTokens, ratelimitCalls = ratelimitNames("Tokens"), ratelimitNames("Requests")

// A ratelimit names the three headers of a kind of limit.
type ratelimit struct{ limit, remaining, reset string }

// ratelimitNames returns the names for limits in tokens or requests.
func ratelimitNames(of string) ratelimit {
	return ratelimit{"X-Ratelimit-Limit-" + of, "X-Ratelimit-Remaining-" + of, "X-Ratelimit-Reset-" + of}
}

// Headers of the IETF's draft: each limit's policy, and its state.
// Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
const (
	headerPolicy = "Ratelimit-Policy"
	headerState  = "Ratelimit"
)

// headerRefusedBy names the limits that refused a call.
const headerRefusedBy = "X-Tollgate-Limit"

// setLimits sets the headers for what a call's limits have left. It leaves out limits in
// shadow, which refuse nothing, unless all are in shadow. The names must be canonical, here
// and below.
func (n HeaderNames) setLimits(h http.Header, limits []callLimit, standings []limit.Standing, now time.Time) {
	var tokens, calls, quota *limit.Standing
	var policyRoom, stateRoom [128]byte // enough for two limits
	policy, state := policyRoom[:0], stateRoom[:0]
	shadow := !slices.ContainsFunc(limits, func(l callLimit) bool { return !l.Shadow })
	for i := range limits {
		l := &limits[i]
		if i >= len(standings) || standings[i] == (limit.Standing{}) || l.Shadow && !shadow {
			continue
		}
		s := &standings[i]
		policy, state = appendPolicy(policy, l, s), appendState(state, l, s, now)
		switch {
		case l.Unit == limit.Calls:
			calls = tighter(calls, s)
		case countsTokens(l.Unit):
			tokens = tighter(tokens, s)
			if s.Quota > 0 && (quota == nil || s.QuotaRemaining < quota.QuotaRemaining) {
				quota = s
			}
		}
	}
	if tokens != nil {
		ratelimitTokens.set(h, tokens, now)
		h[n.RemainingTokens] = h[ratelimitTokens.remaining]
	}
	if calls != nil {
		ratelimitCalls.set(h, calls, now)
	}
	if quota != nil {
		h[n.RemainingQuotaTokens] = []string{strconv.FormatInt(quota.QuotaRemaining, 10)}
	}
	if len(policy) > 0 {
		h[headerPolicy], h[headerState] = []string{string(policy)}, []string{string(state)}
	}
}

// countsTokens reports whether a unit counts tokens.
func countsTokens(u limit.Unit) bool {
	return u == limit.Tokens || u == limit.PromptTokens || u == limit.CompletionTokens
}

// tighter returns the one of two standings with a minute limit that has less left of it.
func tighter(a, b *limit.Standing) *limit.Standing {
	if b.PerMinute == 0 || a != nil && a.Remaining <= b.Remaining {
		return a
	}
	return b
}

// set sets the headers from a minute's standing.
func (r *ratelimit) set(h http.Header, s *limit.Standing, now time.Time) {
	h[r.limit] = []string{strconv.FormatInt(s.PerMinute, 10)}
	h[r.remaining] = []string{strconv.FormatInt(s.Remaining, 10)}
	h[r.reset] = []string{wholeSeconds(s.ResetAt.Sub(now)).String()}
}

// appendPolicy appends a limit's policy: of the window that has less left.
func appendPolicy(text []byte, l *callLimit, s *limit.Standing) []byte {
	quota, window := s.PerMinute, int64(60)
	if quotaIsTighter(s) {
		quota, window = s.Quota, int64(s.QuotaResetAt.Sub(s.QuotaStartedAt)/time.Second)
	}
	text = appendItem(text, l.FullName())
	text = strconv.AppendInt(append(text, ";q="...), clampInteger(quota), 10)
	text = strconv.AppendInt(append(text, ";w="...), window, 10)
	if l.Unit != limit.Calls { // the draft's default is requests
		text = append(append(append(text, `;qu="`...), l.Unit...), '"')
	}
	return text
}

// appendState appends what a limit has left, of the same window.
func appendState(text []byte, l *callLimit, s *limit.Standing, now time.Time) []byte {
	left, reset := s.Remaining, s.ResetAt
	if quotaIsTighter(s) {
		left, reset = s.QuotaRemaining, s.QuotaResetAt
	}
	text = appendItem(text, l.FullName())
	text = strconv.AppendInt(append(text, ";r="...), clampInteger(left), 10)
	return strconv.AppendInt(append(text, ";t="...), int64(wholeSeconds(reset.Sub(now))/time.Second), 10)
}

// quotaIsTighter reports whether the quota has less left than the minute.
func quotaIsTighter(s *limit.Standing) bool {
	return s.PerMinute == 0 || s.Quota > 0 && s.QuotaRemaining < s.Remaining
}

// appendItem begins an item of a list: a name, which needs no escaping.
func appendItem(text []byte, name string) []byte {
	if len(text) > 0 {
		text = append(text, ", "...)
	}
	return append(append(append(text, '"'), name...), '"')
}

// clampInteger limits a number to the 15 digits that an integer in a structured header has.
// Source: https://www.rfc-editor.org/rfc/rfc9651#section-3.3.1
func clampInteger(n int64) int64 { return min(n, 999_999_999_999_999) }

// setLimitHeaders sets the headers for what the call's limits have left.
func (g *Gateway) setLimitHeaders(c *call) {
	g.canonical.setLimits(c.w.Header(), c.hold.limits, c.hold.standings, g.config.Counter.Now())
}

// setKnownLimitHeaders sets the limit headers of an answer that lacks them, from what
// this instance knows of the caller's counters without reading them.
func (g *Gateway) setKnownLimitHeaders(c *call) {
	switch {
	case c.grant == nil || c.w.Header()[headerState] != nil:
		return
	case c.hold.standings != nil:
		g.setLimitHeaders(c)
		return
	}
	limits := g.limitsOf(c, c.model)
	standings, _ := g.knownStandings(limits)
	g.canonical.setLimits(c.w.Header(), limits, standings, g.config.Counter.Now())
}
