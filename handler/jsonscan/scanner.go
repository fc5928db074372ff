package jsonscan

import (
	"errors"
	"strings"
)

// MaxDepth is the deepest nesting of arrays and objects unless [Options] sets another.
// The standard library allows 10,000, far more than any caller sends.
const MaxDepth = 64

var (
	// ErrSyntax means that the text isn't JSON, or that the next value isn't of the
	// kind that was asked for.
	ErrSyntax = errors.New("not JSON")
	// ErrDepth means that arrays and objects nest too deeply.
	ErrDepth = errors.New("nested too deep")
	// ErrElements means that there are too many elements.
	ErrElements = errors.New("too many elements")
)

// Options defines what a Scanner accepts.
type Options struct {
	// MaxDepth is the deepest nesting of arrays and objects. 0 means the constant
	// MaxDepth.
	MaxDepth int
	// MaxElements is the most objects, keys and strings, for callers that keep
	// something for each. Numbers don't count, as a list of token ids may be long.
	// 0 means any number.
	MaxElements int
	// Distinct refuses an object with a repeated key, even one that is skipped.
	Distinct bool
	// Lax accepts some servers' violations of the grammar: NaN, Infinity and Inf in
	// any case and with either sign, and control characters in strings.
	Lax bool
}

// A Scanner walks JSON text value by value. Every method starts at the next value,
// after any white space, and stops right after what it consumed. After an error,
// [Scanner.Pos] is at the fault or at the start of the string that contains it.
//
// A Scanner is a value. A copy is a bookmark: assign it back to read from there again.
type Scanner struct {
	data     []byte
	pos      int
	depth    int
	elements int // objects, keys and strings so far
	options  Options
	keys     [][]byte // of the Distinct objects being walked, innermost last
}

// New returns a Scanner at the start of data, which must not change while the
// Scanner or anything it returned is in use.
func New(data []byte, options Options) Scanner {
	if options.MaxDepth == 0 {
		options.MaxDepth = MaxDepth
	}
	return Scanner{data: data, options: options}
}

// Pos returns the offset of the next byte to be read.
func (s *Scanner) Pos() int { return s.pos }

// Since returns the text from start, an earlier Pos, to the current one.
func (s *Scanner) Since(start int) []byte { return s.data[start:s.pos] }

// Rest returns the text that hasn't been read.
func (s *Scanner) Rest() []byte { return s.data[s.pos:] }

// AtEnd reports whether nothing but white space is left.
func (s *Scanner) AtEnd() bool {
	s.Peek()
	return s.pos == len(s.data)
}

// Peek moves to the next byte that isn't white space and returns it. It is the first
// byte of the next value and identifies its kind. Peek returns 0 at the end.
func (s *Scanner) Peek() byte {
	if s.pos < len(s.data) && s.data[s.pos] > ' ' { // the common case, short enough to be inlined
		return s.data[s.pos]
	}
	return s.skipSpace()
}

func (s *Scanner) skipSpace() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// Object walks an object. It calls field for each key, unescaped, with the Scanner at
// the key's value, which field must consume. It returns field's first error.
func (s *Scanner) Object(field func(key []byte) error) error {
	if s.options.Distinct {
		return s.Distinct(Keys{}, field)
	}
	return s.walkObject(field)
}

func (s *Scanner) walkObject(field func(key []byte) error) error {
	if s.Peek() != '{' {
		return ErrSyntax
	}
	if err := s.element(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.Peek() == '}' {
		return s.leave()
	}
	for {
		if err := s.member(field); err != nil {
			return err
		}
		switch s.Peek() {
		case ',':
			s.pos++
		case '}':
			return s.leave()
		default:
			return ErrSyntax
		}
	}
}

func (s *Scanner) member(field func(key []byte) error) error {
	key, escaped, err := s.String()
	if err != nil {
		return err
	}
	if escaped {
		key = AppendUnescaped(nil, key)
	}
	if s.Peek() != ':' {
		return ErrSyntax
	}
	s.pos++
	s.Peek()
	return field(key)
}

// Array walks an array. It calls item for each element, counted from 0, with the
// Scanner at the element, which item must consume. It returns item's first error.
func (s *Scanner) Array(item func(i int) error) error {
	if s.Peek() != '[' {
		return ErrSyntax
	}
	if err := s.enter(); err != nil {
		return err
	}
	if s.Peek() == ']' {
		return s.leave()
	}
	for i := 0; ; i++ {
		if err := item(i); err != nil {
			return err
		}
		switch s.Peek() {
		case ',':
			s.pos++
			s.Peek()
		case ']':
			return s.leave()
		default:
			return ErrSyntax
		}
	}
}

// element counts an object, key or string.
func (s *Scanner) element() error {
	if s.elements++; s.elements > s.options.MaxElements && s.options.MaxElements > 0 {
		return ErrElements
	}
	return nil
}

func (s *Scanner) enter() error {
	if s.depth++; s.depth > s.options.MaxDepth {
		return ErrDepth
	}
	s.pos++
	return nil
}

func (s *Scanner) leave() error {
	s.depth--
	s.pos++
	return nil
}

// Value consumes a value of any kind and returns its text.
func (s *Scanner) Value() ([]byte, error) {
	s.Peek()
	start := s.pos
	err := s.Skip()
	return s.Since(start), err
}

// Skip consumes a value of any kind.
func (s *Scanner) Skip() error {
	c := s.Peek()
	switch c {
	case '{':
		return s.Object(func([]byte) error { return s.Skip() })
	case '[':
		return s.Array(func(int) error { return s.Skip() })
	case '"':
		_, _, err := s.String()
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		if s.Literal("null") {
			return nil
		}
	}
	if s.options.Lax && (c < '0' || c > '9') && s.notNumber() {
		return nil
	}
	_, err := s.Number()
	return err
}

func (s *Scanner) word(text string) error {
	if !s.Literal(text) {
		return ErrSyntax
	}
	return nil
}

// Literal consumes text, such as true, false or null, if it comes next, and reports
// whether it did.
func (s *Scanner) Literal(text string) bool {
	s.Peek()
	if end := s.pos + len(text); end <= len(s.data) && string(s.data[s.pos:end]) == text {
		s.pos = end
		return true
	}
	return false
}

// notNumber consumes NaN or an infinity, in any of the spellings that JSON encoders use,
// if one comes next, and reports whether it did.
func (s *Scanner) notNumber() bool {
	rest := s.Rest()
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

// Number consumes a number and returns its text.
func (s *Scanner) Number() ([]byte, error) {
	s.Peek()
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	switch {
	case s.at('0'):
		s.pos++
	case s.digits() == 0:
		return nil, ErrSyntax
	}
	if s.at('.') {
		if s.pos++; s.digits() == 0 {
			return nil, ErrSyntax
		}
	}
	if s.at('e') || s.at('E') {
		if s.pos++; s.at('+') || s.at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return nil, ErrSyntax
		}
	}
	return s.Since(start), nil
}

func (s *Scanner) at(c byte) bool {
	return s.pos < len(s.data) && s.data[s.pos] == c
}

func (s *Scanner) digits() (n int) {
	for ; s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9'; s.pos++ {
		n++
	}
	return n
}
