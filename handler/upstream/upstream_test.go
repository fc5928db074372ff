package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"tollgate/handler/operation/chat"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is a network of one server in memory, for tests in virtual time.
type wire struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case conn := <-w.conns:
		return conn, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	close(w.closed)
	return nil
}

func (w *wire) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (w *wire) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case w.conns <- theirs:
		return ours, nil
	case <-w.closed:
		return nil, errors.New("connection refused")
	}
}

// serveOnWire serves over a wire until the test ends. It reads each request to its end
// first, since a server only then notices that its caller leaves.
func serveOnWire(t *testing.T, handler http.HandlerFunc) *wire {
	w := &wire{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		handler(w, r)
	})}
	done := make(chan error)
	go func() { done <- server.Serve(w) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return w
}

// chatPath is the path of a chat completion.
func chatPath(s shape.Shape) string { return chat.Operation.Upstream[s] }

// endpoint returns a valid configuration.
func endpoint(url string) upstream.Endpoint {
	return upstream.Endpoint{URL: url, Shape: shape.OpenAI, Key: secret.New("upstream-key")}
}

// clientOnWire returns a client that calls a handler over a wire.
func clientOnWire(t *testing.T, timeouts upstream.Timeouts, handler http.HandlerFunc) *upstream.Client {
	client := newClient(t, timeouts, endpoint("http://127.0.0.1:1"))
	client.DialBy(serveOnWire(t, handler).dial)
	return client
}

func newClient(t *testing.T, timeouts upstream.Timeouts, endpoints ...upstream.Endpoint) *upstream.Client {
	t.Helper()
	client, err := upstream.New(endpoints, timeouts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return client
}

// serve runs an upstream on a socket and returns its URL.
func serve(t *testing.T, handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// aCall returns a call for model m.
func aCall(stream bool) upstream.Call {
	return upstream.Call{Selection: upstream.Selection{Model: "m", Path: chatPath},
		Request: upstream.Request{Stream: stream, Body: func(upstream.Target) [][]byte { return [][]byte{[]byte("{}")} }}}
}

// sendNow writes a piece of an answer and flushes it.
func sendNow(w http.ResponseWriter, text string) {
	_, _ = io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
}

// unbounded lets an answer use any amount of memory.
func unbounded(int64) error { return nil }
