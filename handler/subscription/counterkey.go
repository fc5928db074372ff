package subscription

import (
	"fmt"
	"iter"
	"regexp"
	"strings"

	"tollgate/handler/limit"
	"tollgate/handler/secret"
)

// A CounterKey is a template for the key of a counter. It contains the placeholders
// {subscription}, {group}, {client-ip}, {model} and {header:NAME}, joined by any text. Calls
// with equal keys share a counter. The empty template means DefaultCounterKey in a tier and
// GroupCounterKey in a group.
type CounterKey string

// The default templates.
const (
	// DefaultCounterKey gives each subscription its own counter.
	DefaultCounterKey CounterKey = "{" + CounterKey(SubscriptionPart) + "}"
	// GroupCounterKey gives all subscriptions below a group one counter.
	GroupCounterKey CounterKey = "{" + CounterKey(GroupPart) + "}"
)

// orDefault returns the template, or the owner's default if it is empty.
func (k CounterKey) orDefault(owner Owner) CounterKey {
	switch {
	case k != "":
		return k
	case owner.Group != "":
		return GroupCounterKey
	}
	return DefaultCounterKey
}

// A Placeholder is the text between the braces in a CounterKey, such as model or
// header:X-Team.
type Placeholder string

// The placeholders other than header:NAME.
const (
	SubscriptionPart Placeholder = "subscription"
	GroupPart        Placeholder = "group"
	ClientIPPart     Placeholder = "client-ip"
	ModelPart        Placeholder = "model"
)

const headerPart = "header:"

// Header returns the header's name, as spelled in the template. ok is false if the
// placeholder is not a header.
func (p Placeholder) Header() (name string, ok bool) {
	return strings.CutPrefix(string(p), headerPart)
}

// Kind returns the placeholder in lower case, as it appears in counter keys, so that
// different spellings of a header's name give the same counter.
func (p Placeholder) Kind() string { return strings.ToLower(string(p)) }

// A piece is either literal text of the template or a placeholder.
type piece struct {
	text          string // including unmatched braces
	placeholder   Placeholder
	isPlaceholder bool
}

// pieces splits the template. An unmatched brace is literal text.
func (k CounterKey) pieces() iter.Seq[piece] {
	return func(yield func(piece) bool) {
		rest, from := string(k), 0 // from: where to look for the next brace
		for rest != "" {
			open := strings.IndexByte(rest[from:], '{')
			if open < 0 {
				yield(piece{text: rest})
				return
			}
			open += from
			end := strings.IndexAny(rest[open+1:], "{}")
			if end < 0 || rest[open+1+end] == '{' {
				from = open + 1
				continue
			}
			if open > 0 && !yield(piece{text: rest[:open]}) {
				return
			}
			inner := rest[open+1 : open+1+end]
			rest, from = rest[open+2+end:], 0
			if !yield(piece{placeholder: Placeholder(inner), isPlaceholder: true}) {
				return
			}
		}
	}
}

// Placeholders yields the placeholders of the template in order.
func (k CounterKey) Placeholders() iter.Seq[Placeholder] {
	return func(yield func(Placeholder) bool) {
		for p := range k.pieces() {
			if p.isPlaceholder && !yield(p.placeholder) {
				return
			}
		}
	}
}

// Has reports whether the template contains the placeholder.
func (k CounterKey) Has(wanted Placeholder) bool {
	for p := range k.Placeholders() {
		if p == wanted {
			return true
		}
	}
	return false
}

// Headers returns the names of the headers in the template.
func (k CounterKey) Headers() (names []string) {
	for p := range k.Placeholders() {
		if name, ok := p.Header(); ok {
			names = append(names, name)
		}
	}
	return names
}

// separators are the characters trimmed from the literal text between placeholders. They
// separate placeholders in the template but don't appear in the key.
const separators = " /-_:;,.|+&"

// render returns the key of a limit's counter for a call of a subscription. The counter
// belongs to the subscription if a tier has the limit and the template has {subscription},
// or else to the tier or group that has the limit. name is the limit's. value returns the
// call's value for each placeholder other than {subscription} and {group}.
func (k CounterKey) render(of Owner, s *Subscription, name string, value func(Placeholder) string) string {
	owner := limit.Owner{Tier: of.Tier, Group: of.Group}
	own := of.Group == "" && k.Has(SubscriptionPart)
	if own {
		owner = limit.Owner{Subscription: s.ID}
	}
	var parts []limit.KeyPart
	for p := range k.pieces() {
		if text := strings.Trim(p.text, separators); text != "" {
			parts = append(parts, limit.KeyPart{Value: text})
		}
		switch {
		case !p.isPlaceholder || p.placeholder == SubscriptionPart && own || p.placeholder == GroupPart && of.Group != "":
		case p.placeholder == SubscriptionPart:
			parts = append(parts, limit.KeyPart{Kind: p.placeholder.Kind(), Value: s.ID})
		case p.placeholder == GroupPart:
			parts = append(parts, limit.KeyPart{Kind: p.placeholder.Kind(), Value: s.Group})
		default:
			parts = append(parts, limit.KeyPart{Kind: p.placeholder.Kind(), Value: value(p.placeholder)})
		}
	}
	return owner.Key(name, parts...)
}

// headerName matches the names that HTTP allows for headers.
var headerName = regexp.MustCompile(`^[!#$%&'*+.^_|~0-9A-Za-z-]+$`)

// checkCounterKey checks a template.
func (f *faults) checkCounterKey(field string, k CounterKey) {
	const fix = "join {subscription}, {group}, {client-ip}, {model} and {header:NAME}"
	var text strings.Builder
	found := false
	for p := range k.pieces() {
		text.WriteString(p.text)
		if !p.isPlaceholder {
			continue
		}
		found = true
		header, isHeader := p.placeholder.Header()
		isHeader = isHeader && headerName.MatchString(header)
		known := p.placeholder == SubscriptionPart || p.placeholder == GroupPart || p.placeholder == ClientIPPart || p.placeholder == ModelPart
		part := fmt.Sprintf("{%s}", p.placeholder)
		f.check(known || isHeader, field, "has the unknown part "+part, fix)
		f.check(!isHeader || !secret.SensitiveHeader(header), field, "would store a header that may contain a secret: "+part, "use another header, or {subscription}")
	}
	f.check(!strings.ContainsAny(text.String(), "{}"), field, "has an unmatched brace", fix)
	f.checkText(field, text.String())
	f.check(k == "" || found, field, "has no part, so all subscriptions of the tier would share one counter", fix)
	f.check(len(k) <= 200, field, "is longer than 200 bytes", "shorten it")
}
