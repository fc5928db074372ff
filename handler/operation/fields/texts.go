package fields

import (
	"bytes"
	"fmt"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/tokens"
)

// Texts is a field whose texts a model reads as they are: the input of an embedding, or
// the prompt of a completion. It is one text or several, each a string or an array of
// token ids.
type Texts struct {
	// Items is the number of texts, and IDs the number of token ids in all of them.
	Items, IDs int64

	raw []byte // the field's value in the body
}

// Read reads the field's value; null has no texts. Errors call it field.
func (t *Texts) Read(s *jsonscan.Scanner, field string) error {
	start := s.Pos()
	defer func() { t.raw = s.Since(start) }()
	switch s.Peek() {
	case '"':
		t.Items = 1
		return s.Skip()
	case '[':
		return t.readList(s, field)
	}
	if s.Literal("null") {
		return nil
	}
	return operation.Wrong(field, "must be a string or an array", "send a text, an array of texts, an array of token ids, or an array of such arrays")
}

// readList reads an array of texts, which may be arrays of token ids, or the array of the
// token ids of one text.
func (t *Texts) readList(s *jsonscan.Scanner, field string) error {
	kind, items := byte(0), int64(0)
	err := s.Array(func(i int) error {
		if kind == 0 {
			kind = kindOf(s.Peek())
		}
		if items++; kindOf(s.Peek()) != kind {
			return mixed(fmt.Sprintf("%s[%d]", field, i))
		}
		switch kind {
		case '"':
			return s.Skip()
		case '[':
			return t.readIDs(s, fmt.Sprintf("%s[%d]", field, i))
		case '0':
			return t.readID(s, field, i)
		}
		return mixed(fmt.Sprintf("%s[%d]", field, i))
	})
	if err == nil && items == 0 {
		err = operation.Wrong(field, "is empty", "send at least one text")
	}
	if t.Items = items; kind == '0' {
		t.Items = 1
	}
	return err
}

// kindOf returns the kind of the value that begins with c: c itself, or the digit 0 for
// any number.
func kindOf(c byte) byte {
	if c == '-' || '0' <= c && c <= '9' {
		return '0'
	}
	return c
}

func mixed(field string) error {
	return operation.Wrong(field, "is neither a text nor tokens like the ones before it", "send only strings, only token ids, or only arrays of token ids")
}

// readIDs reads the token ids of one text.
func (t *Texts) readIDs(s *jsonscan.Scanner, field string) error {
	return s.Array(func(i int) error { return t.readID(s, field, i) })
}

// readID reads a token id.
func (t *Texts) readID(s *jsonscan.Scanner, field string, i int) error {
	if kindOf(s.Peek()) != '0' {
		return mixed(fmt.Sprintf("%s[%d]", field, i))
	}
	raw, err := s.Number()
	if err != nil {
		return err
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return operation.Wrong(fmt.Sprintf("%s[%d]", field, i), "must be a token id", "send a whole number of digits only")
		}
	}
	t.IDs++
	return nil
}

// Each calls text for each text that is a string, with its length in the body, in bytes.
func (t *Texts) Each(text func(text []byte, length int)) {
	s := jsonscan.New(t.raw, jsonscan.Options{})
	var scratch []byte
	one := func(int) error {
		if s.Peek() != '"' {
			return s.Skip()
		}
		raw, escaped, err := s.String()
		length := len(raw)
		if escaped {
			scratch = jsonscan.AppendUnescaped(scratch[:0], raw)
			raw = scratch
		}
		text(raw, length)
		return err
	}
	if s.Peek() == '[' {
		_ = s.Array(one) // Read has checked it
		return
	}
	_ = one(0)
}

// Count returns the number of tokens. A special token's name in a text counts as ordinary
// text.
func (t *Texts) Count(encoding *tokens.Encoding) int64 {
	count := t.IDs
	t.Each(func(text []byte, _ int) { count += int64(encoding.CountOrdinary(text)) })
	return count
}

// Size returns the size of the field's value in bytes. It is an upper bound of Count,
// since no token is shorter than a byte.
func (t *Texts) Size() int64 { return int64(len(t.raw)) }

// Prompt describes a body that has these texts in field. settings are the fields that no
// model reads. It calls text as Each does.
func (t *Texts) Prompt(body []byte, field string, settings map[string]bool, text func(text []byte, length int)) operation.Prompt {
	p := operation.Prompt{Plain: true, Elements: t.Items}
	s := jsonscan.New(body, jsonscan.Options{})
	start := s.Pos()
	_ = s.Object(func(key []byte) error { // the body has been checked
		name := string(key)
		value, err := s.Value()
		size := CompactSize(s.Since(start))
		start = s.Pos()
		switch {
		case name == field:
			p.Frame += size
			t.Each(func(one []byte, length int) {
				p.Frame -= int64(length)
				p.Plain = p.Plain && !mayBeSpecial(one)
				text(one, length)
			})
			if t.IDs > 0 { // the ids bound their tokens, whatever a server makes of them
				p.Frame, p.Other = p.Frame-size, p.Other+size
			}
			return err
		case Absent(value), settings[name]:
		case ReadsOutsideBody(key), MultipliesCompletions(key) && string(value) != "1":
			p.Plain = false
			if p.Unbounded == "" {
				p.Unbounded = name
			}
		default:
			p.Plain = false
		}
		p.Other += size
		return err
	})
	return p
}

// mayBeSpecial reports whether a text may hold a special token, such as <|endoftext|>,
// which servers read differently.
func mayBeSpecial(text []byte) bool { return bytes.Contains(text, []byte("<|")) }

// Absent reports whether a value means the same as no field.
func Absent(value []byte) bool { return string(value) == "null" || string(value) == "false" }
