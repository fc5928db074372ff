package subscription

import (
	"fmt"
	"iter"
	"regexp"
	"strings"

	"tollgate/handler/limit"
	"tollgate/handler/secret"
)

// CounterKey is the template of a counter's key. It says what is counted together:
// {subscription}, {client-ip}, {model} and {header:NAME}, joined by any text. An
// empty one means DefaultCounterKey.
type CounterKey string

// DefaultCounterKey gives each subscription a counter of its own.
const DefaultCounterKey CounterKey = "{" + CounterKey(SubscriptionPart) + "}"

// Placeholder is the text between the braces of a part of a CounterKey, such as
// model or header:X-Team.
type Placeholder string

// The placeholders that there are beside header:NAME.
const (
	SubscriptionPart Placeholder = "subscription"
	ClientIPPart     Placeholder = "client-ip"
	ModelPart        Placeholder = "model"
)

const headerPart = "header:"

// Header returns the name of the header that the placeholder stands for, as the
// template spells it.
func (p Placeholder) Header() (name string, ok bool) {
	return strings.CutPrefix(string(p), headerPart)
}

// Kind returns the placeholder in lower case, as counter keys have it, so that the
// spelling of a header's name in the template makes no counter of its own.
func (p Placeholder) Kind() string { return strings.ToLower(string(p)) }

// piece is either a text of the template or a placeholder.
type piece struct {
	text          string // between placeholders, stray braces included
	placeholder   Placeholder
	isPlaceholder bool
}

// pieces parses the template. A brace without its other is text.
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

// Placeholders returns the placeholders of the template in their order.
func (k CounterKey) Placeholders() iter.Seq[Placeholder] {
	return func(yield func(Placeholder) bool) {
		for p := range k.pieces() {
			if p.isPlaceholder && !yield(p.placeholder) {
				return
			}
		}
	}
}

// Has reports whether the template has a placeholder.
func (k CounterKey) Has(wanted Placeholder) bool {
	for p := range k.Placeholders() {
		if p == wanted {
			return true
		}
	}
	return false
}

// Shared reports whether subscriptions of one tier count together.
func (k CounterKey) Shared() bool { return k != "" && !k.Has(SubscriptionPart) }

// Headers returns the names of the headers that the template counts by.
func (k CounterKey) Headers() (names []string) {
	for p := range k.Placeholders() {
		if name, ok := p.Header(); ok {
			names = append(names, name)
		}
	}
	return names
}

// separators may stand between a template's parts and set nothing apart.
const separators = " /-_:;,.|+&"

// Render returns the key of the counter that a call of a subscription in a tier is
// counted in, by the call's values of the placeholders other than {subscription}.
func (k CounterKey) Render(subscription, tier string, value func(Placeholder) string) string {
	owner := limit.Owner{Subscription: subscription}
	if k.Shared() {
		owner = limit.Owner{Tier: tier}
	}
	var parts []limit.KeyPart
	for p := range k.pieces() {
		if text := strings.Trim(p.text, separators); text != "" {
			parts = append(parts, limit.KeyPart{Value: text})
		}
		if p.isPlaceholder && p.placeholder != SubscriptionPart {
			parts = append(parts, limit.KeyPart{Kind: p.placeholder.Kind(), Value: value(p.placeholder)})
		}
	}
	return owner.Key(parts...)
}

// headerName is what HTTP lets a header be called.
var headerName = regexp.MustCompile(`^[!#$%&'*+.^_|~0-9A-Za-z-]+$`)

// counterKey checks a template.
func (f *faults) counterKey(k CounterKey) {
	const fix = "join {subscription}, {client-ip}, {model} and {header:NAME}"
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
		known := p.placeholder == SubscriptionPart || p.placeholder == ClientIPPart || p.placeholder == ModelPart
		part := fmt.Sprintf("{%s}", p.placeholder)
		f.check(known || isHeader, "counterKey", "has the unknown part "+part, fix)
		f.check(!isHeader || !secret.Header(header), "counterKey", "would store what may be a secret, of "+part, "use another header, or {subscription}")
	}
	f.check(!strings.ContainsAny(text.String(), "{}"), "counterKey", "has a brace without its other", fix)
	f.text("counterKey", text.String())
	f.check(k == "" || found, "counterKey", "has no part, so all subscriptions of the tier would share one counter", fix)
	f.check(len(k) <= 200, "counterKey", "is longer than 200 bytes", "shorten it")
}
