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

	"tollgate/handler/azure"
)

// A key consists of a prefix that secret scanners can search for, 32 random characters, and
// 6 characters of checksum, all in base 62. The checksum allows malformed keys to be rejected
// without a look-up. A double click selects the whole key, because its only separator is an
// underscore.
const (
	keyRandom   = 32 // 190 bits
	keyChecksum = 6  // holds any CRC-32
	keyLength   = len(KeyPrefix) + keyRandom + keyChecksum
)

// KeyPrefix begins every key. Redact any word that begins with it.
const KeyPrefix = "tg_"

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewKey returns a new random key. Show it once and store only its hash.
func NewKey() string {
	key := append(make([]byte, 0, keyLength), KeyPrefix...)
	for len(key) < len(KeyPrefix)+keyRandom {
		var random [keyRandom]byte
		_, _ = rand.Read(random[:]) // never fails since Go 1.24
		for _, b := range random {
			if b < 248 && len(key) < len(KeyPrefix)+keyRandom { // 248 is 4 × 62, so that all characters are equally likely
				key = append(key, base62[b%62])
			}
		}
	}
	digits := checksum(string(key))
	return string(append(key, digits[:]...))
}

// checksum returns the CRC-32 of text in base 62. It doesn't use crc32.ChecksumIEEE, because
// converting the text to a byte slice would allocate.
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

// WellFormed reports whether key has a key's length, prefix and checksum.
func WellFormed(key string) bool {
	if len(key) != keyLength || !strings.HasPrefix(key, KeyPrefix) {
		return false
	}
	const body = keyLength - keyChecksum
	digits := checksum(key[:body])
	return subtle.ConstantTimeCompare(digits[:], []byte(key[body:])) == 1
}

// A Pepper is the secret that keys are hashed with. It is stored apart from the tables, so
// that reading the tables isn't enough to test guessed keys. Make one with NewPepper.
type Pepper struct{ hashers *sync.Pool } // of *hasher, which alone hold the secret: printing a Pepper doesn't show it

// A hasher is a keyed hash with buffers for its input and output, so that hashing a
// key allocates nothing.
type hasher struct {
	hash.Hash
	key []byte
	sum [sha256.Size]byte
}

// minPepperLength is the shortest pepper accepted, in bytes.
const minPepperLength = 16

// NewPepper returns a pepper made from a secret of at least 16 bytes. The text of its errors
// is a predicate, to be put after the setting's name; it doesn't contain the secret.
func NewPepper(secret string) (Pepper, error) {
	switch {
	case secret == "":
		return Pepper{}, errors.New("is missing: set it to a long random text, such as the output of openssl rand -hex 32")
	case azure.IsUnresolvedReference(secret):
		return Pepper{}, errors.New("is a reference to Key Vault that was not resolved: give the app's identity access to the secret, or set the secret itself")
	case len(secret) < minPepperLength:
		return Pepper{}, errors.New("is shorter than 16 bytes: use a long random text, such as the output of openssl rand -hex 32")
	}
	return Pepper{&sync.Pool{New: func() any { return &hasher{Hash: hmac.New(sha256.New, []byte(secret))} }}}, nil
}

// Hash returns the hash under which a key is stored: HMAC-SHA-256 in unpadded base64url,
// which is valid in a row key.
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
