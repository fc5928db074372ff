package limit

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// Owner is whose a counter is: a subscription's, or where subscriptions count
// together a tier's. One of the two is set.
type Owner struct{ Subscription, Tier string }

// KeyPart is something besides its owner that sets a counter apart: a value of a
// kind, such as model, or a text of the operator's where the kind is empty.
type KeyPart struct{ Kind, Value string }

// The byte after the owner's id. No id has either, so that a tier never shares
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

// OwnerOf reads whose a counter is out of its key.
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

// escape writes what has a meaning in a key, and what isn't plain ASCII, in hex.
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
