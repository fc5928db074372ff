package tokens

import (
	"strings"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"

	"tollgate/handler/tokens/internal/bpe"
	"tollgate/handler/tokens/internal/split"
	"tollgate/handler/tokens/vocabulary"
)

var (
	deepseek   = &tables{name: "deepseek", load: loadDeepSeek}
	o200kBase  = &tables{name: tiktoken.MODEL_O200K_BASE, load: func(t *tables) { loadOpenAI(t, split.NewO200k()) }}
	cl100kBase = &tables{name: tiktoken.MODEL_CL100K_BASE, load: func(t *tables) { loadOpenAI(t, split.NewCl100k()) }}
)

// R1 has two tokens where V3, whose vocabulary it shares, has unused ones.
// Source: https://huggingface.co/deepseek-ai/DeepSeek-R1/blob/main/tokenizer.json
var thinking = strings.NewReplacer("<｜place▁holder▁no▁798｜>", "<think>", "<｜place▁holder▁no▁799｜>", "</think>")

func loadDeepSeek(t *tables) {
	v, special, err := bpe.Decode(vocabulary.DeepSeek)
	if err != nil {
		panic("the embedded vocabulary: " + err.Error()) // a broken build
	}
	for i, text := range special {
		special[i] = thinking.Replace(text)
	}
	t.vocabulary, t.splitter, t.specials = v, split.NewDeepSeek(), newSpecials(special...)
}

// loadOpenAI takes an encoding's ranks from tiktoken-go's offline loader. OpenAI's API reads a
// special token in a message as ordinary text, so none is known here.
func loadOpenAI(t *tables, s splitter) {
	ranks, err := loader.NewOfflineLoader().LoadTiktokenBpe(t.name + ".tiktoken")
	if err != nil {
		panic("the embedded vocabulary: " + err.Error()) // a broken build
	}
	t.vocabulary, t.splitter = bpe.New(tokensOf(ranks)), s
}

// tokensOf numbers an encoding's tokens as package bpe does, and finds the two
// that each is merged of: those that the tokens ranked before it make of its text.
func tokensOf(ranks map[string]int) []bpe.Token {
	number := func(text string) uint32 {
		if len(text) == 1 {
			return uint32(text[0])
		}
		return uint32(ranks[text])
	}
	tokens := make([]bpe.Token, 0, len(ranks))
	for text, rank := range ranks {
		token := bpe.Token{Text: text, Number: number(text)}
		if len(text) > 1 {
			half := border(text, rank, ranks)
			token.Half, token.Right = uint8(half), number(text[half:])
		}
		tokens = append(tokens, token)
	}
	return tokens
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
