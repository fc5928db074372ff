// Package lax reads answers leniently. An answer costs money even if its server strays
// from the format, so as much of it as possible is read. All operations share it.
//
// Start reading at [Options] and [Usage].
package lax

import (
	"bytes"
	"strconv"
	"strings"

	"tollgate/handler/jsonscan"
)

// Options are the options for reading answers.
var Options = jsonscan.Options{MaxDepth: 512, Lax: true}

// Text reads a string, or the part of one that precedes a fault or the end of the data,
// and unescapes it. It unescapes into scratch, growing it if necessary, and returns that
// as unescaped, to be the scratch of the next call; text is valid until then.
func Text(s *jsonscan.Scanner, scratch []byte) (text, unescaped []byte, err error) {
	raw, escaped, err := s.String()
	if err != nil {
		raw, escaped = jsonscan.StringPrefix(s.Rest()[1:]), true
	}
	if !escaped {
		return raw, scratch, err
	}
	scratch = jsonscan.AppendUnescaped(scratch[:0], raw)
	return scratch, scratch, err
}

// NonEmpty consumes a value and reports whether anything in it, at any depth, is more
// than null, false, 0, an empty list or object, or a string for which IsNone is true:
// some servers send such an error field with every answer.
func NonEmpty(s *jsonscan.Scanner) (found bool, err error) {
	inner := func() error {
		more, err := NonEmpty(s)
		found = found || more
		return err
	}
	switch s.Peek() {
	case '{':
		err = s.Object(func([]byte) error { return inner() })
		return found, err
	case '[':
		err = s.Array(func(int) error { return inner() })
		return found, err
	case '"':
		raw, escaped, err := s.String()
		return !IsNone(raw, escaped), err
	case 'n', 'f':
		return false, s.Skip()
	}
	value, err := s.Value()
	if err != nil {
		return false, err
	}
	number, _ := strconv.ParseFloat(string(value), 64)
	return number != 0 || value[0] == 't', nil
}

// IsNone reports whether a string is blank, or the word for no value in JSON,
// JavaScript or Python.
func IsNone(raw []byte, escaped bool) bool {
	if len(raw) > 64 {
		return false
	}
	if escaped {
		raw = jsonscan.AppendUnescaped(nil, raw)
	}
	switch strings.ToLower(string(bytes.TrimSpace(raw))) {
	case "", "null", "undefined", "none":
		return true
	}
	return false
}
