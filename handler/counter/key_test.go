package counter_test

import (
	"strings"
	"testing"

	"tollgate/handler/counter"
)

func TestKeysAreReadableAndNameTheirOwner(t *testing.T) {
	sub, tier := counter.Owner{Subscription: "team-a"}, counter.Owner{Tier: "gold"}
	for want, key := range map[string]string{
		"team-a":                            sub.Key(),
		"team-a/model=DeepSeek-R1":          sub.Key(counter.Part{Kind: "model", Value: "DeepSeek-R1"}),
		"gold:client-ip=2001:db8::1/v2":     tier.Key(counter.Part{Kind: "client-ip", Value: "2001:db8::1"}, counter.Part{Value: "v2"}),
		"gold:header:x-team=a%2Fb%3D%25%7E": tier.Key(counter.Part{Kind: "header:x-team", Value: "a/b=%~"}),
	} {
		if key != want {
			t.Errorf("key %q, want %q", key, want)
		}
	}
	for key, want := range map[string]counter.Owner{
		"team-a": sub, "team-a/model=a:b": sub, "gold:client-ip=2001:db8::1": tier, "gold:x=a%2Fb": tier,
	} {
		if got := counter.OwnerOf(key); got != want {
			t.Errorf("OwnerOf(%q) = %+v, want %+v", key, got, want)
		}
	}
}

// A caller chooses its headers' values: none may bring it into a counter that
// other values belong to.
func TestDifferentPartsNeverShareAKey(t *testing.T) {
	long := strings.Repeat("x", 1000)
	seen := make(map[string][]counter.Part)
	for _, parts := range [][]counter.Part{
		{{Kind: "header:a", Value: "1"}, {Kind: "client-ip", Value: "1.2.3.4"}},
		{{Kind: "header:a", Value: "1/client-ip=1.2.3.4"}},
		{{Kind: "header:a", Value: ""}, {Kind: "client-ip", Value: "11.2.3.4"}},
		{{Kind: "header:a", Value: "1%2Fclient-ip=1.2.3.4"}},
		{{Value: "header:a=1"}, {Kind: "client-ip", Value: "1.2.3.4"}},
		{{Kind: "header:a", Value: long}},
		{{Kind: "header:a", Value: long + "y"}},
	} {
		key := counter.Owner{Tier: "gold"}.Key(parts...)
		if other, taken := seen[key]; taken {
			t.Errorf("%v and %v share %q", parts, other, key)
		}
		if seen[key] = parts; len(key) > len("gold:")+96 {
			t.Errorf("a key of %d bytes", len(key))
		}
	}
	if a, b := (counter.Owner{Tier: "x"}).Key(counter.Part{Value: "y"}), (counter.Owner{Subscription: "x"}).Key(counter.Part{Value: "y"}); a == b {
		t.Errorf("a tier and a subscription share %q", a)
	}
}
