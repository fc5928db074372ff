package gateway

import (
	"fmt"
	"net/http"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/telemetry"
)

// A limitDetail describes one limit that refused a call, for the error's body. Amounts are
// those of its unit, money as decimals.
type limitDetail struct {
	Name string     `json:"name"`
	Unit limit.Unit `json:"unit"`
	subscription.Owner
	// Override: the subscription overrides values of its tier's limit.
	Override   bool                    `json:"override,omitempty"`
	CounterKey subscription.CounterKey `json:"counterKey"`
	Window     string                  `json:"window"`
	Limit      limit.Amount            `json:"limit"`
	Used       limit.Amount            `json:"used"`
	Owed       limit.Amount            `json:"owed"` // used beyond the limit
	ResetAt    time.Time               `json:"resetAt"`
}

// limitDetailOf describes a limit that refused a call.
func limitDetailOf(l *callLimit, d limit.Decision) limitDetail {
	of := func(n int64) limit.Amount { return limit.Amount{N: n, Unit: l.Unit} }
	s := d.Standing
	r := limitDetail{Name: l.Name, Unit: l.Unit, Owner: l.Owner, Override: l.Overridden, CounterKey: l.Template(),
		Window: "minute", Limit: of(s.PerMinute), Used: of(s.Used), Owed: of(s.Owed), ResetAt: s.ResetAt}
	if isQuota(d.Verdict) {
		r.Window, r.Limit, r.Used, r.Owed, r.ResetAt = string(s.Period), of(s.Quota), of(s.QuotaUsed), of(s.QuotaOwed), s.QuotaResetAt
	}
	return r
}

// isQuota reports whether a verdict is about the quota, not the minute.
func isQuota(v limit.Verdict) bool { return v == limit.QuotaExceeded || v == limit.NeverFitsQuota }

// neverFits reports whether waiting can't change a verdict.
func neverFits(v limit.Verdict) bool { return v == limit.NeverFitsRate || v == limit.NeverFitsQuota }

// statusOf returns the status of a call that a limit refused.
func statusOf(v limit.Verdict) int {
	switch {
	case neverFits(v):
		return http.StatusRequestEntityTooLarge
	case v == limit.QuotaExceeded:
		return http.StatusForbidden
	}
	return http.StatusTooManyRequests
}

// rank orders refusals by how little waiting helps. The answer has the status of the
// first.
func rank(status int) int {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return 2
	case http.StatusForbidden:
		return 1
	}
	return 0
}

// limitProblem answers a call that limits refused: with the status of the one for which
// waiting helps least, the longest wait, and a list of all of them. A limit in shadow is
// among them only if no other refused.
func (c *call) limitProblem(limits []callLimit, decisions []limit.Decision) *problem {
	var p *problem
	var unit limit.Unit // of the limit that p is about
	shadow := c.hold.reservations != nil
	for i, d := range decisions {
		l := &limits[i]
		if d.Verdict == limit.Granted || l.Shadow && !shadow {
			continue
		}
		q := decisionProblem(l.Unit, d)
		if p == nil {
			p, unit = q, l.Unit
		} else {
			wait := max(p.retry, q.retry)
			if r, s := rank(q.status), rank(p.status); r > s || r == s && q.retry > p.retry {
				q.details, q.refusedBy = p.details, p.refusedBy
				p, unit = q, l.Unit
			}
			p.retry = wait
		}
		p.details, p.refusedBy = append(p.details, limitDetailOf(l, d)), append(p.refusedBy, telemetryRefusal(l, d))
	}
	if p.status == http.StatusRequestEntityTooLarge {
		p.retry = 0 // waiting is useless
		p.message += c.howToFit(unit)
	}
	return p
}

// howToFit says what would make a call fit a limit of a unit that never has enough for it.
func (c *call) howToFit(unit limit.Unit) string {
	help, fewer := wordingOf(unit).tooSmallHelp, c.route.operation.Fewer
	switch {
	case unit == limit.CompletionTokens:
		return fmt.Sprintf(" Ask for fewer tokens with %s.", fewer)
	case unit == limit.PromptTokens || c.request == nil || c.caps().Largest == 0 || !c.reservesAll():
		return " " + help
	}
	return fmt.Sprintf(" %s Or ask for fewer tokens with %s: they are reserved too.", help, fewer)
}

