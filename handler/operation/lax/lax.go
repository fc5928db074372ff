// Package lax reads answers leniently: since they cost money, as much of them as possible
// is read, whatever a server makes of the format. All operations share it.
package lax

import (
	"bytes"
	"strconv"
	"strings"

	"tollgate/handler/jsonscan"
)

// Options are the options for reading answers.
var Options = jsonscan.Options{MaxDepth: 512, Lax: true}

// Text reads a string, or as much of one as there is before it breaks off, and unescapes
// it. text is valid until scratch is used again; unescaped is scratch, grown to hold it.
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

// MeansSomething consumes a value and reports whether it isn't just some form of
// nothing: some servers send an error field with every answer.
func MeansSomething(s *jsonscan.Scanner) (found bool, err error) {
	inner := func() error {
		more, err := MeansSomething(s)
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
