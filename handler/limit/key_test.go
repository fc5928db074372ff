package limit_test

import (
	"strings"
	"testing"

	"tollgate/handler/limit"
)

func TestKeysAreReadableAndNameTheirOwner(t *testing.T) {
	sub, tier := limit.Owner{Subscription: "team-a"}, limit.Owner{Tier: "gold"}
	for want, key := range map[string]string{
		"team-a":                            sub.Key(),
		"team-a/model=DeepSeek-R1":          sub.Key(limit.KeyPart{Kind: "model", Value: "DeepSeek-R1"}),
		"gold:client-ip=2001:db8::1/v2":     tier.Key(limit.KeyPart{Kind: "client-ip", Value: "2001:db8::1"}, limit.KeyPart{Value: "v2"}),
		"gold:header:x-team=a%2Fb%3D%25%7E": tier.Key(limit.KeyPart{Kind: "header:x-team", Value: "a/b=%~"}),
	} {
		if key != want {
			t.Errorf("key: got %q, want %q", key, want)
		}
	}
	for key, want := range map[string]limit.Owner{
		"team-a": sub, "team-a/model=a:b": sub, "gold:client-ip=2001:db8::1": tier, "gold:x=a%2Fb": tier,
	} {
		if got := limit.OwnerOf(key); got != want {
			t.Errorf("OwnerOf(%q): got %+v, want %+v", key, got, want)
		}
	}
}

// TestDifferentPartsNeverShareAKey, because callers choose their headers' values
// and must not reach the counter of other values.
func TestDifferentPartsNeverShareAKey(t *testing.T) {
	long := strings.Repeat("x", 1000)
	seen := make(map[string][]limit.KeyPart)
	for _, parts := range [][]limit.KeyPart{
		{{Kind: "header:a", Value: "1"}, {Kind: "client-ip", Value: "1.2.3.4"}},
		{{Kind: "header:a", Value: "1/client-ip=1.2.3.4"}},
		{{Kind: "header:a", Value: ""}, {Kind: "client-ip", Value: "11.2.3.4"}},
		{{Kind: "header:a", Value: "1%2Fclient-ip=1.2.3.4"}},
		{{Value: "header:a=1"}, {Kind: "client-ip", Value: "1.2.3.4"}},
		{{Kind: "header:a", Value: long}},
		{{Kind: "header:a", Value: long + "y"}},
	} {
		key := limit.Owner{Tier: "gold"}.Key(parts...)
		if other, taken := seen[key]; taken {
			t.Errorf("the key of %v: got that of %v, %q; want another", parts, other, key)
		}
		if seen[key] = parts; len(key) > len("gold:")+96 {
			t.Errorf("a key: got %d bytes, want at most 96 after the tier's name", len(key))
		}
	}
	if a, b := (limit.Owner{Tier: "x"}).Key(limit.KeyPart{Value: "y"}), (limit.Owner{Subscription: "x"}).Key(limit.KeyPart{Value: "y"}); a == b {
		t.Errorf("a tier's and a subscription's key: got %q for both, want two", a)
	}
}
