// Package jsonscan reads JSON in place. It is for bodies that are read once, can be
// megabytes long, may be hostile, and matter in a few fields only.
//
// A [Scanner] walks the bytes from front to back, checks their grammar by RFC 8259
// as strictly as encoding/json does, and builds nothing: it hands out parts of the
// text itself. The caller leads the walk. [Scanner.Object] and [Scanner.Array] call a
// function for each value, and that function must consume the value, by reading it
// or with [Scanner.Skip]:
//
//	s := jsonscan.New(body, jsonscan.Options{})
//	err := s.Object(func(key []byte) (err error) {
//		switch string(key) {
//		case "model":
//			model, escaped, err = s.String()
//			return err
//		}
//		return s.Skip()
//	})
//
// The cost of a hostile text is bounded: its depth always is, the number of elements
// is if [Options] says so, and time is linear in the length.
//
// Two readers can understand an object differently if it has a key twice, or in two
// spellings; [Scanner.Distinct] refuses such objects. Strings are handed out as they
// are written, between their quotes; [AppendUnescaped] gives their value.
//
// No error quotes the text, except for the Key of a [KeyError].
//
// Start reading at [Scanner] in scanner.go. Strings and their escapes are in
// strings.go, the rules for keys in keys.go.
package jsonscan
