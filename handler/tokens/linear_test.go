package tokens_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"tollgate/handler/tokens"
)

// runs returns functions that make texts of about the given size in bytes, each of long
// pieces.
func runs() map[string]func(bytes int) string {
	repeat := func(unit string) func(int) string {
		return func(bytes int) string { return strings.Repeat(unit, max(1, bytes/len(unit))) }
	}
	random := func(low, high rune) func(int) string {
		return func(bytes int) string {
			r := rand.New(rand.NewPCG(5, 6))
			var text strings.Builder
			for text.Len() < bytes {
				text.WriteRune(low + r.Int32N(high-low+1))
			}
			return text.String()
		}
	}
	return map[string]func(int) string{
		"a": repeat("a"), "spaces": repeat(" "), "_": repeat("_"), "-": repeat("-"), "/": repeat("/"), "lines": repeat("\n"), "世": repeat("世"),
		"combining marks": repeat("\u0301"), "ab": repeat("ab"), "A": repeat("A"), "中A": repeat("中A"), "zero width": repeat("\u200b"),
		"random letters": random('a', 'z'), "random CJK": random(0x4E00, 0x9FA5), "random marks": random(0x300, 0x36F),
		"random bytes": func(bytes int) string {
			r := rand.New(rand.NewPCG(7, 8))
			text := make([]byte, bytes)
			for i := range text {
				text[i] = byte(r.UintN(256))
			}
			return strings.ToValidUTF8(string(text), "\uFFFD")
		},
	}
}

func TestTheNumberOfStepsIsLinearInTheText(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it counts a MiB of many texts")
	}
	most := 1 << 20
	if racing {
		most = 64 << 10
	}
	for _, model := range []string{"DeepSeek-R1", "gpt-4", "gpt-4o"} {
		e := tokens.ForModel(model)
		for name, run := range runs() {
			before := 0
			for bytes := 16 << 10; bytes <= most; bytes *= 2 {
				text := run(bytes)
				steps := e.Steps(text)
				if before > 0 && float64(steps) > 2.1*float64(before) {
					t.Errorf("%s, %s: got %d steps for %d bytes, want at most 2.1 times the %d for half as many", model, name, steps, bytes, before)
				}
				if steps > 240*len(text) { // o200k_base needs most, as long rows of - are tokens
					t.Errorf("%s, %s: got %d steps for %d bytes, want 240 a byte at most", model, name, steps, len(text))
				}
				before = steps
			}
		}
	}
}

func TestCountAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("sync.Pool drops items at random under the race detector")
	}
	text := strings.Repeat("Some text, of 2 lines\n世界 <think>", 200) + strings.Repeat("x", 5000)
	chat := []byte(`[{"role":"system","content":"a\n"},{"role":"user","content":[{"type":"text","text":"` + strings.Repeat("b", 3000) + `"}]}]`)
	for _, model := range []string{"DeepSeek-R1", "gpt-4", "gpt-4o"} {
		e := tokens.ForModel(model)
		for name, count := range map[string]func(){
			"text":  func() { e.Count(text) },
			"bytes": func() { e.Count(text + "\xff") },
			"chat":  func() { _, _ = e.CountChat(chat, nil) },
		} {
			most := 0.0
			if name == "bytes" {
				most = 1 // the text itself
			}
			if got := testing.AllocsPerRun(50, count); got > most {
				t.Errorf("%s, %s: got %v allocations, want %v at most", model, name, got, most)
			}
		}
	}
}
