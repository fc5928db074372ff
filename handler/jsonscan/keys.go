package jsonscan

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"
)

var (
	// ErrRepeated means that an object has a key twice.
	ErrRepeated = errors.New("is there twice, perhaps in another case")
	// ErrSpelling means that a known key is spelled in another case.
	ErrSpelling = errors.New("is spelled in another case")
)

// A KeyError says which key of an object is refused, and why. Its message doesn't
// hold the key.
type KeyError struct {
	// Err is ErrRepeated or ErrSpelling.
	Err error
	// Key is the key as it is written. It may be anything that the caller made up.
	Key string
	// Known is the key's spelling in Keys.Known. It is empty if the key isn't there.
	Known string
}

func (e *KeyError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

// Keys say which keys of an object are the same key. With the zero Keys only equal
// keys are.
type Keys struct {
	// Fold takes keys that differ only in case for the same, since some readers match
	// names without regard to case. It folds as encoding/json does (so the Kelvin sign
	// is a k and the long s an s), and takes the dotted and the dotless i for an i, as
	// readers written for other runtimes may.
	Fold bool
	// Known are names, in lower case, that must be spelled as they are here. A reader
	// that folds would take another spelling for the name, while a caller of Distinct
	// that compares keys exactly would miss it.
	Known map[string]bool
}

// fewKeys is up to how many keys an object's are compared one by one. Beyond, they go
// to a map: comparing all pairs would take quadratic time.
const fewKeys = 16

// Distinct walks an object as Object does, and refuses a key that is there already,
// and a known one in another spelling, with a *KeyError.
func (s *Scanner) Distinct(keys Keys, field func(key []byte) error) error {
	base := len(s.keys)
	var many map[string]bool
	err := s.object(func(key []byte) error {
		name := key
		if keys.Fold {
			name = fold(key)
		}
		switch {
		case !s.addKey(base, name, &many):
			return keys.refuse(ErrRepeated, key, name)
		case keys.Known[string(name)] && !bytes.Equal(name, key):
			return keys.refuse(ErrSpelling, key, name)
		}
		return field(key)
	})
	s.keys = s.keys[:base]
	return err
}

// SkipDistinct consumes a value of any kind, in which every object, at any depth, must
// be one that Distinct accepts.
func (s *Scanner) SkipDistinct(keys Keys) error {
	switch s.Peek() {
	case '{':
		return s.Distinct(keys, func([]byte) error { return s.SkipDistinct(keys) })
	case '[':
		return s.Array(func(int) error { return s.SkipDistinct(keys) })
	}
	return s.Skip()
}

func (k Keys) refuse(problem error, key, name []byte) error {
	err := &KeyError{Err: problem, Key: string(key)}
	if k.Known[string(name)] {
		err.Known = string(name)
	}
	return err
}

// addKey reports whether name is new among the object's keys, which begin at base in
// s.keys, or are in the map many if that is there.
func (s *Scanner) addKey(base int, name []byte, many *map[string]bool) bool {
	if *many != nil {
		if (*many)[string(name)] {
			return false
		}
		(*many)[string(name)] = true
		return true
	}
	for _, key := range s.keys[base:] {
		if bytes.Equal(key, name) {
			return false
		}
	}
	if s.keys = append(s.keys, name); len(s.keys)-base > fewKeys {
		*many = make(map[string]bool, 4*fewKeys)
		for _, key := range s.keys[base:] {
			(*many)[string(key)] = true
		}
	}
	return true
}

// fold returns the key in the one spelling that all keys have that differ from it only
// in case.
func fold(key []byte) []byte {
	for _, c := range key {
		if c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return bytes.Map(foldRune, key)
		}
	}
	return key
}

func foldRune(r rune) rune {
	if r == 'İ' || r == 'ı' {
		return 'i'
	}
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return unicode.ToLower(least)
}
