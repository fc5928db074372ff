package tokens_test

import (
	"strings"
	"testing"

	"tollgate/handler/tokens"
)

func BenchmarkCountChat(b *testing.B) {
	text := strings.Repeat(`A few words of \"prose\", it's said,\n`, 27)
	e := tokens.ForModel("DeepSeek-R1")
	for name, chat := range map[string]string{
		"1KB":          `[{"role":"user","content":"` + text + `"}]`,
		"1MB":          `[{"role":"user","content":"` + strings.Repeat(text, 1000) + `"}]`,
		"1000messages": "[" + strings.TrimSuffix(strings.Repeat(`{"role":"user","content":[{"type":"text","text":"Hello there"}]},`, 1000), ",") + "]",
		"1000ignored":  "[" + strings.TrimSuffix(strings.Repeat(`{"role":"x","content":"`+text+`"},`, 1000), ",") + "]",
	} {
		b.Run(name, func(b *testing.B) {
			raw := []byte(chat)
			b.SetBytes(int64(len(chat)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.CountChat(raw, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
