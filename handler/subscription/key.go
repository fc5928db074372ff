package subscription

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash"
	"hash/crc32"
	"strings"
	"sync"
)

// A key is a prefix that secret scanners know, random characters and a
// checksum: tg_ + 32 + 6 of base 62. The checksum lets junk be turned away
// without a look-up, and the underscore lets a double click select it whole.
const (
	keyPrefix   = "tg_"
	keyRandom   = 32 // 190 bits
	keyChecksum = 6  // holds any CRC-32
	keyLength   = len(keyPrefix) + keyRandom + keyChecksum
)

// KeyPrefix begins every key, and nothing else that may be shown.
const KeyPrefix = keyPrefix

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewKey makes a key. It is shown once and stored nowhere.
func NewKey() string {
	key := append(make([]byte, 0, keyLength), keyPrefix...)
	for len(key) < len(keyPrefix)+keyRandom {
		var random [keyRandom]byte
		_, _ = rand.Read(random[:]) // never fails since Go 1.24
		for _, b := range random {
			if b < 248 && len(key) < len(keyPrefix)+keyRandom { // 4 × 62: no character likelier than another
				key = append(key, base62[b%62])
			}
		}
	}
	digits := checksum(string(key))
	return string(append(key, digits[:]...))
}

// checksum is the CRC-32 of a key's first part in base 62. It is written out
// because crc32.ChecksumIEEE would allocate a copy, for junk too.
func checksum(text string) (digits [keyChecksum]byte) {
	sum := ^uint32(0)
	for i := range len(text) {
		sum = crc32.IEEETable[byte(sum)^text[i]] ^ sum>>8
	}
	sum = ^sum
	for i := range digits {
		digits[keyChecksum-1-i] = base62[sum%62]
		sum /= 62
	}
	return digits
}

// WellFormed says whether text can be a key at all.
func WellFormed(key string) bool {
	if len(key) != keyLength || !strings.HasPrefix(key, keyPrefix) {
		return false
	}
	const body = keyLength - keyChecksum
	digits := checksum(key[:body])
	return subtle.ConstantTimeCompare(digits[:], []byte(key[body:])) == 1
}

// Pepper is the secret under which keys are hashed. It lives apart from the
// tables, so that who reads these can't try keys out. Make one with NewPepper.
type Pepper struct{ hashers *sync.Pool } // of *hasher; the secret is in these alone, where no print finds it

// hasher is a keyed hash with room for its input and output, so that looking a
// remembered key up allocates nothing.
type hasher struct {
	hash.Hash
	key []byte
	sum [sha256.Size]byte
}

// minPepper is the least length of a pepper, in bytes.
const minPepper = 16

// unresolved begins a reference to Key Vault, which is what an app sees in place
// of the secret when the platform could not read it.
// Source: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
const unresolved = "@Microsoft.KeyVault("

// NewPepper makes a pepper of at least 16 bytes. Its error completes the name
// of the setting, and doesn't hold the secret.
func NewPepper(secret string) (Pepper, error) {
	switch {
	case secret == "":
		return Pepper{}, errors.New("is missing: set it to a long random text, such as the output of openssl rand -hex 32")
	case strings.HasPrefix(secret, unresolved):
		return Pepper{}, errors.New("is a reference to Key Vault that was not resolved: give the app's identity access to the secret, or set the secret itself")
	case len(secret) < minPepper:
		return Pepper{}, errors.New("is shorter than 16 bytes: use a long random text, such as the output of openssl rand -hex 32")
	}
	return Pepper{&sync.Pool{New: func() any { return &hasher{Hash: hmac.New(sha256.New, []byte(secret))} }}}, nil
}

// Hash is what a key is found by: HMAC-SHA-256 in unpadded base64url, which is
// fit for a row's key.
func (p Pepper) Hash(key string) string {
	return encodeHash(p.sum(key))
}

func encodeHash(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:]) }

func (p Pepper) sum(key string) [sha256.Size]byte {
	h := p.hashers.Get().(*hasher)
	defer p.hashers.Put(h)
	h.key = append(h.key[:0], key...)
	h.Reset()
	h.Write(h.key)
	h.Sum(h.sum[:0])
	clear(h.key)
	return h.sum
}
