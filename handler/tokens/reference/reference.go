// Package reference counts tokens with tiktoken-go as it comes: what package
// tokens is tested against, and measured against. Nothing else uses it.
package reference

import (
	"fmt"
	"unicode"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"

	"tollgate/handler/tokens/internal/bpe"
	"tollgate/handler/tokens/internal/split"
	"tollgate/handler/tokens/vocabulary"
)

// Counter counts the tokens of text without special ones.
type Counter struct {
	stock *tiktoken.Tiktoken
	apart func(rune) int // characters of unlike value are never in one piece
}

// OpenAI counts with one of tiktoken-go's own encodings.
func OpenAI(name string) (*Counter, error) {
	tiktoken.SetBpeLoader(loader.NewOfflineLoader())
	stock, err := tiktoken.GetEncoding(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Counter{stock: stock, apart: func(rune) int { return 0 }}, nil
}

// DeepSeek counts with DeepSeek's ranks in tiktoken-go's CoreBPE. Its pattern is
// the third of DeepSeek's splits; what that leaves out is a piece, which CoreBPE
// would drop.
func DeepSeek() (*Counter, error) {
	ranks, err := bpe.Ranks(vocabulary.DeepSeek)
	if err != nil {
		return nil, err
	}
	third := split.DeepSeekPatterns[2]
	core, err := tiktoken.NewCoreBPE(ranks, nil, third+`|(?:(?!`+third+`)[\s\S])+`)
	if err != nil {
		return nil, err
	}
	return &Counter{stock: tiktoken.NewTiktoken(core, nil, nil), apart: firstSplits}, nil
}

// firstSplits tells apart what the first two of DeepSeek's splits do.
func firstSplits(char rune) int {
	switch {
	case char >= '一' && char <= '龥', char >= '\u3040' && char <= '\u30FF':
		return 1
	case char >= '0' && unicode.Is(unicode.N, char):
		return 2
	}
	return 0
}

// Count is how many tokens a text has, which must be UTF-8.
func (c *Counter) Count(text string) (tokens int) {
	start, kind, length := 0, 0, 0
	for i, char := range text {
		next := c.apart(char)
		if i > start && (next != kind || kind == 2 && length == 3) {
			tokens += len(c.stock.EncodeOrdinary(text[start:i]))
			start, length = i, 0
		}
		kind = next
		length++
	}
	if start < len(text) {
		tokens += len(c.stock.EncodeOrdinary(text[start:]))
	}
	return tokens
}
