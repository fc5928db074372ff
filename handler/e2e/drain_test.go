package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tollgate/handler/local/azurite"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// TestQueuedCallsAreAnsweredOnSIGTERM sends SIGTERM to the program while calls queue for
// the next minute and the model is still answering one.
func TestQueuedCallsAreAnsweredOnSIGTERM(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it runs the whole program")
	}
	const queued = 20
	working, finish := make(chan struct{}), make(chan struct{})
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(working)
		<-finish
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"x"}}],"usage":{"prompt_tokens":10,"completion_tokens":80}}`)
	}))
	t.Cleanup(model.Close)
	binary := buildGateway(t)
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	key, url := subscription.NewKey(), "http://127.0.0.1:"+port
	var log bytes.Buffer
	cmd := exec.Command(binary)
	cmd.Stderr, cmd.Stdout = &log, &log
	cmd.Env = append(os.Environ(), "PORT="+port, "KEY_PEPPER="+subscriptiontest.PepperSecret, "UPSTREAM_URL="+model.URL, "UPSTREAM_SHAPE=openai", "UPSTREAM_API_KEY=none",
		"STORE=memory", "AzureWebJobsStorage=", "FUNCTIONS_CUSTOMHANDLER_PORT=", "FUNCTIONS_HTTPWORKER_PORT=", "APPLICATIONINSIGHTS_CONNECTION_STRING=", "DRAIN_TIMEOUT=20s",
		fmt.Sprintf(`MEMORY_DIRECTORY={"tiers":[{"id":"t","tokensPerMinute":200,"reserve":"full","maxCompletionTokens":100,"maxWait":"2m"}],`+
			`"subscriptions":[{"id":"s","tier":"t"}],"keys":[{"subscription":"s","slot":"primary","key":%q}]}`, key))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	waitForGateway(t, url)
	call := expectingContinue(t, url, key)
	var calls, waiting sync.WaitGroup
	calls.Go(func() {
		if status, _, body := call(func() {}); status != http.StatusOK {
			t.Errorf("the call under way: got %d %s, want 200", status, body)
		}
	})
	<-working
	begun := make(chan struct{}, queued)
	for range queued {
		waiting.Go(func() {
			if status, after, body := call(func() { begun <- struct{}{} }); status != http.StatusTooManyRequests || after == "" {
				t.Errorf("a queued call: got %d, Retry-After %q and %s, want 429 with Retry-After", status, after, body)
			}
		})
	}
	for range queued {
		<-begun
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	waiting.Wait() // the other call is still running
	close(finish)
	calls.Wait()
	if err := cmd.Wait(); err != nil {
		t.Errorf("got exit %v with %s, want status 0", err, log.String())
	}
}

// expectingContinue returns a function that makes a call and returns the answer's status,
// Retry-After and body. The call expects 100 Continue, which the gateway sends when it
// begins to read the body; the function calls begun then.
func expectingContinue(t *testing.T, url, key string) func(begun func()) (int, string, string) {
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	return func(begun func()) (int, string, string) {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: begun})
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/openai/v1/chat/completions",
			strings.NewReader(`{"model":"DeepSeek-R1","max_tokens":100,"messages":[{"role":"user","content":"x"}]}`))
		if err != nil {
			t.Errorf("got error %v, want a request", err)
			return 0, "", ""
		}
		request.Header.Set("Api-Key", key)
		request.Header.Set("Expect", "100-continue")
		response, err := client.Do(request)
		if err != nil {
			t.Errorf("got error %v, want an answer before the connection ends", err)
			return 0, "", ""
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Errorf("got error %v within the answer, want all of it", err)
		}
		return response.StatusCode, response.Header.Get("Retry-After"), string(body)
	}
}