// telemetryRefusal returns what telemetry reports of a limit that refused a call.
func telemetryRefusal(l *callLimit, d limit.Decision) telemetry.Refusal {
	by := telemetry.Refusal{Counter: l.counter()}
	if isQuota(d.Verdict) {
		by.QuotaPeriod = string(d.Standing.Period)
	}
	return by
}

// namesOf returns the full names of limits that refused a call.
func namesOf(limits []telemetry.Refusal) []string {
	names := make([]string, len(limits))
	for i, by := range limits {
		names[i] = by.Limit
	}
	return names
}

// limitConcurrent is the name of the limit on concurrent calls, in the ledger.
const limitConcurrent = "maxConcurrent"

// Codes of refusals by a limit.
const (
	codeTokenLimit    = "token_limit_exceeded"
	codeTokenQuota    = "token_quota_exceeded"
	codeTokenTooSmall = "token_limit_too_small"
	codeCallLimit     = "call_limit_exceeded"
	codeCallQuota     = "call_quota_exceeded"
	codeCostLimit     = "cost_limit_exceeded"
	codeCostQuota     = "cost_quota_exceeded"
	codeCostTooSmall  = "cost_limit_too_small"
)

// A wording holds the codes and texts of refusals by limits of one unit.
type wording struct {
	kind                       string // OpenAI's error type
	limitCode, limit           string
	quotaCode, quota           string
	tooSmallCode, tooSmallHelp string
}

var (
	// tokenWording is that of APIM's llm-token-limit policy.
	tokenWording = wording{kindTokens, codeTokenLimit, "Token limit", codeTokenQuota, "Token quota", codeTokenTooSmall, "Send a shorter prompt; images count too."}
	// No limit in calls is too small for a call.
	callWording = wording{kindCalls, codeCallLimit, "Call limit", codeCallQuota, "Call quota", "", ""}
	costWording = wording{kindTokens, codeCostLimit, "Cost limit", codeCostQuota, "Budget", codeCostTooSmall, "Send a shorter prompt, ask for fewer tokens, or use a cheaper model."}
)

// wordingOf returns the wording for a unit.
func wordingOf(unit limit.Unit) *wording {
	switch unit {
	case limit.Calls:
		return &callWording
	case limit.Cost:
		return &costWording
	}
	return &tokenWording
}

// decisionProblem answers a call that a limit of a unit refused.
func decisionProblem(unit limit.Unit, d limit.Decision) *problem {
	w, seconds := wordingOf(unit), wholeSeconds(d.RetryAfter)
	p := &problem{kind: w.kind, retry: d.RetryAfter, status: statusOf(d.Verdict)}
	switch p.status {
	case http.StatusForbidden:
		p.code = w.quotaCode
		// API Management says "Try again in", which makes some agents wait for hours.
		p.message = fmt.Sprintf("%s is exceeded. It is renewed in %s.", w.quota, spellDuration(seconds))
	case http.StatusRequestEntityTooLarge:
		p.code = w.tooSmallCode
		p.message = fmt.Sprintf("The call needs %s, %s more than the limit ever has.", spellAmount(unit, d.Min), spellAmount(unit, d.Min-d.Max))
	default:
		p.code = w.limitCode
		p.message = fmt.Sprintf("%s is exceeded. Try again in %s.", w.limit, plural(int64(seconds/time.Second), "second"))
	}
	return p
}

// spellAmount writes an amount with its unit, "2 tokens", and money as a decimal alone.
func spellAmount(unit limit.Unit, n int64) string {
	switch unit {
	case limit.Cost:
		return limit.FormatMoney(n)
	case limit.Calls:
		return plural(n, "call")
	case limit.PromptTokens:
		return plural(n, "prompt token")
	case limit.CompletionTokens:
		return plural(n, "completion token")
	}
	return plural(n, "token")
}
