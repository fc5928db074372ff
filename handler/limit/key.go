package limit

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// An Owner is the subscription that a counter belongs to, or the tier if its
// subscriptions share the counter. Exactly one of the two is set.
type Owner struct{ Subscription, Tier string }

// A KeyPart distinguishes counters of one owner: a value of a kind, such as
// model, or with an empty kind a text of the operator's.
type KeyPart struct{ Kind, Value string }

// The byte after the owner's id. No id contains either, so a tier never shares
// a counter with a subscription of the same name.
const (
	afterSubscription = "/"
	afterTier         = ":"
)

// maxParts is the longest that the parts may be, in bytes: with an id before
// them and every byte escaped they fit the 512 characters that Azurite allows a
// row's key, which is half of what Azure does.
const maxParts = 96

// Key names a counter so that it can be read in a table: the owner's id and its
// parts, team-a/model=DeepSeek-R1 or gold:client-ip=192.0.2.7. Different parts
// never give the same key, whatever callers put into them.
func (o Owner) Key(parts ...KeyPart) string {
	id, separator := o.Subscription, afterSubscription
	if id == "" {
		id, separator = o.Tier, afterTier
	} else if len(parts) == 0 {
		return id
	}
	written := make([]string, len(parts))
	for i, part := range parts {
		written[i] = escape(part.Value)
		if part.Kind != "" {
			written[i] = escape(part.Kind) + "=" + written[i]
		}
	}
	rest := strings.Join(written, "/")
	if len(rest) > maxParts {
		sum := sha256.Sum256([]byte(rest))
		rest = rest[:maxParts-32] + "~" + base64.RawURLEncoding.EncodeToString(sum[:16])
	}
	return id + separator + rest
}

// OwnerOf returns the owner in a counter's key.
func OwnerOf(key string) Owner {
	at := strings.IndexAny(key, afterSubscription+afterTier)
	switch {
	case at < 0:
		return Owner{Subscription: key}
	case key[at:at+1] == afterTier:
		return Owner{Tier: key[:at]}
	}
	return Owner{Subscription: key[:at]}
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
