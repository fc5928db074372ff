package bpe

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tollgate/handler/tokens/vocabulary"
)

// merge is byte pair encoding by its definition: it always merges the neighbours with
// the lowest number, of equal ones the leftmost.
func merge(v *Vocabulary, text string) []uint32 {
	var parts []uint32
	for _, b := range []byte(text) {
		parts = append(parts, uint32(b))
	}
	for {
		lowest, at := none, -1
		for i := range len(parts) - 1 {
			if merged := v.merged(parts[i], parts[i+1]); merged < lowest {
				lowest, at = merged, i
			}
		}
		if at < 0 {
			return parts
		}
		parts = append(append(parts[:at:at], lowest), parts[at+2:]...)
	}
}

// learn makes a vocabulary as byte pair encoding does, but merges pairs chosen at
// random from a random text, so that ties and unusual borders are frequent.
func learn(r *rand.Rand) []Token {
	letters := 1 + r.IntN(4)
	var tokens []Token
	known := make(map[string]bool)
	for b := range 256 {
		tokens = append(tokens, Token{Text: string([]byte{byte(b)}), Number: uint32(b)})
	}
	text := make([]uint32, 400)
	for i := range text {
		text[i] = uint32('a' + r.IntN(letters))
	}
	for range 2 + r.IntN(60) {
		at := r.IntN(len(text) - 1)
		left, right := text[at], text[at+1]
		whole := tokens[left].Text + tokens[right].Text
		if known[whole] || len(whole) > 200 {
			continue
		}
		known[whole] = true
		number := uint32(len(tokens))
		tokens = append(tokens, Token{Text: whole, Number: number, Half: uint8(len(tokens[left].Text)), Right: right})
		var merged []uint32
		for i := 0; i < len(text); i++ {
			if i+1 < len(text) && text[i] == left && text[i+1] == right {
				merged = append(merged, number)
				i++
				continue
			}
			merged = append(merged, text[i])
		}
		if text = merged; len(text) < 20 {
			break
		}
	}
	return tokens
}

// layOut builds a vocabulary from tokens without a file. It sorts them.
func layOut(all []Token) *Vocabulary {
	sorted(all)
	tries, tokens := newTrieBuilder(beginnings(all)), newTokenBuilder(len(all))
	eachRest(all, func(shared int, rest string, t Token) {
		tries.add(shared, rest, t.Number)
		tokens.add(shared, rest, t.Number, t.Half, t.Right)
	})
	return &Vocabulary{tokens: tokens.tokens, pairs: tokens.pairs, trie: tries.trie}
}

func TestCountIsTheNumberOfTokensThatMergingMakes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var w Scratch
	for range 400 {
		v := layOut(learn(r))
		w.memo = memo{}
		for range 40 {
			text := make([]byte, 1+r.IntN(90))
			for i := range text {
				text[i] = byte('a' + r.IntN(4))
			}
			want := len(merge(v, string(text)))
			if got := v.Count(text, &w); got != want {
				t.Fatalf("%s: got %d tokens, want %d", text, got, want)
			}
			long := append(text, "................"...)
			for range 2 { // counted first, then cached
				if got := v.CountWithin(long, 0, len(text), &w); got != want {
					t.Fatalf("%s: got %d tokens within another text, want %d", text, got, want)
				}
			}
		}
	}
}

func TestTheTextOfEachTokenCountsAsThatToken(t *testing.T) {
	v, _, err := Decode(vocabulary.DeepSeek)
	if err != nil {
		t.Fatal(err)
	}
	ranks, err := Ranks(vocabulary.DeepSeek)
	if err != nil || len(ranks) != 127_997 {
		t.Fatalf("got %d tokens, %v; want 127997", len(ranks), err)
	}
	var w Scratch
	for text, token := range ranks {
		if made := merge(v, text); len(made) != 1 || made[0] != uint32(token) {
			t.Fatalf("%q: got tokens %v by merging, want %d", text, made, token)
		}
		if got := v.Count([]byte(text), &w); got != 1 {
			t.Fatalf("%q: got %d tokens, want 1", text, got)
		}
	}
}

func TestCachedCountsOfSimilarPiecesAreNotConfused(t *testing.T) {
	v, _, err := Decode(vocabulary.DeepSeek)
	if err != nil {
		t.Fatal(err)
	}
	var w Scratch
	const after = "................"
	pieces := []string{"a", "a\x00", "\x00", "\x00\x00", "aaaaaaaa", "aaaaaaaa\x00", "aaaaaaaaa", "zqzqzqzqzqzqzqz", "zqzqzqzqzqzqzq", "xyzzy"}
	for range 3 {
		for _, piece := range pieces {
			if got, want := v.CountWithin([]byte(piece+after), 0, len(piece), &w), len(merge(v, piece)); got != want {
				t.Errorf("%q: got %d tokens, want %d", piece, got, want)
			}
		}
	}
}

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	tokens := learn(rand.New(rand.NewPCG(3, 4)))
	special := []string{"<a>", "<" + strings.Repeat("b", 253) + ">"}
	file, err := Encode(tokens, special)
	if err != nil {
		t.Fatal(err)
	}
	read, again, err := Decode(string(file))
	if err != nil || fmt.Sprint(again) != fmt.Sprint(special) {
		t.Errorf("got special tokens %v, %v; want %v", again, err, special)
	}
	if want := layOut(tokens); fmt.Sprint(read) != fmt.Sprint(want) {
		t.Errorf("got a vocabulary of %d tokens that differs from the one of %d encoded, want the same", len(read.tokens), len(want.tokens))
	}
	for _, length := range []int{0, 10, headBytes - 1, len(file) / 2, len(file) - 1} {
		if _, _, err := Decode(string(file[:length])); err == nil {
			t.Errorf("got no error for the first %d bytes of a file, want one", length)
		}
	}
	if _, err := Encode([]Token{{Text: strings.Repeat("a", 256)}}, nil); err == nil {
		t.Error("got no error for a token of 256 bytes, want one")
	}
}
