package split

import (
	"bytes"
	"unicode/utf8"
)

// Cut is the last place of a text after from where a piece ends whatever
// follows the text, and where none of the texts of up to longest bytes between
// < and > is cut; from if there is none. It holds for every encoding here:
//
//   - what isn't white space ends before a space or a tab;
//   - a line end ends before what is neither white space nor a slash;
//   - a letter ends before a symbol other than an apostrophe.
func Cut(text []byte, from, longest int) int {
	t := table()
	for at := len(text); at > from; {
		char, size := utf8.DecodeLastRune(text[:at])
		at -= size
		if at <= from || char == utf8.RuneError && size == 1 {
			continue
		}
		before, size := utf8.DecodeLastRune(text[:at])
		if before == utf8.RuneError && size == 1 || !t.parts(before, char) {
			continue
		}
		window := text[max(0, at-longest):at]
		if open := bytes.LastIndexByte(window, '<'); open < 0 || bytes.IndexByte(window[open:], '>') >= 0 {
			return at
		}
	}
	return from
}

// parts says whether a piece ends between two characters.
func (t *classes) parts(before, char rune) bool {
	switch {
	case t[before]&space == 0 && (char == ' ' || char == '\t'):
		return true
	case before == '\n' || before == '\r':
		return t[char]&space == 0 && char != '/'
	}
	return t[before]&letters != 0 && t[char]&symbol != 0 && char != '\''
}
