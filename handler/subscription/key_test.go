package subscription_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"testing"

	"tollgate/handler/subscription"
)

func TestKeysAreUniqueAndWellFormed(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		key := subscription.NewKey()
		if seen[key] || !subscription.WellFormed(key) || len(key) != 41 || !strings.HasPrefix(key, "tg_") {
			t.Fatalf("NewKey: got %q, want a new well-formed key of 41 characters", key)
		}
		seen[key] = true
	}
}

func TestMalformedKeysAreNotWellFormed(t *testing.T) {
	key := subscription.NewKey()
	for i := range len(key) { // any one character changed
		junk := []byte(key)
		if junk[i]++; subscription.WellFormed(string(junk)) {
			t.Errorf("a key with character %d changed: got well-formed, want not", i)
		}
	}
	for _, junk := range []string{"", "tg_", key + "0", key[:40], " " + key[1:], strings.Repeat("x", 41), strings.ToLower(key) + "x"} {
		if subscription.WellFormed(junk) {
			t.Errorf("%q: got well-formed, want not", junk)
		}
	}
}

func TestAKeyEndsWithItsCRC32InBase62(t *testing.T) {
	key := subscription.NewKey()
	sum, digits := crc32.ChecksumIEEE([]byte(key[:35])), ""
	for range 6 {
		digits = string("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[sum%62]) + digits
		sum /= 62
	}
	if key[35:] != digits {
		t.Errorf("the last six characters of %s: got %s, want %s", key, key[35:], digits)
	}
}

func TestNewPepperRejectsShortSecretsAndKeyVaultReferences(t *testing.T) {
	for secret, want := range map[string]string{
		"":      "is missing",
		"brief": "is shorter than 16 bytes",
		"@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/pepper)": "was not resolved",
	} {
		_, err := subscription.NewPepper(secret)
		if err == nil || !strings.Contains(err.Error(), want) || secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("NewPepper(%q): got error %v, want %s without the secret", secret, err, want)
		}
	}
}

func TestPrintingAPepperDoesNotShowTheSecret(t *testing.T) {
	pepper, err := subscription.NewPepper("canary-canary-canary")
	if err != nil {
		t.Fatal(err)
	}
	pepper.Hash("in use")
	shown := fmt.Sprintf("%v %+v %#v", pepper, pepper, pepper)
	bytes := strings.Trim(fmt.Sprint([]byte("canary")), "[]")
	if strings.Contains(shown, "canary") || strings.Contains(shown, bytes) {
		t.Errorf("printed: got %s, want no secret", shown)
	}
}

func TestEqualPeppersGiveEqualHashes(t *testing.T) {
	one, _ := subscription.NewPepper("0123456789abcdef")
	two, _ := subscription.NewPepper("0123456789abcdeF")
	again, _ := subscription.NewPepper("0123456789abcdef")
	if one.Hash("k") == two.Hash("k") || one.Hash("k") != again.Hash("k") || strings.ContainsAny(one.Hash("k"), `/\#?%+'`) {
		t.Errorf("got hashes %s, with another pepper %s, with an equal pepper %s; want the first and last alone equal, and safe in row keys", one.Hash("k"), two.Hash("k"), again.Hash("k"))
	}
}

func FuzzWellFormed(f *testing.F) {
	f.Add("tg_")
	f.Add(subscription.NewKey())
	f.Fuzz(func(t *testing.T, key string) {
		if subscription.WellFormed(key) && (len(key) != 41 || !strings.HasPrefix(key, "tg_")) {
			t.Errorf("%q: got well-formed, want only keys of 41 characters that begin with tg_", key)
		}
	})
}

func TestKeysCanBeHashedConcurrently(t *testing.T) {
	pepper, err := subscription.NewPepper("0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for range 100 {
		key := subscription.NewKey()
		want[key] = pepper.Hash(key)
	}
	var all sync.WaitGroup
	for key, hash := range want {
		all.Go(func() {
			if got := pepper.Hash(key); got != hash {
				t.Errorf("concurrent hash: got %s, want %s", got, hash)
			}
		})
	}
	all.Wait()
}
