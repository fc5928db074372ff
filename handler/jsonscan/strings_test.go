package jsonscan

import (
	"bytes"
	"strings"
	"testing"
)

// cutsAnywhere checks that a string can be decoded in two parts, wherever StringPrefix
// cuts it.
func cutsAnywhere(t *testing.T, inner []byte) {
	t.Helper()
	s := New([]byte(`"`+string(inner)+`"`), Options{Lax: true})
	raw, escaped, err := s.String()
	AppendUnescaped(nil, inner) // must not panic, whatever its input
	if prefix := StringPrefix(inner); !bytes.HasPrefix(inner, prefix) {
		t.Fatalf("StringPrefix(%q): got %q, want a prefix", inner, prefix)
	}
	if err != nil || !s.AtEnd() {
		return
	}
	whole := string(AppendUnescaped(nil, raw))
	if !escaped && whole != string(inner) {
		t.Fatalf("%q, without escapes: got value %q, want the same", inner, whole)
	}
	for i := range inner {
		prefix := StringPrefix(inner[:i])
		if i-len(prefix) > 11 {
			t.Fatalf("got %d bytes of %q left out by StringPrefix, want 11 at most", i-len(prefix), inner[:i])
		}
		if got := string(AppendUnescaped(nil, prefix)) + string(AppendUnescaped(nil, inner[len(prefix):])); got != whole {
			t.Fatalf("%q, cut after %q: got %q, want %q", inner, prefix, got, whole)
		}
	}
}

func TestAStringCanBeDecodedInTwoParts(t *testing.T) {
	for _, text := range texts {
		cutsAnywhere(t, []byte(strings.Trim(text, `"`)))
	}
	for text, want := range map[string]string{
		``: ``, `a"b`: `a`, `a\`: `a`, `a\x`: `a`, `a\u00e`: `a`, `a\\`: `a\\`, `a\ud83d`: `a`, `a\\ud83d`: `a\\ud83d`, `a\ud83d\`: `a`,
		`\ud83d\ud83d`: `\ud83d`, `\ud83d\ude00`: `\ud83d\ude00`, `\ude00`: `\ude00`, `\ud83dx`: `\ud83dx`, "\\ud83d\n": "\\ud83d\n", "a\x00b": "a\x00b",
	} {
		if got := string(StringPrefix([]byte(text))); got != want {
			t.Errorf("StringPrefix(%q): got %q, want %q", text, got, want)
		}
	}
}

func FuzzString(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(strings.Trim(text, `"`)))
	}
	f.Fuzz(func(t *testing.T, inner []byte) {
		if len(inner) < 1000 { // each cut decodes the whole string again
			cutsAnywhere(t, inner)
		}
	})
}
