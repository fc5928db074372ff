package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/upstream"
)

// The usage is in a comment just before [DONE], because the headers are sent before it is
// known.
func TestAStreamReportsItsUsageInAComment(t *testing.T) {
	b, _ := startLogged(t, subscriptiontest.Limits{TokensPerMinute: 300, TokenQuota: 1000, TokenQuotaPeriod: limit.Hourly}, upstream.Timeouts{},
		events(thoughtEvent+textEvent+stopEvent+usageEvent+doneEvent))
	_, body, err := b.read(t.Context(), streamBody)
	want := thoughtEvent + textEvent + stopEvent + ": x-apim-tokens-consumed: 100\n: x-apim-remaining-tokens: 200\n: x-apim-remaining-quota-tokens: 900\n\n" + doneEvent
	if body != want || err != nil {
		t.Errorf("got %q, %v; want %q", body, err, want)
	}
	plain := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, events(thoughtEvent+textEvent+stopEvent+usageEvent+doneEvent))
	if _, body := plain.post(t, demoPath, streamBody); body != thoughtEvent+textEvent+stopEvent+doneEvent {
		t.Errorf("without usage asked for: got %q, want %q", body, thoughtEvent+textEvent+stopEvent+doneEvent)
	}
	own := strings.Replace(streamBody, "{", `{"stream_options":{"include_usage":true,"x":1},`, 1)
	if _, body := plain.post(t, demoPath, own); body != thoughtEvent+textEvent+stopEvent+usageEvent+doneEvent {
		t.Errorf("with usage asked for: got %q, want %q", body, thoughtEvent+textEvent+stopEvent+usageEvent+doneEvent)
	}
}

// The headers of a stream give the tokens left before it, even if all of it arrives at once:
// a keep-alive comment may have sent them before the end is read.
func TestAStreamsHeadersGiveTheTokensLeftBeforeIt(t *testing.T) {
	for name, test := range map[string]struct {
		text                string
		remaining, consumed string
	}{"a whole stream": {thoughtEvent + textEvent + stopAndUsageEvent + doneEvent, "287", ""}, "a stream of nothing": {"", "300", ""}, "nothing but usage": {usageEvent, "200", "100"}} {
		b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, test.text)
		})
		response, body := b.post(t, demoPath, streamBody)
		if h := response.Header; h.Get("x-apim-remaining-tokens") != test.remaining || h.Get("x-apim-tokens-consumed") != test.consumed {
			t.Errorf("%s: got %v %s, want %q remaining and %q consumed", name, h, body, test.remaining, test.consumed)
		}
	}
}

// A call is charged before its caller gets [DONE], so that the caller's next call finds the
// tokens used.
func TestACallIsChargedBeforeItsCallerSeesTheEnd(t *testing.T) {
	release := make(chan struct{})
	b := start(t, subscriptiontest.Limits{TokenQuota: 300, TokenQuotaPeriod: limit.Yearly}, events(thoughtEvent+stopAndUsageEvent+doneEvent, func(http.ResponseWriter, *http.Request) { <-release }))
	response := b.begin(t, b.key, streamBody)
	if got := make([]byte, len(thoughtEvent+stopAndUsageEvent+doneEvent)); true {
		if _, err := io.ReadFull(response.Body, got); err != nil {
			t.Fatal(err)
		}
	}
	if used := b.spent(t); used != 100 {
		t.Errorf("at [DONE]: got %d tokens used up, want 100", used)
	}
	close(release)
}
