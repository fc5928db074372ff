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

// Decode decodes one JSON value. It rejects unknown fields, because a misspelt limit would
// silently be no limit, and fields that appear twice. The error is a *FieldError if it
// concerns one field.
func Decode(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		return CheckJSON(data)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		problem, fix := "is a JSON "+wrong.Value, "use "+describeKind(wrong.Type.Kind().String())
		if wrong.Field == "" {
			return errors.New(problem + ": " + fix)
		}
		return &FieldError{Field: jsonPath(wrong.Field), Problem: problem, Fix: fix}
	}
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("is not JSON: look at byte %d", wrong.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("is not JSON: it ends early")
	}
	// encoding/json has no error type for an unknown field.
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return &FieldError{Field: strings.Trim(name, `"`), Problem: "is unknown", Fix: "correct its spelling or leave it out"}
	}
	return err
}

// CheckJSON returns an error unless data is exactly one JSON value in which no object has the
// same field twice, ignoring case: decoders disagree on which of the two counts. For a
// repeated field the error is a *FieldError.
func CheckJSON(data []byte) error {
	s := jsonscan.New(data, jsonscan.Options{MaxDepth: maxJSONDepth})
	err := s.SkipDistinct(jsonscan.Keys{Fold: true})
	if twice, ok := errors.AsType[*jsonscan.KeyError](err); ok {
		return &FieldError{Field: twice.Key, Problem: "appears twice", Fix: "remove one of the two"}
	}
	if err == nil && !s.AtEnd() {
		err = errors.New("is more than one JSON value: send only one")
	}
	return err
}

// maxJSONDepth is the deepest nesting that encoding/json decodes.
const maxJSONDepth = 10000

// jsonPath removes the Go names of embedded structs from encoding/json's path to a field, so
// that only the document's own names remain. Those never begin with a capital letter.
func jsonPath(path string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(path, "."), func(name string) bool {
		return name != "" && 'A' <= name[0] && name[0] <= 'Z'
	}), ".")
}

// describeKind describes the JSON value that decodes into a Go kind.
func describeKind(kind string) string {
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
	return "a string"
}
