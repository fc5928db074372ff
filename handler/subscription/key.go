package subscription

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"strings"
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
	return string(appendChecksum(key, key))
}

func appendChecksum(to, of []byte) []byte {
	sum := crc32.ChecksumIEEE(of)
	var digits [keyChecksum]byte
	for i := range digits {
		digits[keyChecksum-1-i] = base62[sum%62]
		sum /= 62
	}
	return append(to, digits[:]...)
}

// WellFormed says whether text can be a key at all.
func WellFormed(key string) bool {
	if len(key) != keyLength || !strings.HasPrefix(key, keyPrefix) {
		return false
	}
	body := keyLength - keyChecksum
	var sum [keyChecksum]byte
	appendChecksum(sum[:0], []byte(key[:body]))
	return subtle.ConstantTimeCompare(sum[:], []byte(key[body:])) == 1
}

// Pepper is the secret under which keys are hashed. It lives apart from the
// tables, so that who reads these can't try keys out.
type Pepper struct{ secret []byte }

// minPepper is the least length of a pepper, in bytes.
const minPepper = 16

// NewPepper makes a pepper of at least 16 bytes.
func NewPepper(secret string) (Pepper, error) {
	if len(secret) < minPepper {
		return Pepper{}, errors.New("is shorter than 16 bytes: use a long random text, such as the output of openssl rand -hex 32")
	}
	return Pepper{[]byte(secret)}, nil
}

// Hash is what a key is found by: HMAC-SHA-256 in unpadded base64url, which is
// fit for a row's key.
func (p Pepper) Hash(key string) string {
	mac := hmac.New(sha256.New, p.secret)
	mac.Write([]byte(key))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
