package fields_test

import (
	"errors"
	"strings"
	"testing"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
	"tollgate/handler/tokens"
)

func read(value string) (fields.Texts, error) {
	var texts fields.Texts
	s := jsonscan.New([]byte(value), jsonscan.Options{Distinct: true})
	return texts, texts.Read(&s, "input")
}

// OpenAI's encoding has a token for each of these words.
func TestTextsAndTokenIDsAreCountedToTheToken(t *testing.T) {
	for value, want := range map[string]struct{ items, ids, tokens int64 }{
		`"hello world"`:                    {1, 0, 2},
		`"hello\u0020world"`:               {1, 0, 2},
		`["hello world","hello"," world"]`: {3, 0, 4},
		`[15339, 1917]`:                    {1, 2, 2},
		`[[15339,1917],[1917]]`:            {2, 3, 3},
		`""`:                               {1, 0, 0},
		`[[]]`:                             {1, 0, 0},
	} {
		texts, err := read(value)
		if err != nil {
			t.Errorf("%s: got %v, want no error", value, err)
			continue
		}
		if count := texts.Count(tokens.ForModel("text-embedding-3-small")); texts.Items != want.items || texts.IDs != want.ids || count != want.tokens {
			t.Errorf("%s: got %d texts, %d ids and %d tokens, want %+v", value, texts.Items, texts.IDs, count, want)
		}
		if texts.Size() < want.tokens {
			t.Errorf("%s: got a size of %d, want %d or more", value, texts.Size(), want.tokens)
		}
	}
}

func TestTextsOfMixedOrUnknownKindsAreRefused(t *testing.T) {
	for value, field := range map[string]string{
		`7`: "input", `true`: "input", `{}`: "input", `[]`: "input", `[null]`: "input[0]", `[{"text":"a"}]`: "input[0]",
		`["a",7]`: "input[1]", `[7,"a"]`: "input[1]", `[[7],"a"]`: "input[1]", `[[7],8]`: "input[1]", `[["a"]]`: "input[0][0]",
		`[1.5]`: "input[0]", `[-1]`: "input[0]", `[7,1e3]`: "input[1]", `[[7,-0]]`: "input[0][1]",
	} {
		_, err := read(value)
		wrong, ok := errors.AsType[*operation.FieldError](err)
		if !ok || wrong.Field != field || wrong.Fix == "" {
			t.Errorf("%s: got %v, want a fault of %s", value, err, field)
		}
	}
}

// Anything else that a model may read counts by its bytes, and the prompt is no longer
// plain.
func TestAPromptOfTextsIncludesEveryOtherByte(t *testing.T) {
	settings := map[string]bool{"model": true}
	hidden := strings.Repeat("word ", 100)
	for body, want := range map[string]struct {
		plain     bool
		least     int64
		unbounded string
	}{
		`{"model":"m","input":"hi"}`:                       {true, 0, ""},
		`{"model":"m","input":[1,2,3],"extra":null}`:       {true, 9, ""},
		`{"input":"hi","instruction":"` + hidden + `"}`:    {false, 500, ""},
		`{"input":"hi","images":["https://x/y.png"]}`:      {false, 20, "images"},
		`{"input":"hi","best_of":3}`:                       {false, 0, "best_of"},
		`{"input":"a <|endoftext|> b"}`:                    {false, 0, ""},
		`{"input":["a","<\u007cendoftext|>"],"model":"m"}`: {false, 0, ""},
	} {
		var texts fields.Texts
		s := jsonscan.New([]byte(body), jsonscan.Options{})
		_ = s.Object(func(key []byte) error {
			if string(key) == "input" {
				return texts.Read(&s, "input")
			}
			return s.Skip()
		})
		got := texts.Prompt([]byte(body), "input", settings, func([]byte, int) {})
		if got.Plain != want.plain || got.Other < want.least || got.Unbounded != want.unbounded || got.Frame < 0 {
			t.Errorf("%s: got %+v, want plain %t, %d other bytes or more, unbounded %q", body, got, want.plain, want.least, want.unbounded)
		}
	}
}
