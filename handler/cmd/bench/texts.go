package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A countedText is a text to measure counting with.
type countedText struct{ name, text string }

// countedTexts returns prose, code and CJK, from Go's own sources and from the vectors that
// counting is tested with.
func countedTexts(ctx context.Context) ([]countedText, error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	sources := filepath.Join(strings.TrimSpace(string(output)), "src")
	prose, err := os.ReadFile(filepath.Join(sources, "testdata", "Isaac.Newton-Opticks.txt"))
	if err != nil {
		return nil, err
	}
	var code []byte
	for _, name := range []string{"server.go", "transport.go"} {
		file, err := os.ReadFile(filepath.Join(sources, "net", "http", name))
		if err != nil {
			return nil, err
		}
		code = append(code, file...)
	}
	cjk, err := wideVectors("handler/tokens/testdata/vectors.jsonl.gz")
	if err != nil {
		return nil, err
	}
	return []countedText{{"prose", string(prose[:min(400_000, len(prose))])}, {"code", string(code)}, {"cjk", cjk}}, nil
}

// wideVectors returns the vectors' texts in which at least two in five characters are not
// Latin: Chinese, Japanese, Korean, Cyrillic, emoji.
func wideVectors(path string) (string, error) {
	zipped, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%w (run it in the repository's root)", err)
	}
	file, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return "", err
	}
	var all strings.Builder
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var vector struct{ Text string }
		if err := json.Unmarshal(lines.Bytes(), &vector); err != nil {
			return "", err
		}
		chars, wide := 0, 0
		for _, char := range vector.Text {
			chars++
			if char >= 0x250 {
				wide++
			}
		}
		if chars > 20 && 5*wide >= 2*chars && !strings.Contains(vector.Text, "think>") { // tiktoken-go knows no special tokens here
			all.WriteString(vector.Text + "\n")
		}
	}
	return all.String(), lines.Err()
}
