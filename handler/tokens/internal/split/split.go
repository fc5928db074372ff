// Package split cuts text into the pieces within which tokens are merged. It cuts as the
// regular expression of each encoding does, but in linear time and without running it: a
// table holds the character classes of every code point, and each encoding's Next walks
// the text by these classes.
//
// Start reading at [DeepSeek.Next].
package split

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// The character classes of the patterns, as bits. A character without any is a control
// or format character, or unassigned.
const (
	upper  = 1 << iota // Lu, Lt
	lower              // Ll
	letter             // Lm, Lo
	mark               // M
	symbol             // P, S
	space              // \s
	number             // N
	han                // DeepSeek's second split

	letters = upper | lower | letter
	words   = letters | mark
)

// classes holds the bits of every code point.
type classes [unicode.MaxRune + 1]uint8

// table returns the classes, which the first call computes.
var table = sync.OnceValue(func() *classes {
	var t classes
	for bit, in := range map[uint8][]*unicode.RangeTable{
		upper: {unicode.Lu, unicode.Lt}, lower: {unicode.Ll}, letter: {unicode.Lm, unicode.Lo}, mark: {unicode.M},
		symbol: {unicode.P, unicode.S}, space: {unicode.White_Space}, number: {unicode.N},
		han: {{R16: []unicode.Range16{{Lo: '\u3040', Hi: '\u30FF', Stride: 1}, {Lo: '一', Hi: '龥', Stride: 1}}}},
	} {
		for _, ranges := range in {
			for _, r := range ranges.R16 {
				t.add(bit, rune(r.Lo), rune(r.Hi), rune(r.Stride))
			}
			for _, r := range ranges.R32 {
				t.add(bit, rune(r.Lo), rune(r.Hi), rune(r.Stride))
			}
		}
	}
	return &t
})

func (t *classes) add(bit uint8, low, high, stride rune) {
	for char := low; char <= high; char += stride {
		t[char] |= bit
	}
}

// at returns the class of the character at i, and the index of the next character. The
// text must be UTF-8.
func (t *classes) at(text []byte, i int) (class uint8, next int) {
	if b := text[i]; b < utf8.RuneSelf {
		return t[b], i + 1
	}
	return t.wide(text, i)
}

func (t *classes) wide(text []byte, i int) (class uint8, next int) {
	switch lead := rune(text[i]); {
	case lead < 0xE0:
		return t[lead&0x1F<<6|rune(text[i+1]&0x3F)], i + 2
	case lead < 0xF0:
		return t[lead&0x0F<<12|rune(text[i+1]&0x3F)<<6|rune(text[i+2]&0x3F)], i + 3
	default:
		return t[lead&0x07<<18|rune(text[i+1]&0x3F)<<12|rune(text[i+2]&0x3F)<<6|rune(text[i+3]&0x3F)], i + 4
	}
}

// is reports whether there is a character at i that has one of the bits.
func (t *classes) is(text []byte, i int, bits uint8) bool {
	if i >= len(text) {
		return false
	}
	class, _ := t.at(text, i)
	return class&bits != 0
}

// run returns the end of the characters from i on that have one of the bits, and none
// of those in but.
func (t *classes) run(text []byte, i int, bits, but uint8) int {
	for i < len(text) {
		if b := text[i]; b < utf8.RuneSelf { // no ASCII character has a bit of but
			if t[b]&bits == 0 {
				return i
			}
			i++
			continue
		}
		class, next := t.wide(text, i)
		if class&bits == 0 || class&but != 0 {
			return i
		}
		i = next
	}
	return i
}

// upTo is run, but stops after most characters.
func (t *classes) upTo(most int, text []byte, i int, bits uint8) int {
	for ; most > 0 && t.is(text, i, bits); most-- {
		_, i = t.at(text, i)
	}
	return i
}

// blanks returns the end of the piece that begins with white space at i, by the
// patterns \s*[\r\n]+|\s+(?!\S)|\s+ in that order: after the last line end in the white
// space; without one, after all of it if the text ends there or a character of the
// classes in closes follows, as an earlier split hides that from the pattern; otherwise
// before the last white space character, or after it if it is the only one.
func (t *classes) blanks(text []byte, i int, closes uint8) int {
	last, line := i, 0
	end := i
	for end < len(text) {
		class, next := t.at(text, end)
		if class&space == 0 {
			if class&closes != 0 {
				last = i
			}
			break
		}
		if text[end] == '\n' || text[end] == '\r' {
			line = next
		}
		last, end = end, next
	}
	switch {
	case line > 0:
		return line
	case end == len(text), last == i:
		return end
	}
	return last
}

// lines returns the end of the line ends from i on.
func lines(text []byte, i int) int {
	for i < len(text) && (text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}
