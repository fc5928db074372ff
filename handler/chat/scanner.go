package chat

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest in a request. The standard
// library stops at 10,000, far beyond any chat completion.
const maxDepth = 64

const (
	// maxMessages is how many messages a call may have: far more than any chat,
	// and few enough that what is kept for each is small beside the body.
	maxMessages = 4096
	// maxElements is how many objects, keys and strings a body may have, for the
	// same reason. Numbers aren't among them: a list of token ids may be long.
	maxElements = 65536
)

var (
	errSyntax   = errors.New("not JSON")
	errDepth    = errors.New("nested too deep")
	errElements = errors.New("too many elements")
)

// scanner walks JSON text value by value, checking its grammar, without
// building anything.
type scanner struct {
	data  []byte
	pos   int
	depth int
	keys  *keySet // nil: repeated keys are let pass
	lax   bool    // take what servers write beside the grammar: NaN, Infinity, line breaks in strings

	elements    int // objects, keys and strings so far
	maxElements int // 0: there may be any number
}

// element counts an object, key or string.
func (s *scanner) element() error {
	if s.elements++; s.elements > s.maxElements && s.maxElements > 0 {
		return errElements
	}
	return nil
}

// space moves to the next byte that isn't white space and returns it, 0 at the
// end.
func (s *scanner) space() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// object walks an object. It calls field for each key with the scanner at its
// value, which field must consume.
func (s *scanner) object(field func(key []byte) error) error {
	if s.space() != '{' {
		return errSyntax
	}
	if err := s.element(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.space() == '}' {
		return s.leave()
	}
	for {
		if err := s.member(field); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.pos++
		case '}':
			return s.leave()
		default:
			return errSyntax
		}
	}
}

func (s *scanner) member(field func(key []byte) error) error {
	if s.space() != '"' {
		return errSyntax
	}
	key, escaped, err := s.string()
	if err != nil {
		return err
	}
	if escaped {
		key = unescape(nil, key)
	}
	if s.space() != ':' {
		return errSyntax
	}
	s.pos++
	s.space()
	return field(key)
}

// array walks an array. It calls item with the scanner at each element, which
// item must consume.
func (s *scanner) array(item func(i int) error) error {
	if s.space() != '[' {
		return errSyntax
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.space() == ']' {
		return s.leave()
	}
	for i := 0; ; i++ {
		if err := item(i); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.pos++
		case ']':
			return s.leave()
		default:
			return errSyntax
		}
	}
}

func (s *scanner) enter() error {
	limit := maxDepth
	if s.lax {
		limit = maxLaxDepth
	}
	if s.depth++; s.depth > limit {
		return errDepth
	}
	s.pos++
	return nil
}

func (s *scanner) leave() error {
	s.depth--
	s.pos++
	return nil
}

// skip walks any value. Where the scanner has a keySet, an object inside it
// must not repeat a key.
func (s *scanner) skip() error {
	switch c := s.space(); c {
	case '{':
		if s.keys != nil {
			return s.distinct(exactly, func([]byte) error { return s.skip() })
		}
		return s.object(func([]byte) error { return s.skip() })
	case '[':
		return s.array(func(int) error { return s.skip() })
	case '"':
		_, _, err := s.string()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if s.lax && s.noNumber() {
			return nil
		}
		_, err := s.number()
		return err
	}
}

// null consumes a null if one is next.
func (s *scanner) null() bool {
	return s.space() == 'n' && s.literal("null") == nil
}

func (s *scanner) literal(word string) error {
	if end := s.pos + len(word); end <= len(s.data) && string(s.data[s.pos:end]) == word {
		s.pos = end
		return nil
	}
	return errSyntax
}

// string consumes a string and returns what stands between its quotes, which
// is its value unless escaped.
func (s *scanner) string() (raw []byte, escaped bool, err error) {
	if err := s.element(); err != nil {
		return nil, false, err
	}
	start := s.pos + 1
	for i := start; ; {
		i = special(s.data, i)
		if i >= len(s.data) {
			return nil, false, errSyntax
		}
		switch s.data[i] {
		case '"':
			s.pos = i + 1
			return s.data[start:i], escaped, nil
		case '\\':
			n := escapeLength(s.data[i:])
			if n == 0 {
				return nil, false, errSyntax
			}
			escaped = true
			i += n
		default: // a control character
			if !s.lax {
				return nil, false, errSyntax
			}
			i++
		}
	}
}

// wellEscaped returns the part of a string that breaks off, perhaps in the middle
// of an escape, which can be unescaped.
func wellEscaped(text []byte) []byte {
	for i := 0; ; {
		i = special(text, i)
		switch {
		case i == len(text) || text[i] == '"':
			return text[:i]
		case text[i] != '\\':
			i++
			continue
		}
		n := escapeLength(text[i:])
		if n == 0 {
			return text[:i]
		}
		i += n
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special returns the index, from i on, of the first byte that can't stand
// plainly in a string: a quote, a backslash or a control character. Eight bytes
// are looked at together, since prompts and answers are mostly long strings:
// (w - c·ones) &^ w & highs marks the bytes below c, exactly up to the lowest.
func special(data []byte, i int) int {
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

// escapeLength returns how many bytes the escape at the start of b takes, 0 if
// it isn't one.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads an escape of the form \u0000 at the start of b.
func hex4(b []byte) (r rune, ok bool) {
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
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape appends the value of a string's raw text to dst. A lone surrogate
// becomes U+FFFD, as in encoding/json.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			n := special(raw, i+1)
			dst = append(dst, raw[i:n]...)
			i = n
			continue
		}
		if raw[i+1] != 'u' {
			dst = append(dst, simpleEscape(raw[i+1]))
			i += 2
			continue
		}
		r, _ := hex4(raw[i:])
		i += 6
		if utf16.IsSurrogate(r) {
			low, ok := hex4(raw[i:])
			pair := utf16.DecodeRune(r, low)
			if ok && pair != utf8.RuneError {
				i += 6
			}
			r = pair
		}
		dst = utf8.AppendRune(dst, r)
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

// number consumes a number and returns its text.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	switch {
	case s.at('0'):
		s.pos++
	case s.digits() == 0:
		return nil, errSyntax
	}
	if s.at('.') {
		if s.pos++; s.digits() == 0 {
			return nil, errSyntax
		}
	}
	if s.at('e') || s.at('E') {
		if s.pos++; s.at('+') || s.at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return nil, errSyntax
		}
	}
	return s.data[start:s.pos], nil
}

func (s *scanner) at(c byte) bool {
	return s.pos < len(s.data) && s.data[s.pos] == c
}

func (s *scanner) digits() (n int) {
	for ; s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9'; s.pos++ {
		n++
	}
	return n
}
