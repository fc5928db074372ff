package fields

import (
	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
)

// UsageOption is the field stream_options of a body. Its member include_usage asks for
// the usage at a stream's end. The zero UsageOption means that the field is absent.
type UsageOption struct {
	// Include is the caller's own include_usage.
	Include bool

	object, value Span // of stream_options, and of include_usage in it
	empty, null   bool // the object has no member; the value is null
}

var usageOptionKeys = jsonscan.Keys{Fold: true, Known: map[string]bool{"include_usage": true}}

// Read reads the value of stream_options.
func (o *UsageOption) Read(s *jsonscan.Scanner) error {
	start := s.Pos()
	if s.Literal("null") {
		o.object, o.null = Span{start, s.Pos()}, true
		return nil
	}
	if s.Peek() != '{' {
		return operation.Wrong("stream_options", "must be an object", "leave it out, or send {\"include_usage\": true}")
	}
	o.empty = true
	err := s.Distinct(usageOptionKeys, func(key []byte) (err error) {
		o.empty = false
		if string(key) != "include_usage" {
			return s.Skip()
		}
		o.Include, o.value, err = Bool(s, "stream_options.include_usage")
		return err
	})
	o.object = Span{start, s.Pos()}
	if err != nil {
		return Explain("stream_options", err, s.Pos())
	}
	return nil
}

// Ask returns the splice that sets include_usage and keeps the rest of the caller's
// stream_options. start is the position after the body's brace.
func (o *UsageOption) Ask(start int) Splice {
	inside := Span{o.object.Start + 1, o.object.Start + 1}
	switch {
	case o.value.Present():
		return Splice{o.value, "true"}
	case !o.object.Present() || o.null:
		return Set("stream_options", o.object, start, `{"include_usage":true}`)
	case o.empty:
		return Splice{inside, `"include_usage":true`}
	}
	return Splice{inside, `"include_usage":true,`}
}
