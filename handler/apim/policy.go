// Package apim reads what API Management exports: policies and subscriptions,
// and says which of them Tollgate can carry over, and how.
package apim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tollgate/handler/subscription"
)

// Policy is what became of a policy document.
type Policy struct {
	// Limits are its token limits, as a tier has them.
	Limits subscription.Limits `json:"limits"`
	// Settings are what the gateway must be set to, to name headers and metrics alike.
	Settings map[string]string `json:"settings,omitempty"`
	// Lost are what couldn't be carried over, each with what to do about it.
	Lost []string `json:"lost"`
}

// element is one element of a policy, attributes by their local names.
type element struct {
	name       string
	attributes map[string]string
}

// ReadPolicy reads a policy document, or a fragment of one, as exported in
// either format: with expressions' quotes escaped, or as they are.
// Source: https://learn.microsoft.com/azure/api-management/llm-token-limit-policy
func ReadPolicy(text []byte) (Policy, error) {
	text, err := plain(text)
	if err != nil {
		return Policy{}, err
	}
	elements, err := parse(escapeExpressions(document(text)))
	if err != nil {
		return Policy{}, fmt.Errorf("the policy is not XML: %w", err)
	}
	p := Policy{Settings: make(map[string]string), Lost: []string{}}
	found := false
	for _, e := range elements {
		switch e.name {
		case "llm-token-limit", "azure-openai-token-limit":
			p.tokenLimit(e, !found)
			found = true
		case "llm-emit-token-metric", "azure-openai-emit-token-metric":
			p.setting("METRIC_NAMESPACE", "namespace", cmp.Or(e.attributes["namespace"], "API Management"))
		case "dimension":
			p.dimension(e)
		case "rate-limit", "rate-limit-by-key", "quota", "quota-by-key":
			p.lose("%s: Tollgate limits tokens, not calls", e.name)
		case "include-fragment":
			p.lose("include-fragment %s: what is in it was not read; import a fragment that limits tokens by itself", e.attributes["fragment-id"])
		case "choose", "when", "otherwise":
			p.lose("%s: there are no conditions here; a limit within holds for every call", e.name)
		case "policies", "inbound", "backend", "outbound", "on-error", "base", "fragment", "forward-request":
		default:
			p.lose("%s: Tollgate has no such policy", e.name)
		}
	}
	if !found {
		return p, errors.New("the policy has no llm-token-limit: name the document that has one")
	}
	p.Lost = slices.Compact(p.Lost)
	p.Limits.Normalize()
	return p, nil
}

// document is the policy itself, out of what the REST API answers with it.
func document(text []byte) string {
	var answer struct{ Properties struct{ Value string } }
	if err := json.Unmarshal(text, &answer); err == nil && answer.Properties.Value != "" {
		return answer.Properties.Value
	}
	return string(text)
}

// plain is a file's text without its byte order mark.
func plain(text []byte) ([]byte, error) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil, errors.New("the file is UTF-16, as Windows PowerShell's > writes it: save it as UTF-8")
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), nil
}

func (p *Policy) lose(format string, args ...any) {
	p.Lost = append(p.Lost, fmt.Sprintf(format, args...))
}

