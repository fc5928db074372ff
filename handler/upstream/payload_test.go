package upstream_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"tollgate/handler/operation/sse"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

// isFreed waits for the garbage collector to free what w points to, and reports whether it
// did.
func isFreed[T any](t *testing.T, w weak.Pointer[T]) bool {
	t.Helper()
	for tick, late := time.Tick(10*time.Millisecond), time.After(10*time.Second); ; {
		if runtime.GC(); w.Value() == nil {
			return true
		}
		select {
		case <-tick:
		case <-late:
			return false
		}
	}
}

// A prompt of megabytes must not stay in memory for the minutes of an answer.
func TestABodyIsReleasedOnceAnAnswerHasBegun(t *testing.T) {
	for _, stream := range []bool{true, false} {
		end := make(chan struct{})
		received := make(chan int, 1)
		at := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			received <- len(body)
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": working\n\n")
			_ = http.NewResponseController(w).Flush()
			<-end
		})
		client := newClient(t, upstream.Timeouts{}, upstream.Endpoint{Shape: shape.OpenAI, URL: at, Key: secret.New("k")})
		response, body := sendLarge(t, client, stream)
		if n := <-received; n != 2<<20 {
			t.Errorf("got %d bytes upstream, want %d", n, 2<<20)
		}
		if !isFreed(t, body) {
			t.Errorf("stream %t: got the body still in memory while the answer is read, want it released", stream)
		}
		close(end)
		response.Close()
	}
}

// A busy instance would otherwise hold all the calls of the last second.
func TestAClosedStreamIsFreedBeforeItsTimeToEndIsOver(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		sendNow(w, "data: [DONE]\n\n")
	})
	client := newClient(t, upstream.Timeouts{}, endpoint(at))
	if closed := closedStream(t, client); !isFreed(t, closed) {
		t.Error("got a closed response still in memory, want it freed")
	}
}

// closedStream relays a stream and keeps no reference to its response.
func closedStream(t *testing.T, client *upstream.Client) weak.Pointer[upstream.Response] {
	t.Helper()
	response, err := client.Send(t.Context(), aCall(true))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	ending, err := response.Relay(httptest.NewRecorder(), new(sse.Splitter), func(event []byte) []byte {
		response.EndWithin(time.Hour)
		return event
	})
	if err != nil {
		t.Errorf("got ending %s with %v, want none", ending, err)
	}
	return weak.Make(response)
}

// sendLarge makes a call of 2 MiB and keeps no reference to its body.
func sendLarge(t *testing.T, client *upstream.Client, stream bool) (*upstream.Response, weak.Pointer[byte]) {
	t.Helper()
	body := bytes.Repeat([]byte(" "), 1<<20)
	call := aCall(stream)
	call.Body = func(upstream.Target) [][]byte { return [][]byte{body, body} }
	response, err := client.Send(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	return response, weak.Make(&body[0])
}

// An endpoint may begin to answer before it has read the whole call.
func TestABodyIsSentToItsEndEvenAfterItsAnswerHasBegun(t *testing.T) {
	received := make(chan int64, 1)
	begin := make(chan struct{})
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": working\n\n")
		_ = http.NewResponseController(w).Flush()
		<-begin
		n, _ := io.Copy(io.Discard, r.Body)
		received <- n
	})
	client := newClient(t, upstream.Timeouts{}, upstream.Endpoint{Shape: shape.OpenAI, URL: at, Key: secret.New("k")})
	call := aCall(true)
	call.Body = func(upstream.Target) [][]byte {
		return [][]byte{bytes.Repeat([]byte(" "), 16<<20), []byte("{}")}
	}
	response, err := client.Send(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	close(begin)
	if n := <-received; n != 16<<20+2 {
		t.Errorf("got %d bytes upstream, want %d", n, 16<<20+2)
	}
}

// The next endpoint gets the whole body however much of it the one before has read.
func TestEachEndpointThatIsTriedGetsTheWholeBody(t *testing.T) {
	half := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	received := make(chan string, 1)
	whole := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- string(body)
	})
	key := secret.New("k")
	client := newClient(t, upstream.Timeouts{},
		upstream.Endpoint{Name: "a", Shape: shape.OpenAI, URL: half, Key: key, Priority: 1},
		upstream.Endpoint{Name: "b", Shape: shape.OpenAI, URL: whole, Key: key, Priority: 2})
	call := aCall(false)
	text := bytes.Repeat([]byte("text "), 1<<20)
	call.Body = func(upstream.Target) [][]byte { return [][]byte{[]byte("{"), text, []byte("}")} }
	response, err := client.Send(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	if got, want := <-received, "{"+string(text)+"}"; got != want {
		t.Errorf("got %d bytes at the second endpoint, want %d", len(got), len(want))
	}
}

// countedConn counts the writes to a connection.
type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// Each write costs a system call and a packet.
func TestASmallBodyIsSentInOneWriteWithItsHeaders(t *testing.T) {
	received := make(chan string, 1)
	at := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- string(body)
	})
	client := newClient(t, upstream.Timeouts{}, endpoint(at))
	var writes atomic.Int64
	dial := client.Dial()
	client.DialBy(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return countedConn{conn, &writes}, err
	})
	call := aCall(false)
	call.Body = func(upstream.Target) [][]byte { return [][]byte{[]byte(`{"model":`), []byte(`"m"`), []byte("}")} }
	response, err := client.Send(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	if got, want := <-received, `{"model":"m"}`; got != want || writes.Load() != 1 {
		t.Errorf("got %q in %d writes, want %q in 1", got, writes.Load(), want)
	}
}
