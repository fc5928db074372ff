package apim

import (
	"regexp"
	"strings"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// counterparts lists the expressions that have a counterpart in a counter key.
var counterparts = []struct {
	expression *regexp.Regexp
	part       string
	differs    string // how the counterpart counts differently; empty: it doesn't
}{
	{regexp.MustCompile(`^context\.Subscription\.(Id|Name)$`), "{subscription}", ""},
	{regexp.MustCompile(`^context\.Subscription\.Key$`), "{subscription}", byKey},
	{regexp.MustCompile(`^context\.Request\.IpAddress$`), "{client-ip}", ""},
	{regexp.MustCompile(`^context\.Request\.Headers\.GetValueOrDefault\("(?i:api-key|x-api-key|Ocp-Apim-Subscription-Key|Authorization)"(?:,\s*"[^"\\]*")?\)$`), "{subscription}", byKey},
	{regexp.MustCompile(`^context\.Request\.Headers\.GetValueOrDefault\("([A-Za-z0-9-]+)"(?:,\s*"[^"\\]*")?\)$`), "{header:$1}", ""},
	{regexp.MustCompile(`^context\.Request\.MatchedParameters(\["deployment-id"\]|\.GetValueOrDefault\("deployment-id"(,\s*"[^"\\]*")?\))$`), "{model}", ""},
}

const byKey = "here a subscription's two keys count together"

// counterKey returns the template for an element's counter-key, and what the policy counts by:
// that template or, if it has no counterpart, the counter-key itself.
func (p *Policy) counterKey(e element) (template subscription.CounterKey, counts string) {
	const fallback = subscription.DefaultCounterKey
	text := strings.TrimSpace(e.attributes["counter-key"])
	if !computed(text) {
		if text == "" {
			p.lose("there is no counter-key: each subscription is counted by itself ({subscription})")
			return fallback, string(fallback)
		}
		p.lose("counter-key is %q, one counter for all: each subscription is counted by itself ({subscription}); to count several together, give the limit to a group", text)
		return fallback, text
	}
	if strings.Contains(text, "{{") {
		p.lose("counter-key is %s, a named value: each subscription is counted by itself ({subscription}); see counterKey in the docs for other templates", text)
		return fallback, text
	}
	template, differs := counterTemplate(text)
	if template == "" {
		p.lose("counter-key %s has no counterpart: each subscription is counted by itself ({subscription}); see counterKey in the docs for other templates", text)
		return fallback, text
	}
	if differs != "" {
		p.lose("counter-key %s: %s", text, differs)
	}
	return template, string(template)
}

// counterTemplate returns the counterpart of an expression, empty if there is none.
func counterTemplate(text string) (template subscription.CounterKey, differs string) {
	if !isExpression(text) || text[1] != '(' {
		return "", ""
	}
	for _, term := range splitTerms(text[2:len(text)-1], "+") {
		part, otherwise := counterPart(term)
		if part == "" {
			return "", ""
		}
		template += subscription.CounterKey(part)
		if otherwise != "" {
			differs = otherwise
		}
	}
	if !valid(subscription.Limit{Unit: limit.Tokens, PerMinute: 1, CounterKey: template}) {
		return "", ""
	}
	return template, differs
}

// counterPart returns the counterpart of a term: a template's part, or literal text.
func counterPart(term string) (part, differs string) {
	if text, ok := literalText(term); ok {
		return text, ""
	}
	term = reduced(term)
	for _, k := range counterparts {
		if k.expression.MatchString(term) {
			return k.expression.ReplaceAllString(term, k.part), k.differs
		}
	}
	return "", ""
}

// literalText returns the text of a string literal without escapes or braces.
func literalText(term string) (string, bool) {
	if length, ok := literalLength(term+" ", 0); !ok || length != len(term) || term[0] != '"' {
		return "", false
	}
	text := term[1 : len(term)-1]
	return text, text != "" && !strings.ContainsAny(text, `\{}"`)
}

// reduced returns a term without the parts that don't change its value for a call with a
// subscription: a cast to string, ?., ToString() and a ?? default.
func reduced(term string) string {
	if parts := splitTerms(term, "??"); len(parts) == 2 && strings.HasPrefix(parts[1], `"`) {
		term = parts[0]
	}
	term = strings.TrimSpace(strings.TrimPrefix(term, "(string)"))
	term = strings.TrimSuffix(term, ".ToString()")
	return strings.ReplaceAll(term, "?.", ".")
}
