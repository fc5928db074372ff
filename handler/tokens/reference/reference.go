// Package reference counts tokens with tiktoken-go itself. Tests and benchmarks compare
// package tokens with it; nothing else uses it.
package reference

import (
	"fmt"
	"sync"
	"unicode"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"

	"tollgate/handler/tokens/internal/bpe"
	"tollgate/handler/tokens/internal/split"
	"tollgate/handler/tokens/vocabulary"
)

// Counter counts the tokens of a text, without special tokens.
type Counter struct {
	stock *tiktoken.Tiktoken
	class func(rune) int // characters of different classes are never in one piece
}

// setLoader makes tiktoken-go load the vocabularies that come with the program. It does so
// once, because the loader is a variable that tiktoken-go doesn't guard.
var setLoader = sync.OnceFunc(func() { tiktoken.SetBpeLoader(loader.NewOfflineLoader()) })

// OpenAI returns a Counter with one of tiktoken-go's own encodings.
func OpenAI(name string) (*Counter, error) {
	setLoader()
	stock, err := tiktoken.GetEncoding(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Counter{stock: stock, class: func(rune) int { return 0 }}, nil
}

// DeepSeek returns a Counter with DeepSeek's ranks in tiktoken-go's CoreBPE. Its pattern
// is the third of DeepSeek's splits, extended by the pieces that the split doesn't match:
// CoreBPE would drop those.
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
	return &Counter{stock: tiktoken.NewTiktoken(core, nil, nil), class: firstSplits}, nil
}

// firstSplits returns the class of a character by the first two of DeepSeek's splits.
func firstSplits(char rune) int {
	switch {
	case char >= '一' && char <= '龥', char >= '\u3040' && char <= '\u30FF':
		return 1
	case char >= '0' && unicode.Is(unicode.N, char):
		return 2
	}
	return 0
}

// Count returns the number of tokens of a text, which must be UTF-8.
func (c *Counter) Count(text string) (tokens int) {
	start, kind, length := 0, 0, 0
	for i, char := range text {
		next := c.class(char)
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
