package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// decode builds the value that encoding/json would, with a Scanner.
func decode(s *Scanner) (value any, err error) {
	switch s.Peek() {
	case '{':
		object := map[string]any{}
		err = s.Object(func(key []byte) error {
			member, err := decode(s)
			object[string(bytes.ToValidUTF8(key, []byte("\uFFFD")))] = member
			return err
		})
		return object, err
	case '[':
		array := []any{}
		err = s.Array(func(i int) error {
			if i != len(array) {
				return fmt.Errorf("got element %d after %d others, want %d", i, len(array), len(array))
			}
			element, err := decode(s)
			array = append(array, element)
			return err
		})
		return array, err
	case '"':
		raw, escaped, err := s.String()
		if escaped {
			raw = AppendUnescaped(nil, raw)
		}
		return string(raw), err
	case 't', 'f', 'n':
		switch {
		case s.Literal("true"):
			return true, nil
		case s.Literal("false"):
			return false, nil
		case s.Literal("null"):
			return nil, nil
		}
		return nil, ErrSyntax
	}
	number, err := s.Number()
	return json.Number(number), err
}

// texts are JSON and near misses.
var texts = []string{
	`{}`, `[]`, `""`, `0`, `-0`, `-`, `01`, `1.`, `.1`, `1.5e+7`, `1e`, `1E-`, `+1`, `0x1`, `true`, `tru`, `nullx`, `False`,
	` { "a" : [ 1 , { "b" : null } ] , "c" : "d" } `, `{"a":1,}`, `[1,]`, `[,1]`, `[1 2]`, `{"a" 1}`, `{"a":}`, `{a:1}`, `{1:1}`, `{"a":1 "b":2}`,
	`[`, `{`, `"`, `{"a"`, `{"a":`, `[1`, `[1,`, `]`, `}`, `[}`, `{]`, `,`, `:`, ``, ` `, `{} {}`, `[]]`, `1 2`, "\x00", "1\x00", "\xEF\xBB\xBF1",
	`"\"\\\/\b\f\n\r\t\u00e9\uD83d\uDe00"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\ud83d\ude00"`, `"\ud83dx\ude00"`, `"\ud83d\n"`,
	`"\u12"`, `"\u12g4"`, `"\x41"`, `"\`, `"\"`, `"\\"`, `"a\\\"`, `"\u`, "\"a\nb\"", "\"\x1f\"", "\"\x7f\"", "\"\xff\"", "\"\xc0\xaf\"",
	`"0123456\n89abcde\"f0123456789"`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":0},"c":[{"b":0,"B":1}]}`, `{"key":0,"Key":1}`, `{"ſ":0,"S":1}`, `NaN`, `[-Infinity]`,
	`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0,"r":0,"q":0}`,
	`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0,"r":0,"r":0}`,
}

// deep is the deepest nesting that encoding/json accepts.
const deep = 10000

// agrees checks that the package reads a text as encoding/json does.
func agrees(t *testing.T, text []byte) {
	t.Helper()
	valid := json.Valid(text)
	s := New(text, Options{MaxDepth: deep})
	value, err := s.Value()
	if got := err == nil && s.AtEnd(); got != valid {
		t.Fatalf("%q: got Value accepting it %v (%v at byte %d), want %v as encoding/json", text, got, err, s.Pos(), valid)
	}
	if err != nil && !errors.Is(err, ErrSyntax) {
		t.Fatalf("%q: got %v, want %v", text, err, ErrSyntax)
	}
	s = New(text, Options{MaxDepth: deep})
	built, err := decode(&s)
	if got := err == nil && s.AtEnd(); got != valid {
		t.Fatalf("%q: got the methods for each kind accepting it %v (%v), want %v as encoding/json", text, got, err, valid)
	}
	lax := New(text, Options{MaxDepth: deep, Lax: true})
	if err := lax.Skip(); valid && (err != nil || !lax.AtEnd()) {
		t.Fatalf("%q: got %v at byte %d with Lax, want valid JSON accepted", text, err, lax.Pos())
	}
	if !valid {
		return
	}
	if want := bytes.Trim(text, " \t\r\n"); !bytes.Equal(value, want) {
		t.Fatalf("got %q from Value, want %q", value, want)
	}
	for _, keys := range []Keys{{}, {Fold: true}} {
		s := New(text, Options{MaxDepth: deep})
		if err, twice := s.SkipDistinct(keys), repeats(text, keys.Fold); errors.Is(err, ErrRepeated) != twice || err != nil && !twice {
			t.Fatalf("%q, %+v: got %v from SkipDistinct, want ErrRepeated: %v", text, keys, err, twice)
		}
	}
	s = New(text, Options{MaxDepth: deep, Distinct: true})
	if err, twice := s.Skip(), repeats(text, false); errors.Is(err, ErrRepeated) != twice {
		t.Fatalf("%q: got %v from Skip with Distinct, want ErrRepeated: %v", text, err, twice)
	}
	var want any
	decoder := json.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(text, []byte("\uFFFD"))))
	decoder.UseNumber()
	if err := decoder.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if got, want := marshal(t, built), marshal(t, want); got != want {
		t.Fatalf("%q: got %s, want %s", text, got, want)
	}
}

