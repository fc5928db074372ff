package upstream_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

func TestOnlyHeadersOnTheAllowlistPass(t *testing.T) {
	const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	var got http.Header
	e := endpoint(serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		for _, name := range []string{"Set-Cookie", "Server", "Alt-Svc", "X-Ratelimit-Remaining-Tokens", "X-Ms-Region", "Apim-Request-Id", "X-Request-Id", "Location"} {
			w.Header().Set(name, "upstream's own")
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=3600")
	}))
	e.Shape = shape.Models
	call := aCall(false)
	call.RequestID, call.Traceparent, call.ExtraParameters = "id-1", traceparent, "drop"
	response, err := newClient(t, upstream.Timeouts{}, e).Send(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	response.Close()
	want := http.Header{"Api-Key": {"upstream-key"}, "Traceparent": {traceparent}, "X-Request-Id": {"id-1"}, "Extra-Parameters": {"drop"}, "Accept": {"application/json"},
		"Content-Type": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"tollgate"}, "Content-Length": {"2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers sent upstream (-want +got):\n%s", diff)
	}
	back := http.Header{"Content-Type": {"application/json"}}
	if diff := cmp.Diff(back, response.Header); diff != "" {
		t.Errorf("headers returned (-want +got):\n%s", diff)
	}
}

func TestWithoutAKeyACallCarriesAToken(t *testing.T) {
	var got http.Header
	e := endpoint(serve(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header }))
	e.Key = secret.Text{}
	e.Token = func(context.Context) (string, error) { return "entra", nil }
	response, err := newClient(t, upstream.Timeouts{}, e).Send(t.Context(), aCall(false))
	if err != nil {
		t.Fatal(err)
	}
	response.Close()
	if got.Get("Authorization") != "Bearer entra" || got["Api-Key"] != nil {
		t.Errorf("got headers %v, want Authorization with the token and no Api-Key", got)
	}
}

func TestSendReturnsTheReasonOfAMissingAnswer(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		stream  bool
		after   time.Duration // of virtual time
		want    upstream.Reason
	}{
		"a hang before the headers of a stream":  {hang, true, 20 * time.Second, upstream.TimedOut},
		"a hang before the headers of an answer": {hang, false, 40 * time.Second, upstream.TimedOut},
		"a connection closed before an answer":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, 0, upstream.Unreachable},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:2/", http.StatusTemporaryRedirect)
		}, false, 0, upstream.BadAnswer},
		"no content":                {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, false, 0, upstream.BadAnswer},
		"gzip though not asked for": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") }, true, 0, upstream.BadAnswer},
		"something that isn't HTTP": {notHTTP, false, 0, upstream.Unreachable},
		"11 MiB of headers":         {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 11<<20)) }, false, 0, upstream.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := clientOnWire(t, upstream.Timeouts{Header: 20 * time.Second, Whole: 40 * time.Second}, c.handler)
				start := time.Now()
				_, err := client.Send(t.Context(), aCall(c.stream))
				var failed *upstream.Error
				if !errors.As(err, &failed) || failed.Reason != c.want || failed.Endpoint != "upstream-1" {
					t.Errorf("got %v, want %s of upstream-1", err, c.want)
				}
				if took := time.Since(start); took != c.after {
					t.Errorf("got the error after %v, want %v", took, c.after)
				}
			})
		})
	}
}

func notHTTP(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n")
	_ = conn.Close()
}

func TestACallToAClosedPortIsUnreachable(t *testing.T) {
	// Port 1 is never assigned; a port that was free a moment ago may be in use.
	_, err := newClient(t, upstream.Timeouts{}, endpoint("http://127.0.0.1:1")).Send(t.Context(), aCall(false))
	var failed *upstream.Error
	if !errors.As(err, &failed) || failed.Reason != upstream.Unreachable {
		t.Errorf("got %v, want Unreachable", err)
	}
}

func TestACallWithoutATokenHasNoCredential(t *testing.T) {
	e := endpoint("http://127.0.0.1:1")
	e.Key = secret.Text{}
	e.Token = func(context.Context) (string, error) { return "", errors.New("no identity") }
	_, err := newClient(t, upstream.Timeouts{}, e).Send(t.Context(), aCall(false))
	var failed *upstream.Error
	if !errors.As(err, &failed) || failed.Reason != upstream.NoCredential {
		t.Errorf("got %v, want NoCredential", err)
	}
}

// A caller may leave while it waits for headers.
func TestTheEndOfTheCallersContextCancelsTheCallUpstream(t *testing.T) {
	for deadline, want := range map[bool]upstream.Reason{false: upstream.Left, true: upstream.TimedOut} {
		synctest.Test(t, func(t *testing.T) {
			cancelled := make(chan struct{})
			client := clientOnWire(t, upstream.Timeouts{}, func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				close(cancelled)
			})
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if deadline {
				ctx, leave = context.WithTimeout(ctx, time.Second)
				defer leave()
			} else {
				time.AfterFunc(time.Second, leave)
			}
			_, err := client.Send(ctx, aCall(false))
			var failed *upstream.Error
			if !errors.As(err, &failed) || failed.Reason != want {
				t.Errorf("got %v, want %s", err, want)
			}
			<-cancelled
		})
	}
}

