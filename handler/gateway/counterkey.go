package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"tollgate/handler/subscription"
)

// counterKey is the key of the counter that a call to a model is counted in, by its
// tier's template.
func (g *Gateway) counterKey(c *call, model string) string {
	return c.grant.Tier.CounterKey.Render(c.grant.Subscription.ID, c.grant.Tier.ID, func(p subscription.Placeholder) string {
		return g.storedValue(c, p, model)
	})
}

// partValue is what a call has for a placeholder of its counter's key.
func (g *Gateway) partValue(c *call, p subscription.Placeholder, model string) string {
	if name, ok := p.Header(); ok {
		return strings.Join(c.r.Header.Values(name), ",")
	}
	if p == subscription.ModelPart {
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
func (g *Gateway) storedValue(c *call, p subscription.Placeholder, model string) string {
	value := g.partValue(c, p, model)
	if _, ok := p.Header(); value == "" || !ok {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])[:hashLength]
}