// marshal makes values comparable. json.Marshal writes each byte that isn't UTF-8 as
// U+FFFD, and ToValidUTF8 writes several in a row as one.
func marshal(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	s := strings.ReplaceAll(string(text), `\ufffd`, "\uFFFD")
	for strings.Contains(s, "\uFFFD\uFFFD") {
		s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
	}
	return s
}

// repeats reports, using encoding/json only, whether an object in a valid text has a
// key twice. If folded, keys that differ only in case are the same. Otherwise keys that
// aren't UTF-8 are compared byte by byte.
func repeats(text []byte, folded bool) bool {
	if !folded {
		text = distinguish(text)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var walk func() bool
	walk = func() (twice bool) {
		token, _ := decoder.Token()
		open, nested := token.(json.Delim)
		if !nested {
			return false
		}
		var seen []string
		for decoder.More() {
			if open == '{' {
				key, _ := decoder.Token()
				for _, other := range seen {
					twice = twice || other == key || folded && foldsTo(other, key.(string))
				}
				seen = append(seen, key.(string))
			}
			twice = walk() || twice
		}
		_, _ = decoder.Token()
		return twice
	}
	return walk()
}

func foldsTo(a, b string) bool {
	dotted := strings.NewReplacer("İ", "i", "ı", "i")
	return strings.EqualFold(dotted.Replace(a), dotted.Replace(b))
}

// distinguish replaces each byte that isn't UTF-8 by a different character for private
// use.
func distinguish(text []byte) []byte {
	var b strings.Builder
	for i, r := range string(text) {
		if r == '\uFFFD' && !bytes.HasPrefix(text[i:], []byte("\uFFFD")) {
			r = 0xF0000 + rune(text[i])
		}
		b.WriteRune(r)
	}
	return []byte(b.String())
}

func TestAScannerReadsAsEncodingJSONDoes(t *testing.T) {
	for _, text := range texts {
		agrees(t, []byte(text))
		agrees(t, []byte(`{"x":[`+text+`,1]}`))
	}
}

func FuzzScanner(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) < deep { // so that nothing nests deeper
			agrees(t, text)
		}
	})
}

func TestTooMuchDepthAndTooManyElementsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		options Options
		want    error
	}{
		"at the default depth":   {strings.Repeat("[", 64) + strings.Repeat("]", 64), Options{}, nil},
		"below the default":      {strings.Repeat("[", 65) + strings.Repeat("]", 65), Options{}, ErrDepth},
		"at the depth set":       {`[{"a":[]}]`, Options{MaxDepth: 3}, nil},
		"below the depth set":    {`[{"a":[]}]`, Options{MaxDepth: 2}, ErrDepth},
		"side by side":           {`[[],[],{},{}]`, Options{MaxDepth: 2}, nil},
		"as many as allowed":     {`{"a":["b",{},1,true,null]}`, Options{MaxElements: 4}, nil},
		"one key too many":       {`{"a":["b",{},1,true,null],"c":0}`, Options{MaxElements: 4}, ErrElements},
		"one string too many":    {`{"a":["b",{},"c"]}`, Options{MaxElements: 4}, ErrElements},
		"one object too many":    {`{"a":["b",{},{}]}`, Options{MaxElements: 4}, ErrElements},
		"any number of numbers":  {`[` + strings.Repeat("1,", 1000) + `1]`, Options{MaxElements: 1}, nil},
		"any number of elements": {`[` + strings.Repeat("{},", 100_000) + `1]`, Options{}, nil},
	} {
		s := New([]byte(c.text), c.options)
		if err := s.Skip(); err != c.want {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestLaxAcceptsNaNInfinitiesAndControlCharacters(t *testing.T) {
	for text, lax := range map[string]bool{
		`NaN`: true, `nan`: true, `-NaN`: true, `Infinity`: true, `+inf`: true, `[-INFINITY,1]`: true, "\"a\nb\x00\"": true,
		`Infinit`: false, `--inf`: false, `nil`: false, `'a'`: false, "\"a\n": false, `"\x"`: false, `[NaN`: false,
	} {
		strict, s := New([]byte(text), Options{}), New([]byte(text), Options{Lax: true})
		if strict.Skip() == nil && strict.AtEnd() {
			t.Errorf("%q: got no error from a strict Scanner, want one", text)
		}
		if got := s.Skip() == nil && s.AtEnd(); got != lax {
			t.Errorf("%q: got a lax Scanner accepting it %v, want %v", text, got, lax)
		}
	}
}

func TestRepeatedAndMisspelledKeysAreRefused(t *testing.T) {
	keys := Keys{Fold: true, Known: map[string]bool{"role": true, "key": true}}
	for text, want := range map[string]*KeyError{
		`{"role":1,"x":2,"key":3}`:   nil,
		`{"X":1}`:                    nil,
		`{"role":1,"role":2}`:        {ErrRepeated, "role", "role"},
		`{"role":1,"r\u006fle":2}`:   {ErrRepeated, "role", "role"},
		`{"role":1,"ROLE":2}`:        {ErrRepeated, "ROLE", "role"},
		`{"Role":1}`:                 {ErrSpelling, "Role", "role"},
		"{\"\u212Aey\":1}":           {ErrSpelling, "\u212Aey", "key"},
		`{"x":1,"X":2}`:              {ErrRepeated, "X", ""},
		`{"\u0130":1,"\u0131":2}`:    {ErrRepeated, "ı", ""},
		`{"a":[{"a":{"kEy":1}}]}`:    {ErrSpelling, "kEy", "key"},
		`{"a":{"x":1},"b":{"x":1}}`:  nil,
		`{"a":{"x":1},"x":{"a":[]}}`: nil,
	} {
		s := New([]byte(text), Options{})
		err := s.SkipDistinct(keys)
		got, _ := errors.AsType[*KeyError](err)
		if (got == nil) != (want == nil) || got != nil && *got != *want || (err == nil) != (want == nil) {
			t.Errorf("%s: got %#v, want %#v", text, got, want)
		}
		if got != nil && (strings.Contains(err.Error(), got.Key) || !errors.Is(err, got.Err)) {
			t.Errorf("%s: got message %q, want the problem without the key", text, err)
		}
	}
}

func TestPosAndSinceDelimitValues(t *testing.T) {
	const text = " { \"a\" : [ 1 , \t2] ,\n\"b\" : \r3 } "
	s := New([]byte(text), Options{})
	var starts, ends []int
	note := func(start int) {
		starts, ends = append(starts, start), append(ends, s.Pos())
	}
	err := s.Object(func(key []byte) error {
		defer note(s.Pos())
		if string(key) != "a" {
			return s.Skip()
		}
		return s.Array(func(int) error {
			defer note(s.Pos())
			return s.Skip()
		})
	})
	var got []string
	for i := range starts {
		got = append(got, text[starts[i]:ends[i]])
	}
	if want := "1|2|[ 1 , \t2]|3"; strings.Join(got, "|") != want || err != nil {
		t.Errorf("got values at %q, %v; want %q", got, err, want)
	}
	if got := string(s.Rest()); got != " " || !s.AtEnd() || s.Pos() != len(text) {
		t.Errorf("got %q left, at byte %d after AtEnd; want a blank, and the end at %d", got, s.Pos(), len(text))
	}
}

func TestACopyOfAScannerIsABookmark(t *testing.T) {
	const text = `{"a":{"x":[1,{"y":2}]},"b":3}`
	s := New([]byte(text), Options{Distinct: true, MaxDepth: 4, MaxElements: 7})
	err := s.Object(func(key []byte) error {
		if string(key) == "a" {
			bookmark := s
			for range 3 {
				s = bookmark
				if value, err := s.Value(); string(value) != `{"x":[1,{"y":2}]}` || err != nil {
					return fmt.Errorf("got value %q of a, %v; want its text each time", value, err)
				}
			}
			return nil
		}
		return s.Skip()
	})
	if err != nil || !s.AtEnd() {
		t.Errorf("got %v at byte %d, want no error at the end, byte %d", err, s.Pos(), len(text))
	}
}

func TestTheWalkStopsAtTheCallersError(t *testing.T) {
	mine := errors.New("mine")
	s := New([]byte(`[{"a":1},2]`), Options{})
	calls := 0
	err := s.Array(func(int) error {
		calls++
		return s.Object(func([]byte) error { return mine })
	})
	if err != mine || calls != 1 || s.Pos() != len(`[{"a":`) {
		t.Errorf("got %v after %d calls at byte %d, want %v after 1 at byte %d", err, calls, s.Pos(), mine, len(`[{"a":`))
	}
}
