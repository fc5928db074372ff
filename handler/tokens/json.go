package tokens

import (
	"bytes"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// errJSON is JSON that ends early or isn't JSON where it is read.
var errJSON = errors.New("not JSON")

// cursor walks the elements of a JSON array or the members of an object. It
// checks only what it needs to get on.
type cursor struct {
	text []byte
	at   int
	err  error
}

// list begins a walk through a JSON value that begins with open, [ or {.
func list(value []byte, open byte) (cursor, bool) {
	value = bytes.TrimLeft(value, " \t\r\n")
	if len(value) == 0 || value[0] != open {
		return cursor{}, false
	}
	return cursor{text: value, at: 1}, true
}

// element is the next element of an array; false at its end or on an error.
func (c *cursor) element() (value []byte, ok bool) {
	c.space(',')
	if c.err != nil || c.at >= len(c.text) || c.text[c.at] == ']' {
		if c.at >= len(c.text) {
			c.err = errJSON
		}
		return nil, false
	}
	return c.value(), c.err == nil
}

// member is the next member of an object, its name in quotes.
func (c *cursor) member() (name, value []byte, ok bool) {
	c.space(',')
	if c.err != nil || c.at >= len(c.text) || c.text[c.at] != '"' {
		if c.at >= len(c.text) || c.text[c.at] != '}' {
			c.err = errJSON
		}
		return nil, nil, false
	}
	name = c.value()
	c.space(':')
	return name, c.value(), c.err == nil
}

// space skips white space, and separators among it.
func (c *cursor) space(separator byte) {
	for c.at < len(c.text) {
		switch b := c.text[c.at]; {
		case b == ' ', b == '\t', b == '\n', b == '\r', b == separator:
			c.at++
		default:
			return
		}
	}
}

// value is the value that begins here, as it is written.
func (c *cursor) value() []byte {
	start, depth := c.at, 0
	for c.at < len(c.text) {
		switch c.text[c.at] {
		case '"':
			c.quoted()
		case '[', '{':
			depth++
			c.at++
		case ']', '}':
			depth--
			c.at++
		case ',', ':', ' ', '\t', '\n', '\r':
			c.at++
		default:
			c.word()
		}
		if depth <= 0 || c.err != nil {
			break
		}
	}
	if c.err != nil || depth != 0 || c.at == start {
		c.err = errJSON
		return nil
	}
	return c.text[start:c.at]
}

// word skips a number, true, false or null.
func (c *cursor) word() {
	for c.at < len(c.text) {
		switch c.text[c.at] {
		case ',', ':', ']', '}', '[', '{', '"', ' ', '\t', '\n', '\r':
			return
		}
		c.at++
	}
}

// quoted skips a string.
func (c *cursor) quoted() {
	for c.at++; c.at < len(c.text); c.at++ {
		next := bytes.IndexByte(c.text[c.at:], '"')
		if next < 0 {
			break
		}
		end := c.at + next
		backslashes := 0
		for c.text[end-1-backslashes] == '\\' {
			backslashes++
		}
		if c.at = end; backslashes%2 == 0 {
			c.at++
			return
		}
	}
	c.at, c.err = len(c.text), errJSON
}

// is says whether a JSON string, in quotes, has a value.
func is(quoted []byte, value string) bool {
	if len(quoted) < 2 || quoted[0] != '"' {
		return false
	}
	if text := quoted[1 : len(quoted)-1]; bytes.IndexByte(text, '\\') < 0 {
		return string(text) == value
	}
	if len(quoted) > 6*len(value)+2 { // longer than with every character escaped
		return false
	}
	var buffer [128]byte
	return string(appendText(buffer[:0], quoted)) == value
}

// appendText adds the value of a JSON string as UTF-8; nothing for what is none.
func appendText(to, quoted []byte) []byte {
	if len(quoted) < 2 || quoted[0] != '"' {
		return to
	}
	for text := quoted[1 : len(quoted)-1]; ; {
		escape := bytes.IndexByte(text, '\\')
		if escape < 0 || escape+1 == len(text) {
			return append(to, text...)
		}
		to = append(to, text[:escape]...)
		var size int
		to, size = appendEscape(to, text[escape:])
		text = text[escape+size:]
	}
}

// appendEscape adds what the escape stands for that text begins with, and says
// how long it is.
func appendEscape(to, text []byte) ([]byte, int) {
	switch text[1] {
	case 'b':
		return append(to, '\b'), 2
	case 'f':
		return append(to, '\f'), 2
	case 'n':
		return append(to, '\n'), 2
	case 'r':
		return append(to, '\r'), 2
	case 't':
		return append(to, '\t'), 2
	case 'u':
		char := hex(text)
		if utf16.IsSurrogate(char) {
			if pair := utf16.DecodeRune(char, hex(text[min(6, len(text)):])); pair != utf8.RuneError {
				return utf8.AppendRune(to, pair), 12
			}
		}
		return utf8.AppendRune(to, char), min(6, len(text)) // half a pair becomes U+FFFD
	}
	return append(to, text[1]), 2 // a quote, a slash or a backslash
}

// hex is the code unit of the \u escape that a text begins with; U+FFFD if it
// doesn't.
func hex(text []byte) (unit rune) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return utf8.RuneError
	}
	for _, b := range text[2:6] {
		switch {
		case b >= '0' && b <= '9':
			unit = unit<<4 | rune(b-'0')
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			unit = unit<<4 | rune(b|0x20-'a'+10)
		default:
			return utf8.RuneError
		}
	}
	return unit
}
