package limit

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// An Owner is the subscription, tier or group that a counter belongs to. Exactly one of
// the three is set.
type Owner struct{ Subscription, Tier, Group string }

// A KeyPart distinguishes counters of one limit: a value with its kind, such as model.
// An operator's own text has an empty Kind.
type KeyPart struct{ Kind, Value string }

// The byte after the owner's id in a key. No id contains any of these, so a tier or group
// never shares a counter with a subscription of the same name.
const (
	afterSubscription = "/"
	afterTier         = ":"
	afterGroup        = "@"
)

// maxParts is the most bytes that the limit's name and the parts may have together: with
// an id before them, and every byte escaped, they fit the 512 characters that Azurite
// allows for a row key. Azure allows twice as many.
const maxParts = 128

// Key returns the key of a limit's counter, which people can read in a table: the owner's
// id, the limit's name and the parts, such as team-a/tokens/model=DeepSeek-R1 or
// gold:calls/client-ip=192.0.2.7. Different parts never have the same key, whatever
// callers put into them.
func (o Owner) Key(name string, parts ...KeyPart) string {
	id, separator := o.Subscription, afterSubscription
	switch {
	case o.Tier != "":
		id, separator = o.Tier, afterTier
	case o.Group != "":
		id, separator = o.Group, afterGroup
	}
	written := make([]string, 1, len(parts)+1)
	written[0] = escape(name)
	for _, part := range parts {
		text := escape(part.Value)
		if part.Kind != "" {
			text = escape(part.Kind) + "=" + text
		}
		written = append(written, text)
	}
	rest := strings.Join(written, "/")
	if len(rest) > maxParts {
		sum := sha256.Sum256([]byte(rest))
		rest = rest[:maxParts-32] + "~" + base64.RawURLEncoding.EncodeToString(sum[:16])
	}
	return id + separator + rest
}

// ParseKey returns the owner and the limit's name in a counter's key.
func ParseKey(key string) (owner Owner, name string) {
	at := strings.IndexAny(key, afterSubscription+afterTier+afterGroup)
	if at < 0 {
		return Owner{Subscription: key}, ""
	}
	name, _, _ = strings.Cut(key[at+1:], "/")
	switch key[at : at+1] {
	case afterTier:
		return Owner{Tier: key[:at]}, name
	case afterGroup:
		return Owner{Group: key[:at]}, name
	}
	return Owner{Subscription: key[:at]}, name
}

// escape writes the bytes that have a meaning in keys, and all that aren't printable
// ASCII, in hex.
func escape(text string) string {
	var escaped strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '}' || strings.IndexByte("%/=~", c) >= 0 {
			fmt.Fprintf(&escaped, "%%%02X", c)
		} else {
			escaped.WriteByte(c)
		}
	}
	return escaped.String()
}
