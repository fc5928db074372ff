package apim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tollgate/handler/config"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// A tokenLimit is an llm-token-limit.
type tokenLimit struct {
	subscription.Limits
	counts string // what it counts by: a counter key's template, or an expression without one
	branch string
}

// tokenLimit carries one llm-token-limit over. A document's second one adds what the first
// doesn't limit, if both count by the same key.
func (r *reading) tokenLimit(e element) {
	r.found = true
	before := len(r.Lost)
	l := tokenLimit{branch: e.branch}
	l.TokensPerMinute = r.tokens(e, "tokens-per-minute")
	if l.TokenQuota = r.tokens(e, "token-quota"); l.TokenQuota > 0 {
		l.TokenQuota, l.TokenQuotaPeriod = r.period(e, l.TokenQuota)
	}
	if l.TokensPerMinute == 0 && l.TokenQuota == 0 {
		r.lose("%s %s%s: its number of tokens is unknown", e.name, described(e), headersOf(e))
		return
	}
	l.CounterKey, l.counts = r.counterKey(e)
	l.Reserve = r.reserve(e)
	if r.first == nil {
		r.first, r.Limits = &l, l.Limits
		if l.branch != "" {
			r.lose("%s %s: its condition; here it applies to every call", e.name, described(e))
		}
		r.attributes(e)
		return
	}
	why := r.apart(l)
	if why != "" {
		r.Lost = r.Lost[:before] // all of it is lost
		r.lose("a second %s %s%s: %s", e.name, described(e), headersOf(e), why)
		return
	}
	r.Limits.TokensPerMinute = max(r.Limits.TokensPerMinute, l.TokensPerMinute)
	if l.TokenQuota > 0 {
		r.Limits.TokenQuota, r.Limits.TokenQuotaPeriod = l.TokenQuota, l.TokenQuotaPeriod
	}
	if l.Reserve != r.Limits.Reserve {
		r.Limits.Reserve = subscription.ReservePrompt
		r.lose("estimate-prompt-tokens is true for one limit and false for another: both reserve the prompt's tokens (reserve: prompt)")
	}
	r.attributes(e)
}

// apart returns why a limit can't be added to the first one's tier; empty if it can.
func (r *reading) apart(l tokenLimit) string {
	switch {
	case l.branch != r.first.branch:
		return "it has another condition than the first: create a tier of its own for it"
	case l.counts != r.first.counts:
		return fmt.Sprintf("it counts by %s, the first by %s: a tier has one counterKey, so create a tier of its own for it", l.counts, r.first.counts)
	case l.TokensPerMinute > 0 && r.Limits.TokensPerMinute > 0 || l.TokenQuota > 0 && r.Limits.TokenQuota > 0:
		return "a tier has one tokensPerMinute and one tokenQuota, and has one of the same kind already"
	}
	return ""
}

// described returns what a limit allows, for the message that it is lost.
func described(e element) string {
	parts := []string{"of"}
	if n := e.attributes["tokens-per-minute"]; n != "" {
		parts = append(parts, n+" tokens a minute")
	}
	if n := e.attributes["token-quota"]; n != "" {
		parts = append(parts, n+" tokens "+e.attributes["token-quota-period"])
	}
	if len(parts) == 1 {
		return "of no amount"
	}
	return parts[0] + " " + strings.Join(parts[1:], " and ")
}

