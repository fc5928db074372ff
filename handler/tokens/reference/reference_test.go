package reference_test

import (
	"sync"
	"testing"

	"tollgate/handler/tokens/reference"
)

func TestEncodingsCanBeLoadedAtTheSameTime(t *testing.T) { // the race detector sees if they can't
	var loads sync.WaitGroup
	for _, name := range []string{"o200k_base", "cl100k_base"} {
		loads.Go(func() {
			c, err := reference.OpenAI(name)
			if err != nil {
				t.Errorf("%s: got %v, want no error", name, err)
				return
			}
			if got := c.Count("Hello, world"); got != 3 {
				t.Errorf("%s: got %d tokens, want 3", name, got)
			}
		})
	}
	loads.Wait()
}
