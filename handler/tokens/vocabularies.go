package tokens

import (
	_ "embed"
	"strings"

	loader "github.com/pkoukk/tiktoken-go-loader"

	"tollgate/handler/tokens/internal/bpe"
	"tollgate/handler/tokens/internal/split"
)

// deepseekFile is made by make vocabulary.
//
//go:embed vocabulary/deepseek.bpe
var deepseekFile string

var (
	deepseek   = &tables{name: "deepseek", load: loadDeepSeek}
	o200kBase  = &tables{name: "o200k_base", load: func(t *tables) { loadOpenAI(t, split.NewO200k()) }}
	cl100kBase = &tables{name: "cl100k_base", load: func(t *tables) { loadOpenAI(t, split.NewCl100k()) }}
)

// R1 has two tokens where V3, whose vocabulary it shares, has unused ones.
// Source: https://huggingface.co/deepseek-ai/DeepSeek-R1/blob/main/tokenizer.json
var thinking = strings.NewReplacer("<｜place▁holder▁no▁798｜>", "<think>", "<｜place▁holder▁no▁799｜>", "</think>")

func loadDeepSeek(t *tables) {
	merges, err := bpe.Read(deepseekFile)
	if err != nil {
		panic("the embedded vocabulary: " + err.Error()) // a broken build
	}
	for i, text := range merges.Special {
		merges.Special[i] = thinking.Replace(text)
	}
	t.vocabulary, t.splitter, t.specials = bpe.New(merges), split.NewDeepSeek(), newSpecials(merges.Special...)
}

// loadOpenAI takes an encoding's ranks from tiktoken-go. OpenAI's API reads a
// special token in a message as ordinary text, so none is known here.
func loadOpenAI(t *tables, s splitter) {
	ranks, err := loader.NewOfflineLoader().LoadTiktokenBpe(t.name + ".tiktoken")
	if err != nil {
		panic("the embedded vocabulary: " + err.Error()) // a broken build
	}
	t.vocabulary, t.splitter = bpe.New(mergesOf(ranks)), s
}

// mergesOf finds the two tokens that each token is merged of: those that the
// tokens ranked before it make of its text.
func mergesOf(ranks map[string]int) bpe.Merges {
	texts := make([]string, len(ranks))
	for text, rank := range ranks {
		texts[rank] = text
	}
	number := func(text string) uint32 {
		if len(text) == 1 {
			return uint32(text[0])
		}
		return uint32(ranks[text])
	}
	var m bpe.Merges
	for rank, text := range texts {
		if len(text) > 1 {
			at := border(text, rank, ranks)
			m.Left, m.Right = append(m.Left, number(text[:at])), append(m.Right, number(text[at:]))
		}
	}
	return m
}

// border is where a token's two halves meet: its bytes are merged, always the
// pair whose token ranks first, until only the merge to the token itself is left.
func border(text string, rank int, ranks map[string]int) int {
	ends := make([]int, 0, 64) // of the parts
	for i := range len(text) {
		ends = append(ends, i+1)
	}
	for len(ends) > 2 {
		first, at, start := rank, -1, 0
		for i := range len(ends) - 1 {
			if r, ok := ranks[text[start:ends[i+1]]]; ok && r < first {
				first, at = r, i
			}
			start = ends[i]
		}
		if at < 0 {
			panic("the tokens before " + text + " don't make it") // no byte pair encoding
		}
		ends = append(ends[:at], ends[at+1:]...)
	}
	return ends[0]
}
