// Package fields reads the fields of calls' bodies strictly, and changes bodies by
// splicing. All operations share it, so that the same fault gets the same message in
// each.
//
// Start reading at [Body], which walks a body, and [Apply], which changes one. [Walk] and
// [Texts] describe the prompt in a body.
package fields

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
)

const (
	// MaxMessages is the most messages or items of a call: far more than any conversation
	// has, and few enough that the memory for each is small compared with the body.
	MaxMessages = 4096
	// MaxElements is the most objects, keys and strings of a body, for the same reason.
	MaxElements = 65536
)

// Body walks a call's body, an object, and calls field for each of its keys, which are
// checked against keys. It refuses anything that two readers could understand
// differently. needs completes the advice "send …" in an error: "a JSON object with
// messages". Body returns the position after the object's opening brace. The error is a
// *operation.FieldError.
func Body(body []byte, keys jsonscan.Keys, needs string, field func(s *jsonscan.Scanner, key []byte) error) (start int, err error) {
	if !utf8.Valid(body) {
		return 0, operation.Wrong("", "the body is not valid UTF-8", "send JSON in UTF-8")
	}
	s := jsonscan.New(body, jsonscan.Options{Distinct: true, MaxElements: MaxElements})
	if s.Peek() != '{' {
		return 0, notAnObject(&s, needs)
	}
	start = s.Pos() + 1
	err = s.Distinct(keys, func(key []byte) error { return field(&s, key) })
	if err == nil && !s.AtEnd() {
		return 0, operation.Wrong("", "the body goes on after its JSON object", "send one JSON object and nothing else")
	}
	if err != nil {
		return 0, Explain("", err, s.Pos())
	}
	return start, nil
}

func notAnObject(s *jsonscan.Scanner, needs string) *operation.FieldError {
	if s.AtEnd() {
		return operation.Wrong("", "the body is empty", "send "+needs)
	}
	if err := s.Skip(); err != nil {
		return Explain("", err, s.Pos())
	}
	return operation.Wrong("", "the body is not a JSON object", "send "+needs)
}

// Explain returns a FieldError for an error of the scanner near a byte of the body.
func Explain(field string, err error, pos int) *operation.FieldError {
	var known *operation.FieldError
	var key *jsonscan.KeyError
	where := fmt.Sprintf(" near byte %d", pos)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &key) && key.Known != "":
		return operation.Wrong(join(field, key.Known), key.Error()+where, "send each key once, in lower case")
	case errors.Is(err, jsonscan.ErrRepeated):
		return operation.Wrong(field, ofBody(field, "has a key twice")+where, "send each key once")
	case errors.Is(err, jsonscan.ErrElements):
		return operation.Wrong(field, ofBody(field, fmt.Sprintf("has more than %d objects, keys and strings", MaxElements))+where, "send fewer of them")
	case errors.Is(err, jsonscan.ErrDepth):
		return operation.Wrong(field, ofBody(field, fmt.Sprintf("nests deeper than %d levels", jsonscan.MaxDepth)), "nest it less deeply")
	}
	return operation.Wrong(field, ofBody(field, "is not valid JSON")+where, "send one well-formed JSON object")
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// ofBody puts "the body" before a problem that has no field to name.
func ofBody(field, problem string) string {
	if field == "" {
		return "the body " + problem
	}
	return problem
}

// String reads a string; null is empty.
func String(s *jsonscan.Scanner, field string) (string, Span, error) {
	start := s.Pos()
	if s.Literal("null") {
		return "", Span{start, s.Pos()}, nil
	}
	if s.Peek() != '"' {
		return "", Span{}, operation.Wrong(field, "must be a string", "send a string")
	}
	raw, escaped, err := s.String()
	if escaped && err == nil {
		raw = jsonscan.AppendUnescaped(nil, raw)
	}
	return string(raw), Span{start, s.Pos()}, err
}

// Bool reads true or false; null is false.
func Bool(s *jsonscan.Scanner, field string) (bool, Span, error) {
	start := s.Pos()
	switch {
	case s.Literal("null"), s.Literal("false"):
		return false, Span{start, s.Pos()}, nil
	case s.Literal("true"):
		return true, Span{start, s.Pos()}, nil
	}
	return false, Span{}, operation.Wrong(field, "must be true or false", "send true or false, without quotes")
}

// Integer reads a whole number that must be least or greater; null is nil. It refuses
// 10.0 and 1e1, since some endpoints accept them and others don't.
func Integer(s *jsonscan.Scanner, field string, least int64) (*int64, Span, error) {
	start := s.Pos()
	if s.Literal("null") {
		return nil, Span{start, s.Pos()}, nil
	}
	wrong := operation.Wrong(field, "must be a whole number", fmt.Sprintf("send a number of digits only, %d or more", least))
	if c := s.Peek(); c != '-' && (c < '0' || c > '9') {
		return nil, Span{}, wrong
	}
	raw, err := s.Number()
	if err != nil {
		return nil, Span{}, err
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && raw[0] != '-':
		wrong.Problem = "is too large"
	case err == nil && (n < least || raw[0] == '-'), errors.Is(err, strconv.ErrRange):
		wrong.Problem, wrong.Fix = fmt.Sprintf("must be %d or more", least), "raise it or leave it out"
	case err == nil:
		return &n, Span{start, s.Pos()}, nil
	}
	return nil, Span{}, wrong
}
