package apim

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// A policyLimit is a converted limit.
type policyLimit struct {
	subscription.Limit
	counts string // what the policy counts by: a counter key's template, or an expression without one
}

// limit converts one limiting policy.
func (r *reading) limit(e element) {
	r.found = true
	switch {
	case !below(e.branch, r.branch) && !below(r.branch, e.branch):
		r.loseLimit(e, "it has another condition than a limit before it: create a tier of its own for it")
	case strings.HasSuffix(e.name, "-token-limit"):
		r.tokenLimit(e)
	default:
		r.callLimit(e)
	}
}

// below reports whether one branch is another, or within it.
func below(branch, other string) bool {
	return branch == other || strings.HasPrefix(branch, other+"/")
}

// loseLimit reports a limit as lost.
func (r *reading) loseLimit(e element, why string) {
	r.lose("%s %s%s: %s", e.name, described(e), headersOf(e), why)
}

// tokenLimit converts an llm-token-limit.
func (r *reading) tokenLimit(e element) {
	l := subscription.Limit{Unit: limit.Tokens, PerMinute: r.amount(e, "tokens-per-minute", limit.Tokens)}
	if l.Quota = r.amount(e, "token-quota", limit.Tokens); l.Quota > 0 {
		l.Quota, l.Period = r.period(e, l.Quota)
	}
	if l.PerMinute == 0 && l.Quota == 0 {
		r.loseLimit(e, "its number of tokens is unknown")
		return
	}
	key, counts := r.counterKey(e)
	l.CounterKey = key
	r.add(e, policyLimit{l, counts})
	r.reserve(e)
}

// add adds a limit to the tier's, or joins it with one of them, and converts the other
// attributes of its element.
func (r *reading) add(e element, l policyLimit) {
	if e.branch != "" {
		r.lose("%s %s: its condition; here it applies to every call", e.name, described(e))
	}
	r.branch = max(r.branch, e.branch) // one is within the other, so it is the longer one
	r.attributes(e)
	for i := range r.limits {
		if joined, ok := r.limits[i].join(l); ok {
			r.limits[i] = joined
			return
		}
	}
	r.limits = append(r.limits, l)
}

// join returns one limit for two. ok is false unless both count the same unit by the same key,
// and have the same amounts for the windows that both have.
func (l policyLimit) join(other policyLimit) (joined policyLimit, ok bool) {
	if l.Unit != other.Unit || l.counts != other.counts ||
		l.PerMinute > 0 && other.PerMinute > 0 && l.PerMinute != other.PerMinute ||
		l.Quota > 0 && other.Quota > 0 && (l.Quota != other.Quota || l.Period != other.Period) {
		return l, false
	}
	l.PerMinute = max(l.PerMinute, other.PerMinute)
	if other.Quota > 0 {
		l.Quota, l.Period = other.Quota, other.Period
	}
	return l, true
}

// finishLimits sets the tier's limits from the converted ones, each with a unique name.
func (r *reading) finishLimits() {
	numbers := make(map[limit.Unit]int)
	for _, carried := range r.limits {
		l := r.withoutUnreachableWindow(carried.Limit)
		switch {
		case slices.ContainsFunc(r.Rules.Limits, func(other subscription.Limit) bool { return same(l, other) }):
			continue
		case len(r.Rules.Limits) == subscription.MaxLimits:
			r.lose("%s: a tier has %d limits at most: give it to a group", amounts(l), subscription.MaxLimits)
			continue
		}
		l.Name = string(l.Unit)
		if numbers[l.Unit]++; numbers[l.Unit] > 1 {
			l.Name = fmt.Sprintf("%s-%d", l.Unit, numbers[l.Unit])
		}
		r.Rules.Limits = append(r.Rules.Limits, l)
	}
}

// same reports whether two limits differ by name only.
func same(a, b subscription.Limit) bool {
	a.Name, b.Name = "", ""
	return reflect.DeepEqual(a, b)
}