// headersOf returns the headers of a lost limit, for the message.
func headersOf(e element) string {
	var names []string
	for _, h := range headers {
		if value := e.attributes[h.attribute]; value != "" {
			names = append(names, value)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", with its headers " + strings.Join(names, ", ")
}

// tokens returns a limit's number of tokens; 0 if it is missing or unknown.
func (p *Policy) tokens(e element, name string) int64 {
	text := strings.TrimSpace(e.attributes[name])
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	limits := subscription.Limits{TokensPerMinute: n}
	if err != nil || n <= 0 || limits.Validate() != nil {
		p.lose("%s is %s, which is not a number of tokens: set it in the tier, or in subscriptions' overrides", name, text)
		return 0
	}
	return n
}

// period returns a quota with its period, or 0 if the period is unknown.
func (p *Policy) period(e element, quota int64) (int64, limit.Period) {
	text := strings.TrimSpace(e.attributes["token-quota-period"])
	for _, period := range []limit.Period{limit.Hourly, limit.Daily, limit.Weekly, limit.Monthly, limit.Yearly} {
		if strings.EqualFold(text, string(period)) {
			return quota, period
		}
	}
	p.lose("token-quota-period is %s, which is not a period: set tokenQuota and tokenQuotaPeriod in the tier", quotedIfEmpty(text))
	return 0, ""
}

func quotedIfEmpty(text string) string {
	if text == "" {
		return "missing"
	}
	return text
}

// reserve returns what calls reserve.
func (p *Policy) reserve(e element) subscription.Reserve {
	switch strings.ToLower(strings.TrimSpace(e.attributes["estimate-prompt-tokens"])) {
	case "false":
		return subscription.ReserveNone
	case "true", "":
	default:
		p.lose("estimate-prompt-tokens is an expression: every call reserves its prompt's tokens (reserve: prompt)")
	}
	return subscription.ReservePrompt
}

// dropUseless drops a limit that can never be reached before the other, which a tier
// can't have.
func (r *reading) dropUseless() {
	l := r.Limits
	tier := subscription.Tier{ID: "tier", Limits: l}
	if l.TokensPerMinute == 0 || l.TokenQuota == 0 || tier.Validate() == nil {
		return
	}
	if l.TokensPerMinute > l.TokenQuota {
		r.lose("tokens-per-minute %d: the token-quota %d is always used up first", l.TokensPerMinute, l.TokenQuota)
		r.Limits.TokensPerMinute = 0
		return
	}
	r.lose("token-quota %d %s: tokens-per-minute %d never allows so many", l.TokenQuota, l.TokenQuotaPeriod, l.TokensPerMinute)
	r.Limits.TokenQuota, r.Limits.TokenQuotaPeriod = 0, ""
}

// headers lists API Management's attributes for header names with Tollgate's settings. If
// two use the same name, the first one gets it.
var headers = []struct{ attribute, setting string }{
	{"remaining-tokens-header-name", "REMAINING_TOKENS_HEADER"},
	{"tokens-consumed-header-name", "TOKENS_CONSUMED_HEADER"},
	{"remaining-quota-tokens-header-name", "REMAINING_QUOTA_TOKENS_HEADER"},
	{"retry-after-header-name", "RETRY_AFTER_HEADER"},
}

// carried lists the attributes that tokenLimit reads.
var carried = []string{"counter-key", "tokens-per-minute", "token-quota", "token-quota-period", "estimate-prompt-tokens", "id"}

// attributes records the headers that a limit names, and reports attributes without a
// counterpart as lost.
func (r *reading) attributes(e element) {
	if r.named == nil {
		r.named = make(map[string]string)
	}
	for _, name := range slices.Sorted(maps.Keys(e.attributes)) {
		value := e.attributes[name]
		isHeader := slices.ContainsFunc(headers, func(h struct{ attribute, setting string }) bool { return h.attribute == name })
		switch other := r.named[name]; {
		case slices.Contains(carried, name):
		case isHeader && other != "" && !strings.EqualFold(other, value):
			r.lose("%s is %s for one limit and %s for another: the first is kept", name, other, value)
		case isHeader && other == "":
			r.named[name] = value
		case isHeader:
		case strings.HasSuffix(name, "-variable-name"):
			r.lose("%s: there are no policy variables; the headers say the same", name)
		default:
			r.lose("%s: it has no counterpart", name)
		}
	}
}

// headers sets the gateway's settings for header names.
func (r *reading) headers() {
	asked := make(map[string]string)
	for _, h := range headers {
		value := strings.TrimSpace(r.named[h.attribute])
		switch {
		case value == "":
		case computed(value):
			r.lose("%s is %s, which is computed: set %s to its value", h.attribute, value, h.setting)
		default:
			asked[h.setting] = value
		}
	}
	if checkHeaders(asked) == nil { // checked together, since names may be swapped
		maps.Copy(r.Settings, asked)
		return
	}
	for _, h := range headers {
		value, ok := asked[h.setting]
		if !ok {
			continue
		}
		r.Settings[h.setting] = value
		if err := checkHeaders(r.Settings); err != nil {
			delete(r.Settings, h.setting)
			r.lose("%s: the gateway refuses this name: %s", h.attribute, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
}

func checkHeaders(settings map[string]string) error {
	return config.CheckHeaderNames(func(name string) string { return settings[name] })
}
