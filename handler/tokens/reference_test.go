package tokens_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"tollgate/handler/tokens"
	"tollgate/handler/tokens/reference"
)

// encodings returns tiktoken-go's counters by a model of each of the encodings.
func encodings(t testing.TB) map[string]*reference.Counter {
	t.Helper()
	all := make(map[string]*reference.Counter)
	var err error
	if all["DeepSeek-R1"], err = reference.DeepSeek(); err != nil {
		t.Fatal(err)
	}
	for model, name := range map[string]string{"gpt-4": "cl100k_base", "gpt-4o": "o200k_base"} {
		if all[model], err = reference.OpenAI(name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// rounds returns n, or less under the race detector.
func rounds(n int) int {
	if racing {
		return n / 10
	}
	return n
}

// plain returns a vector's text without R1's special tokens, which the reference
// doesn't know.
func plain(v vector) string {
	text := string(v.Messages)
	if v.Text != nil {
		text = *v.Text
	}
	return strings.NewReplacer("<think>", "think", "</think>", "think").Replace(text)
}

func TestCountsOfVectorsMatchTheReference(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it counts every vector twice")
	}
	for model, want := range encodings(t) {
		e := tokens.ForModel(model)
		all := vectors(t)
		for i, v := range all[:rounds(len(all))] {
			text := plain(v)
			if got, want := e.Count(text), want.Count(text); got != want {
				t.Errorf("%s, line %d: got %d tokens, want %d: %q", model, i+1, got, want, text)
			}
		}
	}
}

// scripts are the ranges of characters in random texts.
var scripts = [][2]rune{
	{0, 0x7F}, {'a', 'z'}, {'a', 'c'}, {'A', 'z'}, {'0', '9'}, {' ', '@'}, {0x80, 0x24F}, {0x300, 0x36F}, {0x370, 0x52F}, {0x590, 0x6FF}, {0x900, 0xE7F},
	{0x2000, 0x206F}, {0x2190, 0x2BFF}, {0x3000, 0x30FF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xE000, 0xE0FF}, {0xFE00, 0xFFEF}, {0x1D400, 0x1D7FF}, {0x1F300, 0x1FAFF}, {0x20000, 0x2A6DF}, {0, 0x10FFFF},
}

func randomText(r *rand.Rand, most int) string {
	var text strings.Builder
	for text.Len() < most {
		script := scripts[r.IntN(len(scripts))]
		for range 1 + r.IntN(12) {
			char := script[0] + r.Int32N(script[1]-script[0]+1)
			if r.IntN(3) == 0 {
				char = script[0] + min(3, script[1]-script[0])
			}
			if !utf8.ValidRune(char) {
				char = utf8.RuneError
			}
			for range 1 + r.IntN(3) {
				text.WriteRune(char)
			}
		}
		if r.IntN(2) == 0 {
			text.WriteByte(" \n\t"[r.IntN(3)])
		}
	}
	return text.String()
}

func TestCountsOfRandomTextsMatchTheReference(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it counts thousands of texts twice")
	}
	for model, want := range encodings(t) {
		e := tokens.ForModel(model)
		r := rand.New(rand.NewPCG(3, 4))
		for range rounds(1500) {
			text := randomText(r, 200)
			if got, want := e.Count(text), want.Count(text); got != want {
				t.Fatalf("%s: got %d tokens, want %d: %q", model, got, want, text)
			}
		}
	}
}

func TestCountsOfLongPiecesMatchTheReference(t *testing.T) {
	for model, want := range encodings(t) {
		e := tokens.ForModel(model)
		for name, run := range runs() {
			for _, length := range []int{2, 3, 7, 33, 64, 65, 127, 128, 129, 250, 1001} {
				text := run(length)
				if got, want := e.Count(text), want.Count(text); got != want {
					t.Errorf("%s, %d bytes of %s: got %d tokens, want %d", model, length, name, got, want)
				}
			}
		}
	}
}
