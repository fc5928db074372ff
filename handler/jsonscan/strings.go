package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// String consumes a string and returns the text between its quotes. If escaped is
// false that is the string's value; otherwise AppendUnescaped returns the value.
// String accepts bytes that aren't UTF-8.
func (s *Scanner) String() (raw []byte, escaped bool, err error) {
	if s.Peek() != '"' {
		return nil, false, ErrSyntax
	}
	if err := s.element(); err != nil {
		return nil, false, err
	}
	start := s.pos + 1
	for i := start; ; {
		i = plain(s.data, i)
		if i >= len(s.data) {
			return nil, false, ErrSyntax
		}
		switch s.data[i] {
		case '"':
			s.pos = i + 1
			return s.data[start:i], escaped, nil
		case '\\':
			n := escapeLen(s.data[i:])
			if n == 0 {
				return nil, false, ErrSyntax
			}
			escaped = true
			i += n
		default: // a control character
			if !s.options.Lax {
				return nil, false, ErrSyntax
			}
			i++
		}
	}
}

// PlainLen returns the number of bytes before the first quote, backslash or control
// character in text: those that stand for themselves inside a string.
func PlainLen(text []byte) int { return plain(text, 0) }

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns the index of the first quote, backslash or control character from i
// on. It tests eight bytes at a time, since prompts and answers are mostly long
// strings: (w - c·ones) &^ w & highs marks the bytes below c, correctly up to the
// lowest.
func plain(data []byte, i int) int {
	for ; i+8 <= len(data); i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		quote, slash := w^('"'*ones), w^('\\'*ones)
		marks := ((w - ' '*ones) &^ w) | ((quote - ones) &^ quote) | ((slash - ones) &^ slash)
		if marks &= highs; marks != 0 {
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c < ' ' || c == '"' || c == '\\' {
			return i
		}
	}
	return i
}

// StringPrefix returns the longest prefix of text, an incomplete string, that
// AppendUnescaped can decode by itself. The prefix ends before the closing quote,
// before an incomplete or invalid escape, and before the first half of a surrogate pair
// whose second half hasn't arrived. It may contain control characters.
func StringPrefix(text []byte) []byte {
	end, half := 0, false // half: the escape before end is the first half of a pair
	for {
		next := plain(text, end)
		switch {
		case next > end:
			end, half = next, false
			continue
		case end < len(text) && text[end] < ' ':
			end, half = end+1, false
			continue
		}
		n := escapeLen(text[end:])
		if n == 0 && half {
			end -= len(`\u0000`)
		}
		if n == 0 {
			return text[:end]
		}
		unit, ok := codeUnit(text[end:])
		end, half = end+n, ok && isFirstHalf(unit)
	}
}

// isFirstHalf reports whether a UTF-16 code unit is the first of a surrogate pair.
func isFirstHalf(unit rune) bool { return 0xD800 <= unit && unit < 0xDC00 }

// escapeLen returns the length of the escape at the start of b in bytes, or 0 if there
// is none.
func escapeLen(b []byte) int {
	if len(b) < 2 || b[0] != '\\' {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := codeUnit(b); ok {
			return 6
		}
	}
	return 0
}

// codeUnit returns the UTF-16 code unit of an escape like \u0041 at the start of b.
func codeUnit(b []byte) (unit rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

// AppendUnescaped appends the value of a string to dst. raw is the string's text
// between the quotes, as returned by [Scanner.String] or [StringPrefix]. Half of a
// surrogate pair becomes U+FFFD, as in encoding/json. Bytes that aren't UTF-8 are kept.
func AppendUnescaped(dst, raw []byte) []byte {
	dst = slices.Grow(dst, len(raw)) // no value is longer than its text
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			n := plain(raw, i+1)
			dst = append(dst, raw[i:n]...)
			i = n
			continue
		}
		unit, ok := codeUnit(raw[i:])
		if !ok {
			if i+1 < len(raw) { // always, if raw came from String
				dst = append(dst, simpleEscape(raw[i+1]))
			}
			i += 2
			continue
		}
		i += len(`\u0000`)
		if utf16.IsSurrogate(unit) {
			second, _ := codeUnit(raw[i:])
			if unit = utf16.DecodeRune(unit, second); unit != utf8.RuneError {
				i += len(`\u0000`)
			}
		}
		dst = utf8.AppendRune(dst, unit)
	}
	return dst
}

func simpleEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
