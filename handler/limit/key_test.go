package limit_test

import (
	"strings"
	"testing"

	"tollgate/handler/limit"
)

func TestKeysAreReadableAndNameTheirOwner(t *testing.T) {
	sub, tier := limit.Owner{Subscription: "team-a"}, limit.Owner{Tier: "gold"}
	for want, key := range map[string]string{
		"team-a/tokens":                           sub.Key("tokens"),
		"org@budget.cost":                         limit.Owner{Group: "org"}.Key("budget.cost"),
		"team-a/tokens/model=DeepSeek-R1":         sub.Key("tokens", limit.KeyPart{Kind: "model", Value: "DeepSeek-R1"}),
		"gold:calls/client-ip=2001:db8::1/v2":     tier.Key("calls", limit.KeyPart{Kind: "client-ip", Value: "2001:db8::1"}, limit.KeyPart{Value: "v2"}),
		"gold:calls/header:x-team=a%2Fb%3D%25%7E": tier.Key("calls", limit.KeyPart{Kind: "header:x-team", Value: "a/b=%~"}),
	} {
		if key != want {
			t.Errorf("key: got %q, want %q", key, want)
		}
	}
	for key, want := range map[string]struct {
		owner limit.Owner
		name  string
	}{
		"team-a": {sub, ""}, "team-a/tokens": {sub, "tokens"}, "team-a/calls/model=a:b@c": {sub, "calls"},
		"gold:calls/client-ip=2001:db8::1": {tier, "calls"}, "org@budget.cost/x=a%2Fb": {limit.Owner{Group: "org"}, "budget.cost"},
	} {
		if owner, name := limit.ParseKey(key); owner != want.owner || name != want.name {
			t.Errorf("ParseKey(%q): got %+v, %q; want %+v, %q", key, owner, name, want.owner, want.name)
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
		key := limit.Owner{Tier: "gold"}.Key("tokens", parts...)
		if other, taken := seen[key]; taken {
			t.Errorf("the key of %v: got that of %v, %q; want another", parts, other, key)
		}
		if seen[key] = parts; len(key) > len("gold:")+128 {
			t.Errorf("a key: got %d bytes, want at most 128 after the tier's name", len(key))
		}
	}
	if a, b := (limit.Owner{Tier: "x"}).Key("y"), (limit.Owner{Subscription: "x"}).Key("y"); a == b {
		t.Errorf("a tier's and a subscription's key: got %q for both, want two", a)
	}
}
