package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"tollgate/handler/subscription"
)

// counterKey returns the key of the counter in which a limit counts a call to a model.
func (g *Gateway) counterKey(c *call, l *subscription.OwnedLimit, model string) string {
	return l.Key(&c.grant.Subscription, func(p subscription.Placeholder) string { return g.keyPart(c, p, model) })
}

// placeholderValue returns a call's value for a placeholder of the template.
func (g *Gateway) placeholderValue(c *call, p subscription.Placeholder, model string) string {
	if name, ok := p.Header(); ok {
		return strings.Join(c.r.Header.Values(name), ",")
	}
	if p == subscription.ModelPart {
		return model
	}
	return clientKey(g.config.Addresses.clientOf(c.r))
}

// hashLength is the length of a header's hash in a key, in hexadecimal digits: 128
// bits, too many for a caller to find another value with the same hash.
const hashLength = 32

// keyPart returns a placeholder's value in the counter's key. Headers are hashed: they
// may hold secrets, and logs and metrics show the key. Operators find the counter of a
// header's value with sha256sum.
func (g *Gateway) keyPart(c *call, p subscription.Placeholder, model string) string {
	value := g.placeholderValue(c, p, model)
	if _, ok := p.Header(); value == "" || !ok {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])[:hashLength]
}