// tokenLimit carries one llm-token-limit over. A second one of a document adds
// what the first doesn't limit, if it counts alike.
func (p *Policy) tokenLimit(e element, first bool) {
	var l subscription.Limits
	l.TokensPerMinute = p.tokens(e, "tokens-per-minute")
	l.TokenQuota = p.tokens(e, "token-quota")
	if period := e.attributes["token-quota-period"]; l.TokenQuota > 0 && computed(period) {
		p.lose("token-quota-period is %s, which is no period: set the tier's own tokenQuota and tokenQuotaPeriod", period)
		l.TokenQuota = 0
	} else if l.TokenQuota > 0 {
		l.TokenQuotaPeriod = subscription.Period(period)
	}
	l.CounterKey = p.counterKey(e)
	l.Reserve = subscription.ReservePrompt
	switch strings.ToLower(e.attributes["estimate-prompt-tokens"]) {
	case "false":
		l.Reserve = subscription.ReserveNone
	case "true", "":
	default:
		p.lose("estimate-prompt-tokens is an expression: every call reserves its prompt's tokens (reserve: prompt)")
	}
	p.rest(e)
	switch {
	case first:
		p.Limits = l
	case l.CounterKey != p.Limits.CounterKey:
		p.lose("a second %s counts by %s, the first by %s: a tier has one counterKey, so make a tier of its own for it", e.name, l.CounterKey, p.Limits.CounterKey)
	case l.TokensPerMinute > 0 && p.Limits.TokensPerMinute > 0 || l.TokenQuota > 0 && p.Limits.TokenQuota > 0:
		p.lose("a second %s has a limit of the same kind: a tier has one tokensPerMinute and one tokenQuota", e.name)
	default:
		p.Limits.TokensPerMinute = max(p.Limits.TokensPerMinute, l.TokensPerMinute)
		if l.TokenQuota > 0 {
			p.Limits.TokenQuota, p.Limits.TokenQuotaPeriod = l.TokenQuota, l.TokenQuotaPeriod
		}
	}
}

// tokens is a limit's number; 0 where there is none, or none that is known.
func (p *Policy) tokens(e element, name string) int64 {
	text := strings.TrimSpace(e.attributes[name])
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		p.lose("%s is %s, which is no number of tokens: set the tier's own, or subscriptions' overrides", name, text)
		return 0
	}
	return n
}

// computed says that API Management puts another text in a value's place: an
// expression's result, or that of a named value.
func computed(value string) bool {
	return strings.HasPrefix(strings.TrimSpace(value), "@") || strings.Contains(value, "{{")
}

// setting is what an attribute says, if it says it itself.
func (p *Policy) setting(name, attribute, value string) {
	if computed(value) {
		p.lose("%s is %s, which stands for another text: set %s to that", attribute, value, name)
		return
	}
	p.Settings[name] = value
}

// headers are APIM's attributes that name headers, and Tollgate's settings.
var headers = map[string]string{
	"retry-after-header-name":            "RETRY_AFTER_HEADER",
	"remaining-tokens-header-name":       "REMAINING_TOKENS_HEADER",
	"remaining-quota-tokens-header-name": "REMAINING_QUOTA_TOKENS_HEADER",
	"tokens-consumed-header-name":        "TOKENS_CONSUMED_HEADER",
}

// carried are the attributes that tokenLimit reads.
var carried = []string{"counter-key", "tokens-per-minute", "token-quota", "token-quota-period", "estimate-prompt-tokens", "id"}

// rest names the headers, and loses what there is no place for.
func (p *Policy) rest(e element) {
	var names []string
	for name := range e.attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := e.attributes[name]
		setting := headers[name]
		switch {
		case slices.Contains(carried, name):
		case setting != "":
			p.setting(setting, name, value)
		case strings.HasSuffix(name, "-variable-name"):
			p.lose("%s: there are no policy variables; the headers say the same", name)
		default:
			p.lose("%s: it has no counterpart", name)
		}
	}
}

// known are the counter-key expressions that have a counterpart.
var known = []struct {
	expression *regexp.Regexp
	part       string
}{
	{regexp.MustCompile(`^context\.Subscription\??\.(Id|Key|Name)$`), "{subscription}"},
	{regexp.MustCompile(`^context\.Request\.IpAddress$`), "{client-ip}"},
	{regexp.MustCompile(`^context\.Request\.Headers\.GetValueOrDefault\("(?i:api-key|Ocp-Apim-Subscription-Key|Authorization)"(?:,\s*"[^"]*")?\)$`), "{subscription}"},
	{regexp.MustCompile(`^context\.Request\.Headers\.GetValueOrDefault\("([A-Za-z0-9-]+)"(?:,\s*"[^"]*")?\)$`), "{header:$1}"},
	{regexp.MustCompile(`^context\.Request\.MatchedParameters\["deployment-id"\]$`), "{model}"},
}

