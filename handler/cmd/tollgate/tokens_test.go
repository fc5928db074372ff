package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// countTokens runs tollgate tokens count without any setting.
func countTokens(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, err bytes.Buffer
	a := &app{getenv: func(string) string { return "" }, stdin: strings.NewReader(stdin), stdout: &out, stderr: &err}
	status = a.execute(t.Context(), append([]string{"tokens", "count"}, args...))
	return out.String(), err.String(), status
}

func TestTokensCountPrintsOneNumberALine(t *testing.T) {
	zipped, err := os.Open(filepath.Join("..", "..", "tokens", "testdata", "vectors.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer zipped.Close()
	file, err := gzip.NewReader(zipped)
	if err != nil {
		t.Fatal(err)
	}
	vectors, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for line := range strings.Lines(string(vectors)) {
		var vector struct{ Tokens int }
		if err := json.Unmarshal([]byte(line), &vector); err != nil {
			t.Fatal(err)
		}
		want.WriteString(strconv.Itoa(vector.Tokens) + "\n")
	}
	stdout, stderr, status := countTokens(t, string(vectors))
	if status != exitDone || stdout != want.String() || stderr != "" {
		t.Errorf("got status %d, %d bytes and stderr %s, want %d and the vectors' counts in %d bytes", status, len(stdout), stderr, exitDone, want.Len())
	}
}

func TestTokensCountChoosesTheEncoding(t *testing.T) {
	const lines = `{"text":"strawberry \ud83d 世界","id":7,"Text":"x"}` + "\n\n" + `{"messages":[{"role":"user","content":"Hi"}],"text":null,"tools":[1]}`
	for model, want := range map[string]string{"": "6\n6\n", "gpt-4": "8\n8\n", "gpt-4o": "5\n8\n"} {
		var args []string
		if model != "" {
			args = []string{"--model", model}
		}
		if stdout, stderr, status := countTokens(t, lines, args...); status != exitDone || stdout != want || stderr != "" {
			t.Errorf("%q: got status %d, %q and stderr %s, want %d and %q", model, status, stdout, stderr, exitDone, want)
		}
	}
	if stdout, stderr, _ := countTokens(t, `{"text":"a"}`, "--model", "nobody's"); stdout != "1\n" || !strings.Contains(stderr, "nobody's") {
		t.Errorf("an unknown model: got %q and stderr %q, want 1 and the model's name", stdout, stderr)
	}
}

func TestTokensCountReportsBadLines(t *testing.T) {
	for line, want := range map[string]string{
		`x`: "line 2: not a JSON object", `[]`: "line 2: not a JSON object", `{}`: "either text or messages", `{"text":"a","messages":[]}`: "either text or messages",
		`{"text":1}`: "text must be a string", `{"messages":{}}`: "messages can't be read",
	} {
		stdout, stderr, status := countTokens(t, `{"text":"a"}`+"\n"+line+"\n")
		if status != exitFailed || stdout != "1\n" || !strings.Contains(stderr, want) {
			t.Errorf("%s: got status %d, %q and stderr %q, want %d, the first line's count and %q", line, status, stdout, stderr, exitFailed, want)
		}
	}
	if _, stderr, status := countTokens(t, "", "text"); status != exitUsage || !strings.Contains(stderr, "too many") {
		t.Errorf("an argument: got status %d and %q, want %d and \"too many\"", status, stderr, exitUsage)
	}
}

func TestTokensCountNamesNoGoTypes(t *testing.T) {
	for _, line := range []string{`[]`, `"a"`, `5`, `true`} {
		if _, stderr, status := countTokens(t, line); status != exitFailed || !strings.Contains(stderr, `write {"text":"…"}`) || strings.Contains(stderr, "Go value") {
			t.Errorf("%s: got status %d and %q, want %d and what to write, without Go's types", line, status, stderr, exitFailed)
		}
	}
}

func TestTokensCountReadsLinesOfAnyLengthAndEnding(t *testing.T) {
	long := strings.Repeat("a", 3<<20)
	stdin := "\r\n{\"text\":\"a\"}\r\n  \n{\"text\":\"" + long + "\"}\r\n" + `{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}`
	if stdout, stderr, status := countTokens(t, stdin); status != exitDone || stdout != "1\n393216\n6\n" || stderr != "" {
		t.Errorf("got status %d, %q and stderr %s, want %d and the counts 1, 393216 and 6", status, stdout, stderr, exitDone)
	}
}
