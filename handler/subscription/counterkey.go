package subscription

import (
	"fmt"
	"iter"
	"regexp"
	"strings"

	"tollgate/handler/limit"
	"tollgate/handler/secret"
)

// A CounterKey is the template of a counter's key: {subscription}, {client-ip}, {model}
// and {header:NAME}, joined by any text. Calls whose keys are equal share a counter. The
// empty template means DefaultCounterKey.
type CounterKey string

// DefaultCounterKey gives each subscription its own counter.
const DefaultCounterKey CounterKey = "{" + CounterKey(SubscriptionPart) + "}"

// A Placeholder is the text between the braces of a part of a CounterKey, such as
// model or header:X-Team.
type Placeholder string

// The placeholders other than header:NAME.
const (
	SubscriptionPart Placeholder = "subscription"
	ClientIPPart     Placeholder = "client-ip"
	ModelPart        Placeholder = "model"
)

const headerPart = "header:"

// Header returns the name of the placeholder's header, as the template spells it. ok
// is false if the placeholder is not a header.
func (p Placeholder) Header() (name string, ok bool) {
	return strings.CutPrefix(string(p), headerPart)
}

// Kind returns the placeholder in lower case, as in counter keys, so that different
// spellings of a header's name give the same counter.
func (p Placeholder) Kind() string { return strings.ToLower(string(p)) }

// A piece is either literal text of the template or a placeholder.
type piece struct {
	text          string // including unmatched braces
	placeholder   Placeholder
	isPlaceholder bool
}

// pieces parses the template. An unmatched brace is text.
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

// Placeholders returns the placeholders of the template in order.
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

// Shared reports whether subscriptions of a tier share counters.
func (k CounterKey) Shared() bool { return k != "" && !k.Has(SubscriptionPart) }

// Headers returns the names of the headers in the template.
func (k CounterKey) Headers() (names []string) {
	for p := range k.Placeholders() {
		if name, ok := p.Header(); ok {
			names = append(names, name)
		}
	}
	return names
}

// separators are characters that may join a template's parts without becoming part of
// the key.
const separators = " /-_:;,.|+&"

// Render returns the key of the counter for a call of a subscription in a tier. value
// returns the call's value for each placeholder other than {subscription}.
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

// headerName matches the names that HTTP allows for headers.
var headerName = regexp.MustCompile(`^[!#$%&'*+.^_|~0-9A-Za-z-]+$`)

// checkCounterKey checks a template.
func (f *faults) checkCounterKey(k CounterKey) {
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
		f.check(!isHeader || !secret.Header(header), "counterKey", "would store a header that may hold a secret: "+part, "use another header, or {subscription}")
	}
	f.check(!strings.ContainsAny(text.String(), "{}"), "counterKey", "has an unmatched brace", fix)
	f.checkText("counterKey", text.String())
	f.check(k == "" || found, "counterKey", "has no part, so all subscriptions of the tier would share one counter", fix)
	f.check(len(k) <= 200, "counterKey", "is longer than 200 bytes", "shorten it")
}
