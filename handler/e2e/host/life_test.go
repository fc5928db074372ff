package host_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"tollgate/handler/asynctest"
)

// thinking is a model that begins a stream at once and then pauses. It answers a call that
// isn't streamed after the pause.
type thinking struct {
	time time.Duration // the pause
	left chan struct{} // gets a value when a caller left during the pause
}

// ServeHTTP implements http.Handler.
func (m thinking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	streamed := strings.Contains(string(body), `"stream":true`)
	if streamed {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
	}
	timer := time.NewTimer(m.time)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		m.left <- struct{}{}
		return
	}
	const usage = `"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}`
	if streamed {
		_, _ = fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{"content":"well"},"finish_reason":"stop"}],`+usage+"}\n\ndata: [DONE]\n\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprint(w, `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"well"}}],`+usage+"}")
}

// TestALongSilenceOutlastsTheHostsIdleLimit shortens the host's 240 s to 2 s, and the
// gateway's limits in the same way.
func TestALongSilenceOutlastsTheHostsIdleLimit(t *testing.T) {
	model := thinking{5 * time.Second, make(chan struct{}, 1)}
	h := start(t, options{model: model, limits: yearly,
		settings: []string{"STANDIN_IDLE_SECONDS=2", "KEEP_ALIVE_INTERVAL=500ms", "UPSTREAM_TIMEOUT=1s", "SETTLE_TIMEOUT=1s"}})
	status, text := h.answer(t, body(true))
	if status != http.StatusOK || !strings.HasSuffix(text, "data: [DONE]\n\n") || strings.Count("\n"+text, "\n:") < 5 {
		t.Errorf("streamed: got %d %s, want 200 with 5 comments or more and [DONE] at the end", status, text)
	}
	asynctest.Until(t, "the stream's 18 tokens are counted", func() bool { return h.used(t) == 18 })
	status, text = h.answer(t, body(false))
	if status != http.StatusGatewayTimeout || !strings.Contains(text, "stream: true") {
		t.Errorf("not streamed: got %d %s, want 504 with a hint at stream: true", status, text)
	}
	select {
	case <-model.left:
	case <-time.After(patience):
		t.Error("got a model that goes on after the answer, want its call cancelled")
	}
}

// restarted waits until a new handler process serves calls.
func (h *running) restarted(t *testing.T, before int) {
	t.Helper()
	asynctest.Until(t, "another handler runs", func() bool {
		now := h.handler(t)
		return now != 0 && now != before
	})
	asynctest.Until(t, "calls are answered again", func() bool {
		response, err := h.post(t.Context(), body(false))
		if err != nil {
			return false
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err == nil && response.StatusCode == http.StatusOK
	})
}

func TestAKilledHandlerIsReplacedAndForgetsNothing(t *testing.T) {
	h := start(t, options{limits: yearly})
	if status, text := h.answer(t, body(false)); status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", status, text)
	}
	before := h.used(t)
	if before == 0 {
		t.Fatal("got no tokens counted, want some")
	}
	asynctest.Until(t, "storage has all that is used", func() bool { return h.stored(t) >= before })
	h.restarted(t, h.signal(t, syscall.SIGKILL))
	if after := h.used(t); after < 2*before { // one call before, and at least one after
		t.Errorf("got %d tokens counted after %d before, want at least twice as many", after, before)
	}
}

func TestAStreamBreaksOffWhenItsHandlerIsKilled(t *testing.T) {
	model := newPaused()
	h := start(t, options{model: model})
	response, err := h.post(t.Context(), body(true))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	h.signal(t, syscall.SIGKILL)
	if rest, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("got the whole stream %s, want it cut", rest)
	}
}

// TestAStoppedHandlerIsReplaced stops the handler more often than the host restarts one that
// fails: the handler exits with a status that the host doesn't count as a failure.
func TestAStoppedHandlerIsReplaced(t *testing.T) {
	h := start(t, options{})
	for range 4 {
		h.restarted(t, h.signal(t, syscall.SIGTERM))
	}
	if !strings.Contains(h.log.String(), `"msg":"draining"`) {
		t.Error("got no draining in the log, want it")
	}
}

// TestTheHostReplacesAHandlerAfterFunctionTimeout makes a call that takes longer than
// functionTimeout.
func TestTheHostReplacesAHandlerAfterFunctionTimeout(t *testing.T) {
	model := thinking{time.Hour, make(chan struct{}, 9)}
	h := start(t, options{model: model, functionTimeout: "00:00:03"})
	before := h.handler(t)
	response, err := h.post(t.Context(), body(false))
	if err == nil {
		response.Body.Close()
		if response.StatusCode < http.StatusInternalServerError {
			t.Errorf("got %d for the interrupted call, want 500 or above", response.StatusCode)
		}
	}
	asynctest.Until(t, "another handler runs", func() bool {
		now := h.handler(t)
		return now != 0 && now != before
	})
	asynctest.Until(t, "it answers", func() bool {
		response, err := http.Get(h.url + "/models")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusUnauthorized
	})
}

func TestWrongSettingsAreNamedInTheHostsLog(t *testing.T) {
	h := start(t, options{fails: true, settings: []string{"UPSTREAM_SHAPE=soap"}})
	asynctest.Until(t, "the setting is named", func() bool {
		return strings.Contains(h.log.String(), `UPSTREAM_SHAPE is "soap"`)
	})
}

// TestACallLogsNoErrorUnderTheHost: the host logs everything that a handler writes to
// standard error as an error.
func TestACallLogsNoErrorUnderTheHost(t *testing.T) {
	h := start(t, options{})
	if status, text := h.answer(t, body(true)); status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", status, text)
	}
	asynctest.Until(t, "the call and the version are in the log", func() bool { // the handler writes them after the answer
		text := h.log.String()
		return strings.Contains(text, `"msg":"listening","version":`) && strings.Contains(text, `"msg":"call"`)
	})
	if text := h.log.String(); strings.Contains(strings.ToLower(text), "[error]") {
		t.Errorf("got an error in the host's log, want none:\n%s", text)
	}
}

func TestAnotherMethodOrPathIsAnsweredByTheGateway(t *testing.T) {
	h := start(t, options{})
	for path, want := range map[string]int{"/nothing/here": http.StatusNotFound, "/models": http.StatusUnauthorized, "/openai/v1/chat/completions": http.StatusMethodNotAllowed} {
		response, err := http.Get(h.url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want || response.Header.Get("X-Request-Id") == "" {
			t.Errorf("GET %s: got %d and request id %q, want %d with an id", path, response.StatusCode, response.Header.Get("X-Request-Id"), want)
		}
	}
}

// TestOnlyTheTimerStartsHousekeeping: the host calls the function's path. A caller of that
// path gets 404, as for any unknown path.
func TestOnlyTheTimerStartsHousekeeping(t *testing.T) {
	h := start(t, options{limits: yearly})
	if status, text := h.answer(t, body(false)); status != http.StatusOK {
		t.Fatalf("got %d %s, want 200", status, text)
	}
	response, err := http.Post(h.url+"/housekeeping", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	asynctest.Until(t, "the caller's call is in the log", func() bool { return strings.Contains(h.log.String(), `"outcome":"route_not_found"`) })
	if response.StatusCode != http.StatusNotFound || strings.Contains(h.log.String(), `"msg":"housekeeping"`) {
		t.Errorf("a caller: got %d, want 404 and no housekeeping in the log", response.StatusCode)
	}
	response, err = http.Post(h.url+"/admin/functions/housekeeping", "application/json", strings.NewReader(`{"input":""}`))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Errorf("the host's own trigger: got %d, want 202", response.StatusCode)
	}
	// At any level: on a slow machine a run may fail for counters of the tests beside this one.
	seen := regexp.MustCompile(`"msg":"housekeeping","counters":[1-9]`)
	asynctest.Until(t, "housekeeping saw the call's counter", func() bool { return seen.MatchString(h.log.String()) })
	if status, text := h.answer(t, body(false)); status != http.StatusOK { // the host got its answer and still serves calls
		t.Errorf("after housekeeping: got %d %s, want 200", status, text)
	}
}
