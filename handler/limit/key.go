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

// A KeyPart distinguishes counters of one limit: a value of a kind, such as model, or
// with an empty kind a text of the operator's.
type KeyPart struct{ Kind, Value string }

// The byte after the owner's id. No id contains any, so a tier or group never shares a
// counter with a subscription of the same name.
const (
	afterSubscription = "/"
	afterTier         = ":"
	afterGroup        = "@"
)

// maxParts is the longest that the limit's name and the parts may be, in bytes: with an id
// before them and every byte escaped they fit the 512 characters that Azurite allows a
// row's key, which is half of what Azure does.
const maxParts = 128

// Key names the counter of a limit so that it can be read in a table: the owner's id, the
// limit's name and the parts, team-a/tokens/model=DeepSeek-R1 or
// gold:calls/client-ip=192.0.2.7. Different parts never give the same key, whatever
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

// escape writes bytes with a meaning in keys, and all but plain ASCII, in
// hex.
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
