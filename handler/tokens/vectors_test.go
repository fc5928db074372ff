package tokens_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"

	"tollgate/handler/tokens"
)

// vector is a line of testdata/vectors.jsonl.gz.
type vector struct {
	Text     *string         `json:"text"`
	Messages json.RawMessage `json:"messages"`
	Tokens   int             `json:"tokens"`
}

func vectors(t testing.TB) (all []vector) {
	t.Helper()
	file, err := os.Open("testdata/vectors.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDeepSeekR1IsCountedExactly(t *testing.T) {
	e := tokens.ForModel("DeepSeek-R1")
	all := vectors(t)
	if len(all) != 1197 {
		t.Errorf("got %d vectors, want 1197", len(all))
	}
	for i, v := range all {
		if v.Text != nil {
			if got := e.Count(*v.Text); got != v.Tokens {
				t.Errorf("line %d: got %d tokens, want %d: %q", i+1, got, v.Tokens, *v.Text)
			}
			continue
		}
		if got, err := e.CountChat(v.Messages, nil); got != v.Tokens || err != nil {
			t.Errorf("line %d: got %d tokens, %v, want %d: %s", i+1, got, err, v.Tokens, v.Messages)
		}
	}
}
