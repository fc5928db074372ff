package main

import (
	"fmt"

	loader "github.com/pkoukk/tiktoken-go-loader"

	"tollgate/handler/tokens/internal/bpe"
)

// openAIFiles are the encodings made from tiktoken-go's ranks: the name of the file that
// the loader embeds, and the path of the file to make.
var openAIFiles = []struct{ source, destination string }{
	{"o200k_base.tiktoken", "handler/tokens/vocabulary/o200k.bpe"},
	{"cl100k_base.tiktoken", "handler/tokens/vocabulary/cl100k.bpe"},
}

// convertOpenAI returns the vocabulary file for the ranks of one of OpenAI's encodings.
func convertOpenAI(source string) ([]byte, error) {
	ranks, err := loader.NewOfflineLoader().LoadTiktokenBpe(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	tokens, err := tokensOf(ranks)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return bpe.Encode(tokens, nil)
}

// tokensOf returns an encoding's tokens with the numbers of package bpe and the halves
// that each is merged from.
func tokensOf(ranks map[string]int) ([]bpe.Token, error) {
	number := func(text string) uint32 {
		if len(text) == 1 {
			return uint32(text[0])
		}
		return uint32(ranks[text])
	}
	tokens := make([]bpe.Token, 0, len(ranks))
	for text, rank := range ranks {
		if (len(text) == 1) != (rank < 256) {
			return nil, fmt.Errorf("token %q has rank %d: ranks below 256 must be the single bytes", text, rank)
		}
		token := bpe.Token{Text: text, Number: number(text)}
		if len(text) > 1 {
			half, ok := lastMerge(text, rank, ranks)
			if !ok {
				return nil, fmt.Errorf("token %q is not a merge of tokens ranked before it", text)
			}
			token.Half, token.Right = uint8(half), number(text[half:])
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// lastMerge returns the length in bytes of the left half of a token's last merge. It
// merges the token's bytes, always the pair with the lowest rank, until only the merge
// into the token itself is left. It reports false if the merges don't get there.
func lastMerge(text string, rank int, ranks map[string]int) (half int, ok bool) {
	ends := make([]int, len(text)) // of the parts
	for i := range ends {
		ends[i] = i + 1
	}
	for len(ends) > 2 {
		first, at, start := rank, -1, 0
		for i := range len(ends) - 1 {
			if r, known := ranks[text[start:ends[i+1]]]; known && r < first {
				first, at = r, i
			}
			start = ends[i]
		}
		if at < 0 {
			return 0, false
		}
		ends = append(ends[:at], ends[at+1:]...)
	}
	return ends[0], true
}
