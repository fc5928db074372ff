// Package apim reads what API Management exports: policies and subscriptions,
// and says which of them Tollgate can carry over, and how.
package apim

import (
	"bytes"
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
	branch     string // the condition that it stands under; empty: none
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
	r := reading{Policy: Policy{Settings: make(map[string]string), Lost: []string{}}}
	for _, e := range elements {
		r.element(e)
	}
	if !r.found {
		return r.Policy, errors.New("the policy has no llm-token-limit: name the document that has one")
	}
	r.headers()
	r.metrics()
	r.useless()
	r.Lost = distinct(r.Lost)
	r.Limits.Normalize()
	return r.Policy, nil
}

// reading is a policy that is being read.
type reading struct {
	Policy
	found      bool              // there is a limit, whatever became of it
	first      *tokenLimit       // the limit that the tier is made of
	named      map[string]string // the headers of limits that were carried over, by attribute
	namespace  string            // of the metrics; empty: none are emitted
	dimensions []string
}

// element carries one element over, or says that it is lost.
func (r *reading) element(e element) {
	switch e.name {
	case "llm-token-limit", "azure-openai-token-limit":
		r.tokenLimit(e)
	case "llm-emit-token-metric", "azure-openai-emit-token-metric":
		r.emitMetric(e)
	case "dimension":
		r.dimension(e)
	case "rate-limit", "rate-limit-by-key", "quota", "quota-by-key":
		r.lose("%s: Tollgate limits tokens, not calls", e.name)
	case "include-fragment":
		r.lose("include-fragment %s: what is in it was not read; import a fragment that limits tokens by itself", e.attributes["fragment-id"])
	case "choose", "when", "otherwise":
		r.lose("%s: there are no conditions here; a limit within holds for every call", e.name)
	case "policies", "inbound", "backend", "outbound", "on-error", "base", "fragment", "forward-request":
	default:
		r.lose("%s: Tollgate has no such policy", e.name)
	}
}

// distinct are the texts without those that came before.
func distinct(texts []string) []string {
	all := []string{}
	for _, text := range texts {
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
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

// computed says that API Management puts another text in a value's place: an
// expression's result, or that of a named value.
func computed(value string) bool {
	return beginning(value) >= 0 || strings.Contains(value, "{{")
}

// unprintable reports whether a text has characters that move a terminal's
// cursor or turn its text around.
func unprintable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) })
}

// parse lists a document's policies, in order.
func parse(text string) ([]element, error) {
	decoder := xml.NewDecoder(strings.NewReader(text))
	decoder.CharsetReader = func(_ string, text io.Reader) (io.Reader, error) { return text, nil } // whatever it says, it is UTF-8
	var all []element
	var within []string // branches that are open, one an element, empty for those that are none
	foreign := 0        // elements around that are of a policy without a counterpart
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
			for _, a := range t.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			if foreign == 0 || carriable(e.name) {
				all = append(all, e)
			}
			if foreign > 0 || !structural(e.name) {
				foreign++
			}
			branch := ""
			if e.name == "when" || e.name == "otherwise" {
				branch = fmt.Sprintf("/%d", n)
			}
			within = append(within, branch)
		case xml.EndElement:
			within = within[:len(within)-1]
			foreign = max(0, foreign-1)
		}
	}
}

// structural says that an element's children are policies of their own.
func structural(name string) bool {
	return slices.Contains([]string{"policies", "inbound", "backend", "outbound", "on-error", "fragment", "choose", "when", "otherwise",
		"retry", "wait", "limit-concurrency", "llm-emit-token-metric", "azure-openai-emit-token-metric"}, name)
}

// carriable says that an element is carried over even from within a policy
// that isn't.
func carriable(name string) bool {
	return slices.Contains([]string{"llm-token-limit", "azure-openai-token-limit", "llm-emit-token-metric", "azure-openai-emit-token-metric"}, name)
}
