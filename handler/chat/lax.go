package chat

import (
	"bytes"
	"strconv"
	"strings"
)

// maxLaxDepth is how deep arrays and objects may nest in an answer, which was paid
// for.
const maxLaxDepth = 512

// noNumber consumes one of the words that encoders write for a float that JSON
// has no number for, if one is next.
func (s *scanner) noNumber() bool {
	rest := s.data[s.pos:]
	rest = rest[:min(len(rest), len("-Infinity"))]
	sign := 0
	if len(rest) > 0 && (rest[0] == '-' || rest[0] == '+') {
		sign = 1
	}
	for _, word := range []string{"Infinity", "NaN", "Inf"} {
		if n := sign + len(word); n <= len(rest) && strings.EqualFold(string(rest[sign:n]), word) {
			s.pos += n
			return true
		}
	}
	return false
}

// says consumes a value and reports whether it says anything: some servers always
// have a field for errors.
func (s *scanner) says() (says bool, err error) {
	inner := func() error {
		more, err := s.says()
		says = says || more
		return err
	}
	switch s.space() {
	case '{':
		err = s.object(func([]byte) error { return inner() })
		return says, err
	case '[':
		err = s.array(func(int) error { return inner() })
		return says, err
	case '"':
		raw, escaped, err := s.string()
		return !isNone(raw, escaped), err
	case 'n', 'f':
		return false, s.skip()
	}
	start := s.pos
	if err = s.skip(); err != nil {
		return false, err
	}
	number, _ := strconv.ParseFloat(string(s.data[start:s.pos]), 64)
	return number != 0 || s.data[start] == 't', nil
}

// isNone is whether a string stands for none: blank, or the word for it in JSON,
// JavaScript or Python.
func isNone(raw []byte, escaped bool) bool {
	if len(raw) > 64 {
		return false
	}
	if escaped {
		raw = unescape(nil, raw)
	}
	switch strings.ToLower(string(bytes.TrimSpace(raw))) {
	case "", "null", "undefined", "none":
		return true
	}
	return false
}
