package split

import (
	"bytes"
	"unicode/utf8"
)

// Cut returns the last place in text after from where a piece ends whatever follows
// the text, or from if there is none. It doesn't cut a text between < and > of up to
// longest bytes, which may be a special token. In every encoding here:
//
//   - a piece ends between a character that isn't white space and a space or tab;
//   - a piece ends between a line end and a character that is neither white space nor
//     a slash;
//   - a piece ends between a letter and a symbol other than an apostrophe.
func Cut(text []byte, from, longest int) int {
	t := table()
	for at := len(text); at > from; {
		char, size := utf8.DecodeLastRune(text[:at])
		at -= size
		if at <= from || char == utf8.RuneError && size == 1 {
			continue
		}
		before, size := utf8.DecodeLastRune(text[:at])
		if before == utf8.RuneError && size == 1 || !t.endBetween(before, char) {
			continue
		}
		window := text[max(0, at-longest):at]
		if open := bytes.LastIndexByte(window, '<'); open < 0 || bytes.IndexByte(window[open:], '>') >= 0 {
			return at
		}
	}
	return from
}

// endBetween reports whether a piece surely ends between two characters.
func (t *classes) endBetween(before, char rune) bool {
	switch {
	case t[before]&space == 0 && (char == ' ' || char == '\t'):
		return true
	case before == '\n' || before == '\r':
		return t[char]&space == 0 && char != '/'
	}
	return t[before]&letters != 0 && t[char]&symbol != 0 && char != '\''
}
