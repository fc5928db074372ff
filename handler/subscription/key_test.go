package subscription_test

import (
	"strings"
	"testing"

	"tollgate/handler/subscription"
)

func TestKeysAreUniqueAndWellFormed(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		key := subscription.NewKey()
		if seen[key] || !subscription.WellFormed(key) || len(key) != 41 || !strings.HasPrefix(key, "tg_") {
			t.Fatalf("NewKey gave %q", key)
		}
		seen[key] = true
	}
}

func TestJunkIsTurnedAway(t *testing.T) {
	key := subscription.NewKey()
	for i := range len(key) { // any one character changed
		junk := []byte(key)
		if junk[i]++; subscription.WellFormed(string(junk)) {
			t.Errorf("character %d changed is taken", i)
		}
	}
	for _, junk := range []string{"", "tg_", key + "0", key[:40], " " + key[1:], strings.Repeat("x", 41), strings.ToLower(key) + "x"} {
		if subscription.WellFormed(junk) {
			t.Errorf("%q is taken", junk)
		}
	}
}

func TestPepperDecidesTheHash(t *testing.T) {
	if _, err := subscription.NewPepper("short"); err == nil {
		t.Error("a short pepper is taken")
	}
	one, _ := subscription.NewPepper("0123456789abcdef")
	two, _ := subscription.NewPepper("0123456789abcdeF")
	if one.Hash("k") == two.Hash("k") || one.Hash("k") != one.Hash("k") || strings.ContainsAny(one.Hash("k"), `/\#?%+'`) {
		t.Errorf("hashes %s and %s", one.Hash("k"), two.Hash("k"))
	}
}

func FuzzWellFormed(f *testing.F) {
	f.Add("tg_")
	f.Add(subscription.NewKey())
	f.Fuzz(func(t *testing.T, key string) {
		if subscription.WellFormed(key) && (len(key) != 41 || !strings.HasPrefix(key, "tg_")) {
			t.Errorf("%q is taken", key)
		}
	})
}
