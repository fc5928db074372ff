package tokens_test

import (
	"strings"
	"sync"
	"testing"

	"tollgate/handler/tokens"
)

func TestTheTextOfASpecialTokenIsOneToken(t *testing.T) {
	e := tokens.ForModel("DeepSeek-R1")
	for text, want := range map[string]int{
		"<think>": 1, "</think>": 1, "<｜User｜>": 1, "<|EOT|>": 1, "<｜fim▁hole｜>": 1, "<｜place▁holder▁no▁7｜>": 1,
		"a<think>b": 3, "<<think>>": 3, "<think><think>": 2, "<｜▁pad▁｜><｜end▁of▁sentence｜>": 2,
	} {
		if got := e.Count(text); got != want {
			t.Errorf("%q: got %d tokens, want %d", text, got, want)
		}
	}
	for _, text := range []string{"<think", "<Think>", "<｜User>", "< think>", "<｜place▁holder▁no▁800｜>", "<｜place▁holder▁no▁798｜>"} {
		if e.Count(text) < 2 {
			t.Errorf("%q: got %d token, want several ordinary ones", text, e.Count(text))
		}
	}
	if got := tokens.ForModel("gpt-4").Count("<|endoftext|>"); got < 2 {
		t.Errorf("<|endoftext|> for an OpenAI model: got %d token, want several ordinary ones", got)
	}
}

func TestInvalidUTF8CountsAsU_FFFD(t *testing.T) {
	for _, model := range []string{"DeepSeek-R1", "gpt-4", "gpt-4o"} {
		e := tokens.ForModel(model)
		for text, same := range map[string]string{
			"a\xffb": "a\uFFFDb", "\xe4\xb8": "\uFFFD\uFFFD", "\xed\xa0\x80": "\uFFFD\uFFFD\uFFFD", "é\xc3": "é\uFFFD",
		} {
			if got, want := e.Count(text), e.Count(same); got != want {
				t.Errorf("%s, %q: got %d tokens, want %d as for %q", model, text, got, want, same)
			}
		}
	}
}

func TestAModelGetsTheEncodingOfItsFamily(t *testing.T) {
	for name, want := range map[string]struct {
		encoding     string
		exact, known bool
	}{
		"DeepSeek-R1":                   {"deepseek", true, true},
		"deepseek-ai/DeepSeek-R1-0528":  {"deepseek", true, true},
		"DeepSeek-R1-Distill-Llama-70B": {"deepseek", false, true},
		"MAI-DS-R1":                     {"deepseek", false, true},
		"DeepSeek-V3.2":                 {"deepseek", false, true},
		"gpt-4o-mini":                   {"o200k_base", false, true},
		"GPT-5":                         {"o200k_base", false, true},
		"o3-mini":                       {"o200k_base", false, true},
		"gpt-4-32k":                     {"cl100k_base", false, true},
		"text-embedding-3-small":        {"cl100k_base", false, true},
		"davinci":                       {"deepseek", false, false},
		"gpt-35-turbo-16k":              {"cl100k_base", false, true},
		"Llama-3.3-70B-Instruct":        {"deepseek", false, false},
		"":                              {"deepseek", false, false},
	} {
		if e := tokens.ForModel(name); e.Name() != want.encoding || e.Exact() != want.exact || e.Known() != want.known {
			t.Errorf("%q: got %s, exact %v, known %v; want %+v", name, e.Name(), e.Exact(), e.Known(), want)
		}
	}
}

func TestConcurrentCountsAreIndependent(t *testing.T) {
	const text = "Many callers at once, 同時に, each with words of their own: "
	for _, model := range []string{"DeepSeek-R1", "gpt-4"} {
		e := tokens.ForModel(model)
		var all sync.WaitGroup
		for i := range 8 {
			own := strings.Repeat(text+string(rune('a'+i)), 20)
			all.Go(func() {
				want := e.Count(own)
				for range 50 {
					s := e.Stream()
					s.Write(own[:333])
					s.Write(own[333:])
					if got, streamed := e.Count(own), s.Count(); got != want || streamed != want {
						t.Errorf("%s: got %d tokens, streamed %d, want %d as before", model, got, streamed, want)
						return
					}
				}
			})
		}
		all.Wait()
	}
}
