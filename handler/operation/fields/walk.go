package fields

import (
	"bytes"
	"slices"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
)

// Walk walks a body that has been checked, and describes what a model may read of it.
// Make one with NewWalk.
type Walk struct {
	jsonscan.Scanner
	operation.Prompt
	text    func(text []byte, length int)
	scratch []byte // holds unescaped text
}

// NewWalk returns a Walk of a body. Its Emit calls text with each text and its length in
// the body, in bytes.
func NewWalk(body []byte, text func(text []byte, length int)) Walk {
	return Walk{Scanner: jsonscan.New(body, jsonscan.Options{}), text: text}
}

// Members walks an object. It calls member for each member with its key, and start, the
// position of the brace or comma before it.
func (w *Walk) Members(member func(key []byte, start int) error) error {
	start := w.Pos()
	return w.Object(func(key []byte) error {
		err := member(key, start)
		start = w.Pos()
		return err
	})
}

// AddOther adds everything read since start to Other.
func (w *Walk) AddOther(start int) { w.Other += CompactSize(w.Since(start)) }

// SkipOther reads a value, and adds everything read since start to Other.
func (w *Walk) SkipOther(start int) ([]byte, error) {
	value, err := w.Value()
	w.AddOther(start)
	return value, err
}

// SetUnbounded records the path of a field whose tokens nothing bounds. Only the first is
// kept.
func (w *Walk) SetUnbounded(path string) {
	if w.Unbounded == "" {
		w.Unbounded = path
	}
}

// Emit reads a string and passes it to the text function. It adds everything from start
// to the string, and the string's quotes, to Frame.
func (w *Walk) Emit(start int) error {
	w.Frame += CompactSize(w.Since(start)) + 2
	raw, escaped, err := w.String()
	if err != nil {
		return err
	}
	length := len(raw)
	if escaped {
		w.scratch = jsonscan.AppendUnescaped(w.scratch[:0], raw)
		raw = w.scratch
	}
	w.text(raw, length)
	return nil
}

// ImageURL reads the URL of an image and adds the image. It records any other URL, such
// as that of a PDF or a stored file, as unbounded.
func (w *Walk) ImageURL(start int, path string) error {
	value, err := w.Value()
	if err != nil {
		return err
	}
	s := jsonscan.New(value, jsonscan.Options{})
	url, escaped, _ := s.String() // nil if the value isn't a string
	if escaped {
		w.scratch = jsonscan.AppendUnescaped(w.scratch[:0], url)
		url = w.scratch
	}
	var found operation.Image
	switch {
	case imageData(url):
	case bytes.HasPrefix(url, []byte("https://")), bytes.HasPrefix(url, []byte("http://")):
		found.URL = int64(len(value))
	default:
		w.SetUnbounded(path)
		w.Other += CompactSize(value)
	}
	w.Frame += CompactSize(w.Since(start)) - CompactSize(value)
	w.AddImage(found, path)
	return nil
}

// AddImage adds an image, which is at path, to Images.
func (w *Walk) AddImage(image operation.Image, path string) {
	if w.Images = append(w.Images, image); len(w.Images) == 1 {
		w.ImagePath = path
	}
}

// imageData reports whether an address is a data URL of an image in base64.
func imageData(url []byte) bool {
	rest, ok := bytes.CutPrefix(url, []byte("data:image/"))
	kind, data, coded := bytes.Cut(rest, []byte(";base64,"))
	return ok && coded && len(kind) <= 16 && !slices.ContainsFunc(data, notBase64)
}

func notBase64(c byte) bool {
	letter := 'a' <= c|0x20 && c|0x20 <= 'z'
	return !letter && (c < '0' || c > '9') && c != '+' && c != '/' && c != '='
}
