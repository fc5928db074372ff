package tokens

import (
	"strings"

	"github.com/pkoukk/tiktoken-go"

	"tollgate/handler/tokens/internal/bpe"
	"tollgate/handler/tokens/internal/split"
	"tollgate/handler/tokens/vocabulary"
)

var (
	deepseek   = &tables{name: "deepseek", load: loadDeepSeek}
	o200kBase  = &tables{name: tiktoken.MODEL_O200K_BASE, load: func(t *tables) { loadOpenAI(t, vocabulary.O200k, split.NewO200k()) }}
	cl100kBase = &tables{name: tiktoken.MODEL_CL100K_BASE, load: func(t *tables) { loadOpenAI(t, vocabulary.Cl100k, split.NewCl100k()) }}
)

// thinking renames two unused tokens of V3's vocabulary, which R1 shares and where it
// uses them for <think> and </think>.
// Source: https://huggingface.co/deepseek-ai/DeepSeek-R1/blob/main/tokenizer.json
var thinking = strings.NewReplacer("<｜place▁holder▁no▁798｜>", "<think>", "<｜place▁holder▁no▁799｜>", "</think>")

func loadDeepSeek(t *tables) {
	v, special := decode(vocabulary.DeepSeek)
	for i, text := range special {
		special[i] = thinking.Replace(text)
	}
	t.vocabulary, t.splitter, t.specials = v, split.NewDeepSeek(), newSpecials(special...)
}

// loadOpenAI sets no special tokens, as OpenAI's API reads their text in a message as
// ordinary text.
func loadOpenAI(t *tables, file string, s splitter) {
	t.vocabulary, _ = decode(file)
	t.splitter = s
}

// decode panics on a malformed file, as the build is broken then.
func decode(file string) (*bpe.Vocabulary, []string) {
	v, special, err := bpe.Decode(file)
	if err != nil {
		panic("embedded vocabulary: " + err.Error())
	}
	return v, special
}
