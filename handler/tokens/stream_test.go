package tokens_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"tollgate/handler/tokens"
)

// pieces cuts a text at random places, even within characters.
func pieces(r *rand.Rand, text string, most int) (all []string) {
	for len(text) > 0 {
		length := min(len(text), r.IntN(most+1))
		all, text = append(all, text[:length]), text[length:]
	}
	return all
}

func TestAStreamCountsLikeItsWholeText(t *testing.T) {
	special := []string{"<think>", "</think>", "<｜User｜>", "<｜place▁holder▁no▁7｜>", "<thin", "k>", "<", ">", "it's", "\r\n", "!\n/", " 's"}
	for _, model := range []string{"DeepSeek-R1", "gpt-4", "gpt-4o"} {
		e := tokens.ForModel(model)
		r := rand.New(rand.NewPCG(9, 10))
		check := func(text string) {
			t.Helper()
			s, written := e.Stream(), ""
			for _, piece := range pieces(r, text, 9) {
				s.Write(piece)
				written += piece
				if r.IntN(4) > 0 {
					continue
				}
				if got, want := s.Count(), e.Count(written); got != want {
					t.Fatalf("%s: got %d tokens so far, want %d: %q", model, got, want, written)
				}
			}
			if got, want := s.Count(), e.Count(text); got != want {
				t.Fatalf("%s: got %d tokens, want %d: %q", model, got, want, text)
			}
		}
		for range rounds(400) {
			text := randomText(r, 120)
			for range r.IntN(4) {
				at := r.IntN(len(text) + 1)
				text = text[:at] + special[r.IntN(len(special))] + text[at:]
			}
			check(text)
		}
		for _, v := range vectors(t)[:60] {
			check(plain(v))
		}
	}
}

func TestAStreamKeepsAtMost128Bytes(t *testing.T) {
	for name, text := range map[string]string{
		"prose":   strings.Repeat("The quick brown fox, it's said, jumps over 12 lazy dogs.\n", 400),
		"code":    strings.Repeat("\tif x[i] != nil {\n\t\treturn fmt.Errorf(\"<%v>\", x)\n\t}\n", 400),
		"Chinese": strings.Repeat("首先，我需要理解这个问题。然后，我再回答。", 400),
	} {
		for _, model := range []string{"DeepSeek-R1", "gpt-4", "gpt-4o"} {
			s := tokens.ForModel(model).Stream()
			for _, piece := range pieces(rand.New(rand.NewPCG(11, 12)), text, 8) {
				if s.Write(piece); s.Kept() > 128 {
					t.Fatalf("%s, %s: got %d bytes kept, want 128 at most", name, model, s.Kept())
				}
			}
		}
	}
}
