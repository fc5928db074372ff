package tokens_test

import (
	"testing"

	"tollgate/handler/tokens"
)

func TestCountChat(t *testing.T) {
	e := tokens.ForModel("DeepSeek-R1")
	for chat, want := range map[string]int{
		`[]`:                                     0,
		`[{"role":"user","content":"12345678"}]`: 2,
		`[{"role":"user","content":"123456789"}]`:                                                3,
		`[{"role":"user","content":[{"type":"text","text":"1234"},{"type":"text","text":"5"}]}]`: 2,
		`[{"role":"assistant","content":null},{"role":"user","content":"\u4e16"}]`:               1,
	} {
		if got, err := e.CountChat([]byte(chat), nil); got != want || err != nil {
			t.Errorf("CountChat(%s) = %d, %v; want %d", chat, got, err, want)
		}
	}
	if _, err := e.CountChat([]byte(`{}`), nil); err == nil {
		t.Error("an object is taken for messages")
	}
	if got, _ := e.CountChat([]byte(`[]`), []byte(`[{"a":1}]`)); got != 3 {
		t.Errorf("tools count %d", got)
	}
}

func TestStreamCountsAsTheWholeText(t *testing.T) {
	e := tokens.ForModel("DeepSeek-R1")
	s := e.Stream()
	for _, piece := range []string{"", "a", "bcd", "efghi"} {
		s.Write(piece)
	}
	if s.Count() != e.Count("abcdefghi") {
		t.Errorf("in pieces %d, whole %d", s.Count(), e.Count("abcdefghi"))
	}
}