// counterKey is the template that counts as a counter-key does.
func (p *Policy) counterKey(e element) string {
	text := strings.TrimSpace(e.attributes["counter-key"])
	inner, isExpression := strings.CutPrefix(text, "@(")
	if !isExpression {
		switch {
		case strings.Contains(text, "{{"):
			p.lose("counter-key is %s, a named value: each subscription is counted by itself ({subscription}); see counterKey for what there is", text)
		case text != "":
			p.lose("counter-key is %q, one counter for all: each subscription is counted by itself ({subscription}); a tier's can share with a part such as {model}", text)
		}
		return "{subscription}"
	}
	var parts []string
	for term := range strings.SplitSeq(strings.TrimSuffix(inner, ")"), "+") {
		part := counterPart(strings.TrimSpace(term))
		if part == "" {
			p.lose("counter-key %s has no counterpart: each subscription is counted by itself ({subscription}); see counterKey for what there is", text)
			return "{subscription}"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "")
}

// counterPart is a term's counterpart: a part, or a text that stays.
func counterPart(term string) string {
	if text, err := strconv.Unquote(term); err == nil && !strings.ContainsAny(text, "{}") {
		return text
	}
	for _, k := range known {
		if k.expression.MatchString(term) {
			return k.expression.ReplaceAllString(term, k.part)
		}
	}
	return ""
}

// parse lists a document's elements.
func parse(text string) ([]element, error) {
	decoder := xml.NewDecoder(strings.NewReader(text))
	decoder.CharsetReader = func(_ string, text io.Reader) (io.Reader, error) { return text, nil } // whatever it says, it is UTF-8
	var all []element
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		e := element{name: start.Name.Local, attributes: make(map[string]string)}
		for _, a := range start.Attr {
			e.attributes[a.Name.Local] = a.Value
		}
		all = append(all, e)
		if !structural(e.name) {
			if err := decoder.Skip(); err != nil { // what is within belongs to it
				return nil, err
			}
		}
	}
}

// structural says that an element's children are policies of their own.
func structural(name string) bool {
	return slices.Contains([]string{"policies", "inbound", "backend", "outbound", "on-error", "fragment", "choose", "when", "otherwise",
		"llm-emit-token-metric", "azure-openai-emit-token-metric"}, name)
}

// builtIn are the expressions of which the metrics' dimensions of these names
// have the value anyway.
var builtIn = map[string]string{
	"API ID":          "context.Api.Id",
	"Operation ID":    "context.Operation.Id",
	"Product ID":      "context.Product.Id",
	"Subscription ID": "context.Subscription.Id",
	"Client IP":       "context.Request.IpAddress",
	"Model":           `context.Request.MatchedParameters["deployment-id"]`,
}

// mostDimensions is how many the setting takes.
const mostDimensions = 5

// dimension adds one of a metric policy's to the setting that has them all.
func (p *Policy) dimension(e element) {
	name, value := e.attributes["name"], strings.TrimSpace(e.attributes["value"])
	source, known := dimensionSource(name, value)
	var chosen []string
	if others := p.Settings["METRIC_DIMENSIONS"]; others != "" {
		chosen = strings.Split(others, ",")
	}
	switch {
	case !known:
		p.lose("the metrics' dimension %s: %s has no counterpart", name, value)
	case slices.ContainsFunc(chosen, func(other string) bool { return other == name || strings.HasPrefix(other, name+"=") }):
	case len(chosen) == mostDimensions:
		p.lose("the metrics' dimension %s: METRIC_DIMENSIONS has %d at most", name, mostDimensions)
	default:
		p.Settings["METRIC_DIMENSIONS"] = strings.Join(append(chosen, name+source), ",")
	}
}

// dimensionSource is what METRIC_DIMENSIONS has behind a dimension's name.
func dimensionSource(name, value string) (source string, known bool) {
	inner, isExpression := strings.CutPrefix(value, "@(")
	inner = strings.TrimSpace(strings.TrimSuffix(inner, ")"))
	switch {
	case value == "", isExpression && strings.ReplaceAll(inner, "?.", ".") == builtIn[name]:
		return "", true
	case isExpression && strings.HasPrefix(counterPart(inner), "{header:"):
		return "=" + counterPart(inner), true
	}
	return "=" + value, !computed(value) && !strings.ContainsAny(value, ",{}")
}
