package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/operation/sse"
	"tollgate/handler/upstream"
)

// unchanged passes every event on.
func unchanged(event []byte) []byte { return event }

// gateway serves a wire that relays upstream's answers. It returns the wire, and a channel
// that gets the ending of each relay.
func gateway(t *testing.T, timeouts upstream.Timeouts, answer http.HandlerFunc) (*wire, <-chan upstream.Ending) {
	client := clientOnWire(t, timeouts, answer)
	endings := make(chan upstream.Ending, 1)
	return serveOnWire(t, func(w http.ResponseWriter, r *http.Request) {
		response, err := client.Send(r.Context(), aCall(true))
		if err != nil {
			t.Errorf("got %v from upstream, want an answer", err)
			return
		}
		defer response.Close()
		ending, err := response.Relay(w, new(sse.Splitter), unchanged)
		if (err == nil) != (ending == upstream.Ended) {
			t.Errorf("got ending %s with error %v, want an error unless it is %s", ending, err, upstream.Ended)
		}
		endings <- ending
		if ending.ByUpstream() {
			panic(http.ErrAbortHandler)
		}
	}), endings
}

// get sends a request over a wire.
func get(t *testing.T, ctx context.Context, w *wire) *http.Response {
	transport := &http.Transport{DialContext: w.dial}
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestRelayPassesEachEventOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, endings := gateway(t, upstream.Timeouts{KeepAlive: -1}, func(w http.ResponseWriter, _ *http.Request) {
			for _, event := range []string{"data: 1\n\n", "data: 2\r\n\r\n", "data: 3\n\n"} {
				sendNow(w, event)
				time.Sleep(time.Second)
			}
			sendNow(w, "data: ")
			time.Sleep(time.Second)
			sendNow(w, "4\n\n")
		})
		start := time.Now()
		body := bufio.NewReader(get(t, t.Context(), w).Body)
		for i, event := range []string{"data: 1\n\n", "data: 2\r\n\r\n", "data: 3\n\n", "data: 4\n\n"} {
			got := make([]byte, len(event))
			if _, err := io.ReadFull(body, got); err != nil || string(got) != event {
				t.Fatalf("event %d: got %q, %v; want %q", i, got, err, event)
			}
			if at := time.Since(start); at != time.Duration(i+min(1, i/3))*time.Second {
				t.Errorf("event %d: got it after %v, want %v", i, at, time.Duration(i+min(1, i/3))*time.Second)
			}
		}
		if rest, err := io.ReadAll(body); len(rest) > 0 || err != nil {
			t.Errorf("got %q, %v after the events, want a clean end", rest, err)
		}
		if ending := <-endings; ending != upstream.Ended {
			t.Errorf("got ending %s, want %s", ending, upstream.Ended)
		}
	})
}

func TestRelayWritesWhatInspectReturns(t *testing.T) {
	response := upstream.ResponseOf(io.NopCloser(strings.NewReader("data: a\n\ndata: b\n\ndata: c\n\ndata: [DONE]\n\n")))
	defer response.Close()
	recorder := httptest.NewRecorder()
	ending, err := response.Relay(recorder, new(sse.Splitter), func(event []byte) []byte {
		switch string(event) {
		case "data: b\n\n":
			return nil
		case "data: [DONE]\n\n":
			return append([]byte(": 7 tokens\n\n"), event...)
		}
		return event
	})
	if ending != upstream.Ended || err != nil {
		t.Errorf("got ending %s, %v; want %s", ending, err, upstream.Ended)
	}
	if got := recorder.Body.String(); got != "data: a\n\ndata: c\n\n: 7 tokens\n\ndata: [DONE]\n\n" {
		t.Errorf("got %q, want b left out and a comment before [DONE]", got)
	}
}

func TestRelayKeepsASilentStreamAliveAndThenEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, endings := gateway(t, upstream.Timeouts{KeepAlive: 15 * time.Second, Idle: 60 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
			sendNow(w, "") // headers
			time.Sleep(20 * time.Second)
			sendNow(w, "data: a\n\n")
			<-r.Context().Done()
		})
		start := time.Now()
		body, err := io.ReadAll(get(t, t.Context(), w).Body)
		// 15 s: a comment; 20 s: the event; 35, 50, 65 s: comments; 80 s: the end.
		if want := ": keep-alive\n\ndata: a\n\n" + strings.Repeat(": keep-alive\n\n", 3); string(body) != want {
			t.Errorf("got %q, want %q", body, want)
		}
		if at := time.Since(start); at != 80*time.Second || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v after %v, want an unexpected end after 80s", err, at)
		}
		if ending := <-endings; ending != upstream.Silent {
			t.Errorf("got ending %s, want %s", ending, upstream.Silent)
		}
	})
}

// An event too long to be buffered is passed on in pieces. A comment between them
// would become part of it.
func TestRelayPutsNoCommentIntoAnEvent(t *testing.T) {
	long := "data: " + strings.Repeat("x", 2<<20)
	synctest.Test(t, func(t *testing.T) {
		w, _ := gateway(t, upstream.Timeouts{KeepAlive: 15 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
			sendNow(w, long)
			time.Sleep(20 * time.Second)
			sendNow(w, "y\n\n")
			time.Sleep(20 * time.Second)
		})
		body, err := io.ReadAll(get(t, t.Context(), w).Body)
		if want := long + "y\n\n: keep-alive\n\n"; string(body) != want || err != nil {
			t.Errorf("got %d bytes, ending in %q, %v; want the event and one comment after it", len(body), body[max(0, len(body)-40):], err)
		}
	})
}

