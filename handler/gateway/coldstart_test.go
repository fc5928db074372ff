package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"

	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/tokens"
)

// freshProcess is set in the process of a test that needs one in which nothing has loaded a
// vocabulary.
const freshProcess = "TOLLGATE_TEST_FRESH_PROCESS"

// inFreshProcess runs the test in a process of its own, and reports whether this is it.
func inFreshProcess(t *testing.T) bool {
	t.Helper()
	if os.Getenv(freshProcess) != "" {
		return true
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	again.Env = append(os.Environ(), freshProcess+"=1")
	if output, err := again.CombinedOutput(); err != nil {
		t.Errorf("in a process of its own: got %v, want success:\n%s", err, output)
	}
	return false
}

func TestAFirstCallWaitsForTheVocabularyOnlyIfItsBoundDoesNotFit(t *testing.T) {
	if !inFreshProcess(t) {
		return
	}
	var loaded bool // when the endpoint was asked
	model := func(w http.ResponseWriter, _ *http.Request) {
		loaded = tokens.ForModel("DeepSeek-R1").Loaded()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":5000,"completion_tokens":10,"total_tokens":5010}}`)
	}
	for _, call := range []struct {
		perMinute int64
		counted   bool
	}{{10_000_000, false}, {20_000, true}} { // the bound is above 25,000, the count near 5,000
		b := start(t, subscriptiontest.Limits{TokensPerMinute: call.perMinute}, model)
		if response, body := b.post(t, demoPath, longPrompt); response.StatusCode != http.StatusOK || loaded != call.counted {
			t.Errorf("%d tokens a minute: got %d with the vocabulary loaded: %v (%s), want 200 and %v", call.perMinute, response.StatusCode, loaded, body, call.counted)
		}
		if used := b.usage(t, "").Minute.Used; used != 5010 {
			t.Errorf("%d tokens a minute: got %d tokens used, want 5010", call.perMinute, used)
		}
	}
}

// Bounds are several times what prompts cost, so calls that hold them at the same time would
// refuse others that fit.
func TestFirstCallsThatFitTogetherAreAllAdmitted(t *testing.T) {
	if !inFreshProcess(t) {
		return
	}
	const calls = 8
	var decided sync.WaitGroup // each call at the endpoint, or refused
	decided.Add(calls)
	b := start(t, subscriptiontest.Limits{TokensPerMinute: 60_000}, func(w http.ResponseWriter, _ *http.Request) {
		decided.Done()
		decided.Wait()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":5000,"completion_tokens":10,"total_tokens":5010}}`)
	})
	var ended sync.WaitGroup
	for range calls {
		ended.Go(func() {
			if response, body := b.post(t, demoPath, longPrompt); response.StatusCode != http.StatusOK {
				decided.Done()
				t.Errorf("one of %d calls of 5000 tokens each under a limit of 60,000: got %d %s, want 200", calls, response.StatusCode, body)
			}
		})
	}
	ended.Wait()
}
