package chat

import (
	"bytes"
	"errors"
	"unicode"
	"unicode/utf8"
)

var (
	errRepeated = errors.New("is there twice, perhaps in another case")
	errSpelling = errors.New("is spelled in another case")
)

// keyError says what is wrong with a key. It names it only if it is a known
// one: any other could hold the caller's text.
type keyError struct {
	problem error
	name    string
}

func (e *keyError) Error() string { return e.problem.Error() }

func (e *keyError) Unwrap() error { return e.problem }

// spelling says which keys of an object are the same key.
type spelling struct {
	// folded: keys that differ only in case are the same, since some upstreams
	// match names without regard to case.
	folded bool
	// known are the names that such an upstream would read another spelling
	// as. That spelling alone is an error then: it would pass unseen here.
	known map[string]bool
}

var exactly = spelling{}

func (how spelling) wrong(problem error, name []byte) error {
	if how.known[string(name)] {
		return &keyError{problem, string(name)}
	}
	return &keyError{problem, ""}
}

// keySet holds the keys of the objects being walked, innermost last, so that
// one backing array serves a whole body.
type keySet struct {
	stack [][]byte
}

// fewKeys is up to how many keys an object's are compared one by one.
const fewKeys = 16

// distinct walks an object of which no two keys may be the same.
func (s *scanner) distinct(how spelling, field func(key []byte) error) error {
	base := len(s.keys.stack)
	var many map[string]bool
	err := s.object(func(key []byte) error {
		name := key
		if how.folded {
			name = fold(key)
		}
		switch {
		case !s.keys.add(base, name, &many):
			return how.wrong(errRepeated, name)
		case how.known[string(name)] && !bytes.Equal(name, key):
			return how.wrong(errSpelling, name)
		}
		return field(key)
	})
	s.keys.stack = s.keys.stack[:base]
	return err
}

// add reports whether name is new among the keys from base on. Beyond a few
// they go to the map many: comparing all pairs would be quadratic.
func (k *keySet) add(base int, name []byte, many *map[string]bool) bool {
	if *many != nil {
		if (*many)[string(name)] {
			return false
		}
		(*many)[string(name)] = true
		return true
	}
	for _, key := range k.stack[base:] {
		if bytes.Equal(key, name) {
			return false
		}
	}
	if k.stack = append(k.stack, name); len(k.stack)-base > fewKeys {
		*many = make(map[string]bool, 4*fewKeys)
		for _, key := range k.stack[base:] {
			(*many)[string(key)] = true
		}
	}
	return true
}

// fold returns the key in the one spelling that stands for all that differ
// from it only in case. It folds as encoding/json does (so the Kelvin sign is a
// k and the long s an s), and takes the dotted and dotless i for an i, as
// upstreams written for other runtimes may.
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
