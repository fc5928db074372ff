package jsonscan

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"
)

var (
	// ErrRepeated means that a key appears twice in an object.
	ErrRepeated = errors.New("appears twice, perhaps in another case")
	// ErrSpelling means that a known key is spelled in another case.
	ErrSpelling = errors.New("is spelled in another case")
)

// A KeyError names the key of an object that was refused, and why. Its message
// doesn't contain the key.
type KeyError struct {
	// Err is ErrRepeated or ErrSpelling.
	Err error
	// Key is the key as written in the text, so it may be anything.
	Key string
	// Known is the key's spelling in Keys.Known, empty if it isn't a known key.
	Known string
}

func (e *KeyError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

// Keys defines which keys of an object count as the same. With the zero Keys, only
// equal keys do.
type Keys struct {
	// Fold treats keys that differ only in case as the same, since some readers ignore
	// case. It folds like encoding/json (so the Kelvin sign is a k and the long s an
	// s), and treats the dotted and the dotless i as an i, as readers written for other
	// runtimes may.
	Fold bool
	// Known are lower-case names that must be spelled exactly. A reader that ignores
	// case would accept another spelling, while a caller of Distinct that compares keys
	// exactly would miss it.
	Known map[string]bool
}

// fewKeys is the most keys that are compared one by one. With more, a map is used, as
// comparing all pairs would take quadratic time.
const fewKeys = 16

// Distinct walks an object like Object, but refuses a repeated key, and a known key in
// another spelling, with a *KeyError.
func (s *Scanner) Distinct(keys Keys, field func(key []byte) error) error {
	base := len(s.keys)
	var many map[string]bool
	err := s.walkObject(func(key []byte) error {
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

// SkipDistinct consumes a value of any kind. It applies Distinct to every object in it,
// at any depth.
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

// addKey adds name to the object's keys and reports whether it is new. The keys are
// s.keys[base:] or, if *many isn't nil, the map.
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
	if s.keys == nil {
		s.keys = make([][]byte, 0, fewKeys)
	}
	if s.keys = append(s.keys, name); len(s.keys)-base > fewKeys {
		*many = make(map[string]bool, 4*fewKeys)
		for _, key := range s.keys[base:] {
			(*many)[string(key)] = true
		}
	}
	return true
}

// fold returns the same spelling for all keys that differ only in case.
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
