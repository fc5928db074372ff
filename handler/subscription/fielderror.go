package subscription

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"tollgate/handler/jsonscan"
)

// FieldError says what is wrong with one field, and what would be right.
type FieldError struct {
	Field   string // by its JSON name
	Problem string // completes "tokenQuota …"
	Fix     string
}

// Error is the sentence of the three.
func (e *FieldError) Error() string {
	return e.Field + " " + e.Problem + ": " + e.Fix
}

// faults collects what is wrong.
type faults []error

// check adds a fault unless the field is right.
func (f *faults) check(right bool, field, problem, fix string) {
	if !right {
		*f = append(*f, &FieldError{field, problem, fix})
	}
}

func (f *faults) err() error { return errors.Join(*f...) }

// Decode reads one JSON value and refuses fields that don't exist, for a misspelt
// limit would be none, or that stand twice. What is wrong is a *FieldError where
// a field can be named.
func Decode(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		return Once(data)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return &FieldError{jsonName(wrong.Field), "is a JSON " + wrong.Value, "use " + described(wrong.Type.Kind().String())}
	}
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("is not JSON: look at byte %d", wrong.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("is not JSON: it ends early")
	}
	// The standard library gives an unknown field no error type of its own.
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return &FieldError{strings.Trim(name, `"`), "is unknown", "correct its spelling or leave it out"}
	}
	return err
}

// Once refuses what isn't one JSON value, or one in which an object has a field twice,
// in whatever case: which of the two holds would be anyone's guess. A field that is
// there twice is a *FieldError.
func Once(data []byte) error {
	s := jsonscan.New(data, jsonscan.Options{MaxDepth: maxDepth})
	err := s.SkipDistinct(jsonscan.Keys{Fold: true})
	if twice, ok := errors.AsType[*jsonscan.KeyError](err); ok {
		return &FieldError{twice.Key, "is there twice", "leave one of the two out"}
	}
	if err == nil && !s.AtEnd() {
		err = errors.New("is more than one JSON value: leave only the first")
	}
	return err
}

// maxDepth is how deep encoding/json lets values nest, which decodes what Once accepts.
const maxDepth = 10000

// jsonName is a field's path as the document has it: the decoder puts the Go
// names of embedded structs into it, which are the only ones with a capital.
func jsonName(path string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(path, "."), func(name string) bool {
		return name != "" && 'A' <= name[0] && name[0] <= 'Z'
	}), ".")
}

// described says in JSON's words what a Go kind is read from.
func described(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"):
		return "a whole number"
	case kind == "bool":
		return "true or false"
	case kind == "slice":
		return "a list"
	case kind == "struct":
		return "an object"
	}
	return "a text"
}
