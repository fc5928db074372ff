package upstream_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tollgate/handler/operation/sse"
	"tollgate/handler/upstream"
)

// continuing returns a call that continues at its endpoint when its context ends, and a
// channel that gets its rest if no answer has begun by then.
func continuing(stream bool) (upstream.Call, <-chan *upstream.Rest) {
	call, rests := aCall(stream), make(chan *upstream.Rest, 1)
	call.Rest = func(r *upstream.Rest) { rests <- r }
	return call, rests
}

// readRest reads the rest of a call.
func readRest(t *testing.T, rest *upstream.Rest) (text string, ended bool) {
	t.Helper()
	if rest == nil {
		t.Fatal("got no rest of the call, want one")
	}
	ended = rest.Read(t.Context(), func(chunk []byte) bool { text += string(chunk); return true })
	return text, ended
}

func TestTheRestOfAStreamBeginsWhereItsRelayStopped(t *testing.T) {
	left := make(chan struct{})
	at := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		sendNow(w, "data: a\n\n")
		<-left
		sendNow(w, "data: b\n\n")
		sendNow(w, "data: c\n\n")
	})
	ctx, leave := context.WithCancel(t.Context())
	call, _ := continuing(true)
	response, err := newClient(t, upstream.Timeouts{}, endpoint(at)).Send(ctx, call)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	caller := httptest.NewRecorder()
	ending, _ := response.Relay(caller, new(sse.Splitter), func(event []byte) []byte { leave(); return event })
	close(left)
	if got := caller.Body.String(); ending != upstream.ClientLeft || got != "data: a\n\n" {
		t.Errorf("got ending %s after %q, want %s after the first event", ending, got, upstream.ClientLeft)
	}
	if text, ended := readRest(t, response.Rest()); text != "data: b\n\ndata: c\n\n" || !ended {
		t.Errorf("got the rest %q, ended %t; want the two other events to their end", text, ended)
	}
}

func TestTheRestOfABodyBeginsWhereItsReaderStopped(t *testing.T) {
	body := strings.Repeat("0123456789", 20_000)
	left := make(chan struct{})
	at := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		sendNow(w, body[:100_000])
		<-left
		sendNow(w, body[100_000:])
	})
	ctx, leave := context.WithCancel(t.Context())
	call, _ := continuing(false)
	response, err := newClient(t, upstream.Timeouts{}, endpoint(at)).Send(ctx, call)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	if response.Streamed() {
		t.Error("got a stream, want a body")
	}
	begun, err := response.Body(func(bytes int64) error {
		if bytes > 64<<10 { // the first buffer is full
			leave()
		}
		return nil
	})
	close(left)
	if err == nil {
		t.Error("got no error from Body after the caller left, want one")
	}
	if rest, ended := readRest(t, response.Rest()); string(begun)+rest != body || !ended {
		t.Errorf("got %d bytes and then %d, ended %t; want the %d of the body to their end", len(begun), len(rest), ended, len(body))
	}
}

func TestACallWithoutAnAnswerYetContinues(t *testing.T) {
	working, left := make(chan struct{}), make(chan struct{})
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(working)
		<-left
		sendNow(w, "an answer")
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-working; leave() }()
	call, rests := continuing(false)
	if response, err := newClient(t, upstream.Timeouts{}, endpoint(at)).Send(ctx, call); err == nil {
		response.Close()
		t.Fatal("got an answer, want an error, since the caller left")
	}
	close(left)
	if text, ended := readRest(t, <-rests); text != "an answer" || !ended {
		t.Errorf("got the rest %q, ended %t; want the answer to its end", text, ended)
	}
}

// A panic in another goroutine would end the process.
func TestAPanicInARelayReachesItsCaller(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		sendNow(w, "data: a\n\n")
	})
	call, _ := continuing(true)
	response, err := newClient(t, upstream.Timeouts{}, endpoint(at)).Send(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	defer func() {
		if got := recover(); got != "a fault" {
			t.Errorf("got the panic %v, want that of the relay", got)
		}
	}()
	_, _ = response.Relay(httptest.NewRecorder(), new(sse.Splitter), func([]byte) []byte { panic("a fault") })
	t.Error("got no panic, want the relay's")
}