func TestRelayAbortsAStreamThatUpstreamCut(t *testing.T) {
	for name, cut := range map[string]string{"after an event": "data: a\n\n", "within an event": "data: a\n\ndata: {\"us"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, endings := gateway(t, upstream.Timeouts{}, func(w http.ResponseWriter, _ *http.Request) {
					sendNow(w, cut)
					panic(http.ErrAbortHandler)
				})
				body, err := io.ReadAll(get(t, t.Context(), w).Body)
				if string(body) != "data: a\n\n" || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got %q, %v; want the whole event and an unexpected end", body, err)
				}
				if ending := <-endings; ending != upstream.Cut {
					t.Errorf("got ending %s, want %s", ending, upstream.Cut)
				}
			})
		})
	}
}

func TestRelayEndsWhenTheCallerLeaves(t *testing.T) {
	for name, silent := range map[string]bool{"while upstream thinks": true, "while upstream talks": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cancelled := make(chan struct{})
				w, endings := gateway(t, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
					defer close(cancelled)
					for {
						sendNow(w, "data: a\n\n")
						select {
						case <-r.Context().Done():
							return
						case <-time.After(time.Second):
						}
						if silent {
							<-r.Context().Done()
						}
					}
				})
				ctx, leave := context.WithCancel(t.Context())
				body := get(t, ctx, w).Body
				if _, err := io.ReadFull(body, make([]byte, 9)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(1500 * time.Millisecond)
				leave()
				if ending := <-endings; ending != upstream.ClientLeft {
					t.Errorf("got ending %s, want %s", ending, upstream.ClientLeft)
				}
				<-cancelled
			})
		})
	}
}

// A caller that reads nothing is disconnected when a write has waited too long.
func TestRelayCutsOffASlowCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, endings := gateway(t, upstream.Timeouts{Write: 10 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				sendNow(w, "data: "+strings.Repeat("x", 8<<10)+"\n\n")
			}
		})
		start := time.Now()
		get(t, t.Context(), w) // the headers, nothing more
		if ending := <-endings; ending != upstream.ClientSlow {
			t.Errorf("got ending %s, want %s", ending, upstream.ClientSlow)
		}
		if at := time.Since(start); at < 7*time.Second || at > 10*time.Second {
			t.Errorf("got the end after %v, want 7.5 to 10 s", at)
		}
	})
}

func TestRelayEndsAtTheCallsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := clientOnWire(t, upstream.Timeouts{}, func(w http.ResponseWriter, r *http.Request) {
			sendNow(w, "data: a\n\n")
			<-r.Context().Done()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		response, err := client.Send(ctx, aCall(true))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Close()
		if ending, err := response.Relay(httptest.NewRecorder(), new(sse.Splitter), unchanged); ending != upstream.Expired {
			t.Errorf("got ending %s, %v; want %s", ending, err, upstream.Expired)
		}
	})
}

// The deadline of the last write must not cut the connection's next call.
func TestRelayLeavesNoDeadlineBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, endings := gateway(t, upstream.Timeouts{Write: time.Second}, func(w http.ResponseWriter, _ *http.Request) {
			sendNow(w, "data: a\n\n")
		})
		transport := &http.Transport{DialContext: w.dial, MaxConnsPerHost: 1}
		defer transport.CloseIdleConnections()
		for range 2 {
			request, err := http.NewRequest(http.MethodGet, "http://gateway/", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(response.Body); string(body) != "data: a\n\n" || err != nil {
				t.Errorf("got %q, %v; want the event and a clean end", body, err)
			}
			response.Body.Close()
			<-endings
			time.Sleep(time.Minute)
		}
	})
}

// chunks reads at most n bytes at a time.
type chunks struct {
	io.Reader
	n int
}

func (c chunks) Read(p []byte) (int, error) { return c.Reader.Read(p[:min(len(p), c.n)]) }

func FuzzRelayIdentity(f *testing.F) {
	f.Add([]byte("data: a\n\ndata: b\r\n\r\n: c\r\rdata: [DONE]"), uint8(3))
	f.Add([]byte("\xEF\xBB\xBFdata: {}\n\n\n\n\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, n uint8) {
		response := upstream.ResponseOf(io.NopCloser(chunks{bytes.NewReader(stream), int(n) + 1}))
		defer response.Close()
		recorder := httptest.NewRecorder()
		ending, err := response.Relay(recorder, new(sse.Splitter), unchanged)
		got := recorder.Body.Bytes()
		if ending == upstream.NotStream && len(got) == 0 {
			ending = upstream.Ended
			got, _ = response.Body(unbounded)
		}
		if ending != upstream.Ended || err != nil || !bytes.Equal(got, stream) {
			t.Fatalf("got %q, ending %s, %v; want %q unchanged", got, ending, err, stream)
		}
	})
}