// withoutUnreachableWindow returns a limit without the window that can never be reached before
// the other, since a tier's limit can't have such a window.
func (r *reading) withoutUnreachableWindow(l subscription.Limit) subscription.Limit {
	if valid(l) {
		return l
	}
	if l.PerMinute > l.Quota {
		r.lose("%d %s a minute: the quota of %d %s is always used up first", l.PerMinute, l.Unit, l.Quota, l.Period)
		l.PerMinute = 0
		return l
	}
	r.lose("the quota of %d %s %s: %d a minute never allows so many", l.Quota, l.Unit, l.Period, l.PerMinute)
	l.Quota, l.Period = 0, ""
	return l
}

// valid reports whether a tier can have a limit, whatever its name.
func valid(l subscription.Limit) bool {
	l.Name = string(l.Unit)
	tier := subscription.Tier{ID: "tier", Rules: subscription.Rules{Limits: []subscription.Limit{l}}}
	return tier.Validate() == nil
}

// described returns what an element allows, for a message that something of it is lost.
func described(e element) string {
	var parts []string
	if n := e.attributes["tokens-per-minute"]; n != "" {
		parts = append(parts, n+" tokens a minute")
	}
	if n := e.attributes["token-quota"]; n != "" {
		parts = append(parts, n+" tokens "+e.attributes["token-quota-period"])
	}
	if n := e.attributes["calls"]; n != "" {
		parts = append(parts, n+" calls "+renewal(e.attributes["renewal-period"]))
	}
	if len(parts) == 0 {
		return "of no amount"
	}
	return "of " + strings.Join(parts, " and ")
}

// renewal describes a renewal-period.
func renewal(period string) string {
	if _, err := strconv.Atoi(period); err == nil {
		return "in " + period + " s"
	}
	return "with the renewal-period " + strconv.Quote(period)
}

// amounts returns what a limit allows, for the message that it is lost.
func amounts(l subscription.Limit) string {
	var parts []string
	if l.PerMinute > 0 {
		parts = append(parts, fmt.Sprintf("%d %s a minute", l.PerMinute, l.Unit))
	}
	if l.Quota > 0 {
		parts = append(parts, fmt.Sprintf("%d %s %s", l.Quota, l.Unit, l.Period))
	}
	return fmt.Sprintf("the limit of %s by %s", strings.Join(parts, " and "), l.CounterKey)
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

// amount returns a limit's amount of a unit; 0 if it is missing or unknown.
func (p *Policy) amount(e element, name string, unit limit.Unit) int64 {
	text := strings.TrimSpace(e.attributes[name])
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || !valid(subscription.Limit{Unit: unit, PerMinute: n}) {
		p.lose("%s is %s, which is not a number of %s: set it in the tier, or in subscriptions' overrides", name, text, unit)
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
	p.lose("token-quota-period is %s, which is not a period: set the quota and its period in the tier", orMissing(text))
	return 0, ""
}

// orMissing returns a text, or "missing" if it is empty.
func orMissing(text string) string {
	if text == "" {
		return "missing"
	}
	return text
}

// reserve sets what the tier's calls reserve.
func (r *reading) reserve(e element) {
	reserve := subscription.ReservePrompt
	switch strings.ToLower(strings.TrimSpace(e.attributes["estimate-prompt-tokens"])) {
	case "false":
		reserve = subscription.ReserveNone
	case "true", "":
	default:
		r.lose("estimate-prompt-tokens is an expression: every call reserves its prompt's tokens (reserve: prompt)")
	}
	if r.Rules.Reserve != "" && r.Rules.Reserve != reserve {
		reserve = subscription.ReservePrompt
		r.lose("estimate-prompt-tokens is true for one limit and false for another: all reserve the prompt's tokens (reserve: prompt)")
	}
	r.Rules.Reserve = reserve
}
