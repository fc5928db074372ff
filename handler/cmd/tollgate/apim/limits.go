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

// tokenLimit is an llm-token-limit as it was read.
type tokenLimit struct {
	subscription.Limits
	counts string // what it counts by: a counter key's template, or the expression that has none
	branch string
}

// tokenLimit carries one llm-token-limit over. A second one of a document adds
// what the first doesn't limit, if both count by the same.
func (r *reading) tokenLimit(e element) {
	r.found = true
	before := len(r.Lost)
	l := tokenLimit{branch: e.branch}
	l.TokensPerMinute = r.tokens(e, "tokens-per-minute")
	if l.TokenQuota = r.tokens(e, "token-quota"); l.TokenQuota > 0 {
		l.TokenQuota, l.TokenQuotaPeriod = r.period(e, l.TokenQuota)
	}
	if l.TokensPerMinute == 0 && l.TokenQuota == 0 {
		r.lose("%s %s%s: it has no number of tokens that is known", e.name, described(e), headersOf(e))
		return
	}
	l.CounterKey, l.counts = r.counterKey(e)
	l.Reserve = r.reserve(e)
	if r.first == nil {
		r.first, r.Limits = &l, l.Limits
		if l.branch != "" {
			r.lose("%s %s: its condition; here it holds for every call", e.name, described(e))
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

// apart says why a limit can't be part of the tier that the first one made;
// empty: it can.
func (r *reading) apart(l tokenLimit) string {
	switch {
	case l.branch != r.first.branch:
		return "it stands under another condition than the first: make a tier of its own for it"
	case l.counts != r.first.counts:
		return fmt.Sprintf("it counts by %s, the first by %s: a tier has one counterKey, so make a tier of its own for it", l.counts, r.first.counts)
	case l.TokensPerMinute > 0 && r.Limits.TokensPerMinute > 0 || l.TokenQuota > 0 && r.Limits.TokenQuota > 0:
		return "a tier has one tokensPerMinute and one tokenQuota, and has one of the same kind already"
	}
	return ""
}

// described is what a limit allows, for the line that says that it is lost.
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

// headersOf are the headers that a lost limit names.
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

// tokens is a limit's number; 0 where there is none, or none that is known.
func (p *Policy) tokens(e element, name string) int64 {
	text := strings.TrimSpace(e.attributes[name])
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	limits := subscription.Limits{TokensPerMinute: n}
	if err != nil || n <= 0 || limits.Validate() != nil {
		p.lose("%s is %s, which is no number of tokens: set the tier's own, or subscriptions' overrides", name, text)
		return 0
	}
	return n
}

// period is a quota with its period, or none where that isn't known.
func (p *Policy) period(e element, quota int64) (int64, limit.Period) {
	text := strings.TrimSpace(e.attributes["token-quota-period"])
	for _, period := range []limit.Period{limit.Hourly, limit.Daily, limit.Weekly, limit.Monthly, limit.Yearly} {
		if strings.EqualFold(text, string(period)) {
			return quota, period
		}
	}
	p.lose("token-quota-period is %s, which is no period: set the tier's own tokenQuota and tokenQuotaPeriod", quotedIfEmpty(text))
	return 0, ""
}

func quotedIfEmpty(text string) string {
	if text == "" {
		return "missing"
	}
	return text
}

// reserve is what calls reserve.
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

// useless leaves out a limit that the other always comes before, which a tier
// can't have.
func (r *reading) useless() {
	l := r.Limits
	tier := subscription.Tier{ID: "tier", Limits: l}
	if l.TokensPerMinute == 0 || l.TokenQuota == 0 || tier.Validate() == nil {
		return
	}
	if l.TokensPerMinute > l.TokenQuota {
		r.lose("tokens-per-minute %d: the token-quota %d is used up before", l.TokensPerMinute, l.TokenQuota)
		r.Limits.TokensPerMinute = 0
		return
	}
	r.lose("token-quota %d %s: tokens-per-minute %d never lets so many pass", l.TokenQuota, l.TokenQuotaPeriod, l.TokensPerMinute)
	r.Limits.TokenQuota, r.Limits.TokenQuotaPeriod = 0, ""
}

// headers are API Management's attributes that name headers, and Tollgate's
// settings, in the order in which a name is given.
var headers = []struct{ attribute, setting string }{
	{"remaining-tokens-header-name", "REMAINING_TOKENS_HEADER"},
	{"tokens-consumed-header-name", "TOKENS_CONSUMED_HEADER"},
	{"remaining-quota-tokens-header-name", "REMAINING_QUOTA_TOKENS_HEADER"},
	{"retry-after-header-name", "RETRY_AFTER_HEADER"},
}

// carried are the attributes that tokenLimit reads.
var carried = []string{"counter-key", "tokens-per-minute", "token-quota", "token-quota-period", "estimate-prompt-tokens", "id"}

// attributes notes the headers that a limit names, and loses what there is no
// place for.
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

// headers sets the names that the gateway takes.
func (r *reading) headers() {
	asked := make(map[string]string)
	for _, h := range headers {
		value := strings.TrimSpace(r.named[h.attribute])
		switch {
		case value == "":
		case computed(value):
			r.lose("%s is %s, which stands for another text: set %s to that", h.attribute, value, h.setting)
		default:
			asked[h.setting] = value
		}
	}
	if checkHeaders(asked) == nil { // names may have changed places
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
			r.lose("%s: the gateway refuses that name: %s", h.attribute, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
}

func checkHeaders(settings map[string]string) error {
	return config.CheckHeaderNames(func(name string) string { return settings[name] })
}
