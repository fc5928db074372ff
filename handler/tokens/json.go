package tokens

import (
	"bytes"

	"tollgate/handler/jsonscan"
)

func scan(value []byte) jsonscan.Scanner { return jsonscan.New(value, jsonscan.Options{}) }

// member returns the value of an object's member, the last of that name, or nil if
// there is none.
func member(object []byte, name string) (value []byte) {
	s := scan(object)
	_ = s.Object(func(key []byte) error { // anything but an object has no members
		found, err := s.Value()
		if string(key) == name {
			value = found
		}
		return err
	})
	return value
}

// is reports whether a JSON value is a string with the given text.
func is(value []byte, text string) bool {
	if len(value) < 2 || value[0] != '"' {
		return false
	}
	raw := value[1 : len(value)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) == text
	}
	if len(raw) > len(`\u0000`)*len(text) { // longer than text with every character escaped
		return false
	}
	var buffer [128]byte
	return string(jsonscan.AppendUnescaped(buffer[:0], raw)) == text
}

// appendText appends the value of a JSON string, and nothing for any other value.
func appendText(to, value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return to
	}
	return jsonscan.AppendUnescaped(to, value[1:len(value)-1])
}
