package chat

import (
	"fmt"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
)

// Prompt implements operation.Request. Its texts are the content of each message, and
// each text part of a content. It is plain if there are only messages of the system, the
// user and the assistant, each with nothing but a role and a text.
func (r *Request) Prompt(text func(text []byte, length int)) operation.Prompt {
	w := promptWalk{fields.NewWalk(r.body, text)}
	w.Plain = true
	_ = w.Members(w.field) // Parse has checked the body
	return w.Prompt
}

// promptWalk walks a body for Request.Prompt.
type promptWalk struct{ fields.Walk }

// field reads one of the body's members.
func (w *promptWalk) field(key []byte, start int) error {
	if string(key) == "messages" {
		w.Frame += fields.CompactSize(w.Since(start)) + 3 // plus the brackets and the body's end
		return w.Array(w.message)
	}
	value, err := w.SkipOther(start)
	if string(key) == "stop" {
		w.stops(value)
	}
	switch {
	case err != nil, fields.Absent(value), settings[string(key)]:
		return err
	case string(key) == "tools":
		w.tools(value)
	case string(key) == "prediction":
		w.Prediction = fields.CompactSize(value)
	case fields.ReadsOutsideBody(key), fields.MultipliesCompletions(key) && string(value) != "1":
		w.SetUnbounded(string(key))
	}
	w.Plain = false
	return nil
}

// stops finds the longest stop sequence. The field is one string or an array of them.
func (w *promptWalk) stops(value []byte) {
	s := jsonscan.New(value, jsonscan.Options{})
	one := func(int) error {
		if s.Peek() != '"' {
			return s.Skip()
		}
		raw, _, err := s.String()
		w.Stop = max(w.Stop, int64(len(raw)))
		return err
	}
	if s.Peek() == '[' {
		_ = s.Array(one)
		return
	}
	_ = one(0)
}

// tools records a tool that runs at the endpoint as unbounded, since the model reads its
// results.
func (w *promptWalk) tools(value []byte) {
	s := jsonscan.New(value, jsonscan.Options{})
	_ = s.Array(func(i int) error {
		if s.Peek() != '{' {
			return s.Skip()
		}
		return s.Object(func(key []byte) error {
			value, err := s.Value()
			if kind := string(value); string(key) == "type" && kind != `"function"` && kind != `"custom"` {
				w.SetUnbounded(fmt.Sprintf("tools[%d]", i))
			}
			return err
		})
	})
}

// message reads one message.
func (w *promptWalk) message(i int) error {
	w.Elements++
	w.Frame += 2 // the closing brace and a comma
	return w.Members(func(key []byte, start int) error {
		switch string(key) {
		case "role":
			value, err := w.Value()
			w.role(value, start)
			return err
		case "content":
			return w.content(i, start)
		}
		value, err := w.SkipOther(start)
		if !fields.Absent(value) {
			w.Plain = false
			if string(key) == "audio" || fields.ReadsOutsideBody(key) { // audio is the id of a stored recording
				w.SetUnbounded(fmt.Sprintf("messages[%d].%s", i, key))
			}
		}
		return err
	})
}

// role adds a well-known role to Frame, and any other to Other.
func (w *promptWalk) role(value []byte, start int) {
	switch string(value) {
	case `"system"`, `"user"`, `"assistant"`:
		w.Frame += fields.CompactSize(w.Since(start))
	case `"developer"`, `"tool"`, `"function"`:
		w.Plain = false
		w.Frame += fields.CompactSize(w.Since(start))
	default:
		w.Plain = false
		w.AddOther(start)
	}
}

// content reads a message's content: a text, or parts.
func (w *promptWalk) content(i, start int) error {
	switch w.Peek() {
	case '"':
		return w.Emit(start)
	case '[':
		w.Plain = false
		w.Frame += fields.CompactSize(w.Since(start)) + 2
		return w.Array(func(j int) error { return w.part(i, j) })
	case '{': // some servers accept one part in place of an array
		w.Plain = false
		w.Frame += fields.CompactSize(w.Since(start))
		return w.part(i, onlyPart)
	}
	w.Plain = false
	err := w.Skip()
	w.AddOther(start)
	return err
}

// boundedFields are the fields of a part, besides text, that have no more tokens than
// bytes: other kinds of text, and data about texts.
var boundedFields = map[string]bool{"refusal": true, "thinking": true, "signature": true, "cache_control": true, "annotations": true}

// textPartTypes are the types of parts that hold text, in quotes as in the body.
var textPartTypes = map[string]bool{`"text"`: true, `"input_text"`: true, `"output_text"`: true, `"refusal"`: true, `"thinking"`: true}

// onlyPart is the index of a part that is a message's whole content.
const onlyPart = -1

// part reads a part of a message's content.
func (w *promptWalk) part(i, j int) error {
	w.Elements++
	path := func(field string) string {
		if j == onlyPart {
			return fmt.Sprintf("messages[%d].content%s", i, field)
		}
		return fmt.Sprintf("messages[%d].content[%d]%s", i, j, field)
	}
	start := w.Pos()
	switch w.Peek() {
	case '"':
		return w.Emit(start)
	case '{':
	default:
		err := w.Skip()
		w.AddOther(start)
		w.SetUnbounded(path(""))
		return err
	}
	w.Frame += 2 // the closing brace and a comma
	return w.Members(func(key []byte, start int) error {
		switch name := string(key); {
		case name == "text" && w.Peek() == '"':
			return w.Emit(start)
		case name == "image_url":
			return w.image(start, path(".image_url"))
		case name == "type":
			value, err := w.Value()
			if textPartTypes[string(value)] || string(value) == `"image_url"` {
				w.Frame += fields.CompactSize(w.Since(start))
				return err
			}
			w.AddOther(start)
			w.SetUnbounded(path(".type"))
			return err
		default:
			value, err := w.SkipOther(start)
			if !boundedFields[name] && name != "text" && !fields.Absent(value) {
				w.SetUnbounded(path("." + name))
			}
			return err
		}
	})
}

// image reads an image: its address, or an object with its address and detail.
func (w *promptWalk) image(start int, path string) error {
	if w.Peek() != '{' {
		return w.ImageURL(start, path)
	}
	w.Frame += fields.CompactSize(w.Since(start)) + 1
	before, low, addressed := len(w.Images), false, false
	err := w.Members(func(key []byte, start int) error {
		if string(key) == "url" {
			addressed = true
			return w.ImageURL(start, path)
		}
		value, err := w.Value()
		low = low || string(key) == "detail" && string(value) == `"low"`
		w.AddOther(start)
		return err
	})
	if !addressed {
		w.SetUnbounded(path)
		w.AddImage(operation.Image{}, path)
	}
	if len(w.Images) > before {
		w.Images[before].Low = low
	}
	return err
}