func TestBodyReturnsTheAnswerOrTheFailure(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
		reason  upstream.Reason
		after   time.Duration
	}{
		"of known length":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") }, "answer", "", 0},
		"of unknown length": {func(w http.ResponseWriter, _ *http.Request) { sendNow(w, "ans"); sendNow(w, "wer") }, "answer", "", 0},
		"of nothing":        {func(http.ResponseWriter, *http.Request) {}, "", "", 0},
		"that breaks off":   {func(w http.ResponseWriter, _ *http.Request) { sendNow(w, "ans"); panic(http.ErrAbortHandler) }, "ans", upstream.Broken, 0},
		"short of its length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			sendNow(w, "ans")
			panic(http.ErrAbortHandler)
		}, "ans", upstream.Broken, 0},
		"that hangs": {func(w http.ResponseWriter, r *http.Request) { sendNow(w, "ans"); <-r.Context().Done() }, "ans", upstream.TimedOut, 40 * time.Second},
		"that is too large": {func(w http.ResponseWriter, _ *http.Request) {
			for range 17 {
				_, _ = io.WriteString(w, long)
			}
		}, strings.Repeat(long, 16), upstream.BadAnswer, 0},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client := clientOnWire(t, upstream.Timeouts{Header: time.Second, Whole: 40 * time.Second}, c.handler)
					start := time.Now()
					response, err := client.Send(t.Context(), aCall(stream))
					if err != nil {
						t.Fatal(err)
					}
					defer response.Close()
					body, err := response.Body(unbounded)
					var failed *upstream.Error
					if errors.As(err, &failed) != (c.reason != "") || failed != nil && failed.Reason != c.reason {
						t.Errorf("got %v, want %q", err, c.reason)
					}
					if string(body) != c.want || time.Since(start) != c.after {
						t.Errorf("got %d bytes after %v, want %d after %v", len(body), time.Since(start), len(c.want), c.after)
					}
				})
			})
		}
	}
}

// The transport would ask for gzip by itself.
func TestAnAnswerIsRequestedUncompressed(t *testing.T) {
	client := newClient(t, upstream.Timeouts{}, endpoint(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") == "identity" {
			_, _ = io.WriteString(w, "plain")
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, "zipped")
		_ = zip.Close()
	})))
	response, err := client.Send(t.Context(), aCall(false))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	if body, err := response.Body(unbounded); string(body) != "plain" || err != nil {
		t.Errorf("got %q, %v; want the plain answer", body, err)
	}
}

func TestTargetsRefusesACallThatNoEndpointCanServe(t *testing.T) {
	models := upstream.Endpoint{Name: "a", URL: "http://127.0.0.1:1", Shape: shape.Models, Models: map[string]upstream.Model{"r1": {Name: "R1"}, "v3": {Name: "V3"}}, Key: secret.New("k")}
	openai := upstream.Endpoint{Name: "b", URL: "http://127.0.0.1:1", Shape: shape.OpenAI, Models: map[string]upstream.Model{"r1": {Name: "R1"}, "o1": {Name: "o1"}}, Key: secret.New("k")}
	client := newClient(t, upstream.Timeouts{}, models, openai)
	for _, c := range []struct {
		model, extra string
		want         error
	}{
		{"r1", "", nil}, {"v3", "drop", nil}, {"r1", "pass-through", nil}, {"r1", "error", nil}, {"o1", "", nil}, {"o1", "pass-through", nil}, {"o1", "error", upstream.ErrExtraParameters},
		{"o1", "drop", upstream.ErrExtraParameters}, {"r1", "Drop", upstream.ErrExtraParameters},
		{"r2", "", upstream.ErrModel}, {"", "", upstream.ErrModel}, {"r2", "drop", upstream.ErrModel},
	} {
		call := upstream.Call{Selection: upstream.Selection{Model: c.model, Path: chatPath, ExtraParameters: c.extra}}
		if _, err := client.Targets(call.Selection); !errors.Is(err, c.want) {
			t.Errorf("%s, extra-parameters %q: got %v, want %v", c.model, c.extra, err, c.want)
		}
	}
}

// An endpoint can only have worked on a call that was sent in full.
func TestAnErrorSaysWhetherTheCallWasSentInFull(t *testing.T) {
	for name, c := range map[string]struct {
		dial func(ctx context.Context, network, address string) (net.Conn, error)
		want bool
	}{
		"while connecting": {func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, false},
		"while sending": {func(context.Context, string, string) (net.Conn, error) {
			ours, _ := net.Pipe()
			return ours, nil // nothing reads from the other end
		}, false},
		"while it waits": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := clientOnWire(t, upstream.Timeouts{}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				if c.dial != nil {
					client.DialBy(c.dial)
				}
				ctx, leave := context.WithTimeout(t.Context(), time.Second)
				defer leave()
				call := aCall(false)
				call.Body = func(upstream.Target) [][]byte { return [][]byte{bytes.Repeat([]byte(" "), 1<<20)} }
				_, err := client.Send(ctx, call)
				failed, ok := errors.AsType[*upstream.Error](err)
				if !ok || failed.Accepted != c.want {
					t.Errorf("got %v, accepted %t; want accepted %t", err, ok && failed.Accepted, c.want)
				}
			})
		})
	}
}

// A call that has queued for tokens has less time left for its answer, as its caller
// and the front end count from the beginning.
func TestTimeoutsCountFromWhenTheCallerBeganToWait(t *testing.T) {
	for stream, want := range map[bool]time.Duration{true: 10 * time.Second, false: 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			client := clientOnWire(t, upstream.Timeouts{Header: 20 * time.Second, Whole: 40 * time.Second}, func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
			})
			call := aCall(stream)
			call.Since = time.Now()
			time.Sleep(10 * time.Second)
			begun := time.Now()
			_, err := client.Send(t.Context(), call)
			failed, ok := errors.AsType[*upstream.Error](err)
			if !ok || failed.Reason != upstream.TimedOut || time.Since(begun) != want {
				t.Errorf("stream %t: got %v after %v, want a timeout after %v", stream, err, time.Since(begun), want)
			}
		})
	}
}
