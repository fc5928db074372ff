package chat

import (
	"fmt"
	"strings"
	"testing"
)

// body returns a call whose messages have about size bytes, in one long text or in
// many short ones.
func body(size int, long bool) []byte {
	const words = `words and \"more\" words, `
	n := 8
	if long {
		n = size / len(words)
	}
	message := `{"role":"user","content":"` + strings.Repeat(words, n) + `"}`
	messages := strings.TrimSuffix(strings.Repeat(message+",", max(1, size/len(message))), ",")
	return []byte(`{"model":"DeepSeek-R1","messages":[` + messages + `],"max_tokens":100,"stream":true}`)
}

// eachBody runs a benchmark for bodies of 1 KB to 4 MB.
func eachBody(b *testing.B, run func(body []byte)) {
	for _, c := range []struct {
		name string
		body []byte
	}{{"1KB", body(1<<10, true)}, {"4MB", body(4<<20, true)}, {"800KB-short-texts", body(800<<10, false)}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				run(c.body)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	eachBody(b, func(body []byte) {
		if _, err := Parse(body); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkPrompt(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r, err := Parse(body(size, true))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r.Prompt(func([]byte, int) {})
			}
		})
	}
}

func BenchmarkReadAnswer(b *testing.B) {
	body := []byte(`{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		strings.Repeat(`words and \n more words, `, 40) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":233,"total_tokens":258}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if a := ReadAnswer(body, nil); a.Unread {
			b.Fatalf("got the answer unread: %+v, want it read", a)
		}
	}
}
