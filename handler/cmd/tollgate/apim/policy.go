// Package apim converts API Management's exported policies and subscriptions to a tier,
// settings and subscriptions of Tollgate, and lists what is lost.
//
// A policy is XML, but exports may have unescaped quotes and angle brackets within C#
// expressions. So these are escaped first; then the XML is read, and each element that has a
// counterpart is converted. No expression is evaluated: a few that have a counterpart are
// recognized by their text.
//
// Start reading at ReadPolicy and ReadSubscriptions.
package apim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"tollgate/handler/subscription"
)

// A Policy is a converted policy document.
type Policy struct {
	// Rules are its limits and how calls are decided, as a tier's.
	Rules subscription.Rules `json:"rules"`
	// Settings are the gateway's settings for the same header and metric names.
	Settings map[string]string `json:"settings,omitempty"`
	// Lost lists what could not be converted, with the fix.
	Lost []string `json:"lost"`
}

// An element is one XML element of a policy, with attributes by their local names.
type element struct {
	name       string
	attributes map[string]string
	parent     string // the name of the element around it
	branch     string // identifies the condition around it; empty: none
}

// ReadPolicy reads a policy document or fragment in either export format: with the quotes
// of expressions escaped, or not.
// Source: https://learn.microsoft.com/azure/api-management/llm-token-limit-policy
func ReadPolicy(text []byte) (Policy, error) {
	text, err := withoutByteOrderMark(text)
	if err != nil {
		return Policy{}, err
	}
	elements, err := parse(escapeExpressions(policyText(text)))
	if err != nil {
		return Policy{}, fmt.Errorf("the policy is not XML: %w", err)
	}
	r := reading{Policy: Policy{Settings: make(map[string]string), Lost: []string{}}}
	for _, e := range elements {
		r.element(e)
	}
	if !r.found {
		return r.Policy, errors.New("the policy has no llm-token-limit, rate-limit or quota: name the document that has one")
	}
	r.headers()
	r.metrics()
	r.finishLimits()
	r.Lost = withoutRepetitions(r.Lost)
	r.Rules.Normalize()
	return r.Policy, nil
}

// A reading is the state of ReadPolicy.
type reading struct {
	Policy
	found      bool              // there is a limit, converted or not
	limits     []policyLimit     // those that were converted
	branch     string            // the innermost condition around one of them
	named      map[string]string // headers of the converted limits, by attribute
	namespace  string            // the metrics' namespace; empty: no metrics are emitted
	dimensions []string
}

// element converts one element, or reports it as lost.
func (r *reading) element(e element) {
	switch {
	case slices.Contains(limitPolicies, e.name):
		r.limit(e)
		return
	case slices.Contains(metricPolicies, e.name):
		r.emitMetric(e)
		return
	case e.parent == "rate-limit" || e.parent == "quota":
		r.lose("%s's own calls for the %s %s: a limit can't be of one; limit its models instead (models)", e.parent, e.name, cmp.Or(e.attributes["name"], e.attributes["id"]))
		return
	}
	switch e.name {
	case "dimension":
		r.dimension(e)
	case "include-fragment":
		r.lose("include-fragment %s: the fragment was not read; if it has limits, import it by itself", e.attributes["fragment-id"])
	case "choose", "when", "otherwise":
		r.lose("%s: Tollgate has no conditions; a limit inside applies to every call", e.name)
	case "policies", "inbound", "backend", "outbound", "on-error", "base", "fragment", "forward-request":
	default:
		r.lose("%s: Tollgate has no such policy", e.name)
	}
}

// withoutRepetitions returns the texts without repetitions.
func withoutRepetitions(texts []string) []string {
	all := []string{}
	for _, text := range texts {
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// policyText returns the text of the policy, which the REST API's answer may contain.
func policyText(text []byte) string {
	var answer struct{ Properties struct{ Value string } }
	if err := json.Unmarshal(text, &answer); err == nil && answer.Properties.Value != "" {
		return answer.Properties.Value
	}
	return string(text)
}

// withoutByteOrderMark returns a file's text without its byte order mark.
func withoutByteOrderMark(text []byte) ([]byte, error) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil, errors.New("the file is UTF-16, as Windows PowerShell's > writes it: save it as UTF-8")
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), nil
}

// lose reports something that could not be converted.
func (p *Policy) lose(format string, args ...any) {
	p.Lost = append(p.Lost, fmt.Sprintf(format, args...))
}

// computed reports whether API Management replaces a value: it has an expression or a
// named value.
func computed(value string) bool {
	return expressionStart(value) >= 0 || strings.Contains(value, "{{")
}

// unprintable reports whether a text has characters that move a terminal's
// cursor or turn its text around.
func unprintable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) })
}

// parse returns a document's policies in order.
func parse(text string) ([]element, error) {
	decoder := xml.NewDecoder(strings.NewReader(text))
	decoder.CharsetReader = func(_ string, text io.Reader) (io.Reader, error) { return text, nil } // it is UTF-8, whatever it declares
	var all []element
	var open []string   // the open elements' names
	var within []string // and branches; empty for elements that are no branch
	foreign := 0        // number of open elements within a policy without a counterpart
	for n := 0; ; n++ {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			e := element{name: t.Name.Local, attributes: make(map[string]string), branch: strings.Join(within, "")}
			if len(open) > 0 {
				e.parent = open[len(open)-1]
			}
			for _, a := range t.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			if foreign == 0 || isConverted(e.name) || isConverted(e.parent) {
				all = append(all, e)
			}
			if foreign > 0 || !hasPolicies(e.name) {
				foreign++
			}
			branch := ""
			if e.name == "when" || e.name == "otherwise" {
				branch = fmt.Sprintf("/%d", n)
			}
			open, within = append(open, e.name), append(within, branch)
		case xml.EndElement:
			open, within = open[:len(open)-1], within[:len(within)-1]
			foreign = max(0, foreign-1)
		}
	}
}

// limitPolicies holds the policies that limit calls or tokens.
var limitPolicies = []string{"llm-token-limit", "azure-openai-token-limit", "rate-limit", "rate-limit-by-key", "quota", "quota-by-key"}

// metricPolicies holds the policies that emit metrics of tokens.
var metricPolicies = []string{"llm-emit-token-metric", "azure-openai-emit-token-metric"}

// hasPolicies reports whether an element's children are policies, or are read like policies.
func hasPolicies(name string) bool {
	return isConverted(name) || slices.Contains([]string{"policies", "inbound", "backend", "outbound", "on-error", "fragment", "choose", "when", "otherwise",
		"retry", "wait", "limit-concurrency"}, name)
}

// isConverted reports whether an element is converted even within a policy that has no
// counterpart.
func isConverted(name string) bool {
	return slices.Contains(limitPolicies, name) || slices.Contains(metricPolicies, name)
}
