package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth is how deep a request may nest. The deepest legitimate bodies, tool
// parameters as JSON schemas, stay near 20; encoding/json itself allows 10,000.
const maxDepth = 64

// member is one field of a JSON object. Both slices are parts of the body.
type member struct {
	name  string // decoded
	value []byte // as it stands
	start int    // where the value begins in the body, in bytes
}

// wellFormed reports the first reason why a body can't be read as one JSON
// text that every parser understands alike.
func wellFormed(body []byte) error {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return &FieldError{Field: "body", Problem: "is empty", Fix: "send a JSON object with messages"}
	case !utf8.Valid(body):
		return &FieldError{Field: "body", Problem: "is not UTF-8", Fix: "encode the JSON as UTF-8"}
	case depth(body) > maxDepth:
		return &FieldError{Field: "body", Problem: fmt.Sprintf("nests deeper than %d levels", maxDepth), Fix: "flatten it"}
	case !json.Valid(body):
		return &FieldError{Field: "body", Problem: "is not valid JSON", Fix: "send one JSON object"}
	}
	return nil
}

// depth is how deep brackets nest outside strings. It needs no valid JSON.
func depth(body []byte) int {
	deepest, level := 0, 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			i = stringEnd(body, i) - 1
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		}
	}
	return deepest
}

// stringEnd is the index after the string that begins at i, or the end of data.
func stringEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// valueEnd is the index after the value that begins at i of valid JSON.
func valueEnd(data []byte, i int) int {
	switch data[i] {
	case '"':
		return stringEnd(data, i)
	case '{', '[':
		level := 0
		for ; i < len(data); i++ {
			switch data[i] {
			case '"':
				i = stringEnd(data, i) - 1
			case '{', '[':
				level++
			case '}', ']':
				if level--; level == 0 {
					return i + 1
				}
			}
		}
		return len(data)
	}
	for i < len(data) && !strings.ContainsRune(",]} \t\n\r", rune(data[i])) {
		i++
	}
	return i
}

// elements calls each with every value of an array of valid JSON that begins at data[0].
func elements(data []byte, each func(value []byte) error) error {
	for i := skipSpace(data, 1); data[i] != ']'; {
		end := valueEnd(data, i)
		if err := each(data[i:end]); err != nil {
			return err
		}
		if i = skipSpace(data, end); data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return nil
}

// members lists an object of valid JSON that begins at data[0]. Names that are
// equal, or that a parser which ignores case would take for each other, are an
// error: one reader would see the first value, another the last.
func members(data []byte, path string) ([]member, error) {
	var found []member
	seen := make(map[string]struct{}, 8)
	for i := skipSpace(data, 1); data[i] != '}'; {
		end := stringEnd(data, i)
		name := decode(data[i:end])
		folded := fold(name)
		if _, again := seen[folded]; again {
			return nil, &FieldError{Field: path + printable(name), Problem: "appears twice, or in two spellings that differ only in case", Fix: "send it once"}
		}
		seen[folded] = struct{}{}
		i = skipSpace(data, skipSpace(data, end)+1) // over the colon
		end = valueEnd(data, i)
		found = append(found, member{name: name, value: data[i:end], start: i})
		if i = skipSpace(data, end); data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return found, nil
}

// decode is the text of a quoted string of valid JSON.
func decode(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // the body was valid
	return text
}

// fold maps a name to what all names that Unicode folds together share: the
// Kelvin sign to k, the long s to s. encoding/json matches fields this way.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - ('a' - 'A')
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}

// printable keeps a caller's own field name from filling an error: names are
// short, and whatever is longer may be anything.
func printable(name string) string {
	if len(name) > 40 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "(a name)"
	}
	return name
}
