package tokens_test

import (
	"fmt"
	"strings"
	"testing"

	"tollgate/handler/tokens"
)

// The memory for one long prompt must not stay for as long as the gateway runs.
func TestCountingKeepsOnlySmallBuffers(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it counts large prompts")
	}
	const kept = 256 << 10
	user := func(content string) string { return fmt.Sprintf(`[{"role":"user","content":%q}]`, content) }
	for name, messages := range map[string]string{
		"many messages":   "[" + strings.TrimSuffix(strings.Repeat(`{},`, 1_390_000), ",") + "]",
		"one long word":   user(strings.Repeat("a", 4<<20)),
		"one long text":   user(strings.Repeat("What is a token bucket? ", 1<<17)),
		"invalid UTF-8":   `[{"role":"user","content":"` + strings.Repeat("\xff", 1<<20) + `"}]`,
		"a short message": user("hi"),
	} {
		for _, model := range []string{"DeepSeek-R1", "gpt-4o"} {
			t.Run(name+" to "+model, func(t *testing.T) {
				encoding := tokens.ForModel(model)
				if _, err := encoding.CountChat([]byte(messages), nil); err != nil {
					t.Fatal(err)
				}
				bytes, refers := encoding.Pooled()
				if bytes > kept {
					t.Errorf("got %d bytes kept for the next count, want at most %d", bytes, kept)
				}
				if refers {
					t.Error("got a reference to the last prompt in the buffers kept for the next count, want none")
				}
			})
		}
	}
}
