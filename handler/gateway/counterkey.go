package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"tollgate/handler/counter"
)

// counterKey is what a call to a model is counted under, by its tier's
// template: the subscription's own counter, or one that its callers, models or headers set
// apart. Without {subscription} all of the tier's subscriptions count together.
func (g *Gateway) counterKey(c *call, model string) string {
	owner := counter.Owner{Tier: c.grant.Tier.ID}
	var parts []counter.Part
	for rest := c.grant.Tier.CounterKey; rest != ""; {
		text, kind, after := nextPart(rest)
		rest = after
		if text = strings.Trim(text, separators); text != "" {
			parts = append(parts, counter.Part{Value: text})
		}
		switch kind {
		case "":
		case subscriptionKind:
			owner = counter.Owner{Subscription: c.grant.Subscription.ID}
		default: // headers' names in one spelling, so that a template's sets nothing apart
			parts = append(parts, counter.Part{Kind: strings.ToLower(kind), Value: g.storedValue(c, kind, model)})
		}
	}
	return owner.Key(parts...)
}

// separators may stand between a template's parts and set nothing apart.
const separators = " /-_:;,.|+&"

// nextPart cuts a template behind its first part: the text before it and what
// is between its braces. The directory has checked the template.
func nextPart(template string) (text, kind, rest string) {
	text, rest, found := strings.Cut(template, "{")
	if found {
		kind, rest, _ = strings.Cut(rest, "}")
	}
	return text, kind, rest
}

// The kinds of a template's parts; the rest of the last is a header's name.
const (
	subscriptionKind = "subscription"
	modelKind        = "model"
	headerKind       = "header:"
)

// partValue is what a call has for a part of its counter's key.
func (g *Gateway) partValue(c *call, kind, model string) string {
	if name, ok := strings.CutPrefix(kind, headerKind); ok {
		return strings.Join(c.r.Header.Values(name), ",")
	}
	if kind == modelKind {
		return model
	}
	return client(g.Addresses.of(c.r))
}

// hashLength is how many hexadecimal digits of a header's hash are kept: 128 bits, too
// many to find a second value for.
const hashLength = 32

// storedValue is a part's value as its counter's key has it. A header may hold what
// must not be in a row's key, where logs and metrics show it: it is hashed. Operators
// find a value's counter with sha256sum.
func (g *Gateway) storedValue(c *call, kind, model string) string {
	value := g.partValue(c, kind, model)
	if value == "" || !strings.HasPrefix(kind, headerKind) {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])[:hashLength]
}
