package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tollgate/handler/secret"
	"tollgate/handler/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var patient = upstream.Timeouts{Header: 10 * time.Second, Idle: 10 * time.Second, KeepAlive: 10 * time.Second, Write: 10 * time.Second}

// serve runs an upstream and gives a client of it.
func serve(t *testing.T, endpoint upstream.Endpoint, timeouts upstream.Timeouts, handler http.HandlerFunc) *upstream.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	endpoint.URL = server.URL
	if endpoint.Key.Empty() && endpoint.Token == nil {
		endpoint.Key = secret.New("upstream-key")
	}
	client := upstream.New(endpoint, timeouts)
	t.Cleanup(func() {
		client.CloseIdle()
		server.CloseClientConnections()
		server.Close()
	})
	return client
}

func TestEveryShapeHasItsPath(t *testing.T) {
	for shape, want := range map[upstream.Shape]string{
		upstream.Models:      "/models/chat/completions?api-version=v1",
		upstream.OpenAI:      "/openai/v1/chat/completions",
		upstream.Deployments: "/openai/deployments/my%20own%2Fname/chat/completions?api-version=v1",
	} {
		var got string
		client := serve(t, upstream.Endpoint{Shape: shape, APIVersion: "v1", Deployments: map[string]string{"DeepSeek-R1": "my own/name"}}, patient,
			func(w http.ResponseWriter, r *http.Request) { got = r.RequestURI })
		response, err := client.Send(t.Context(), upstream.Call{Model: "DeepSeek-R1"})
		if err != nil {
			t.Fatal(err)
		}
		response.Close()
		if got != want {
			t.Errorf("%s: asked %s, want %s", shape, got, want)
		}
	}
}

func TestOnlyHeadersOnTheAllowlistPass(t *testing.T) {
	var got http.Header
	client := serve(t, upstream.Endpoint{Shape: upstream.Models}, patient, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		for _, name := range []string{"Set-Cookie", "Server", "X-Ratelimit-Remaining-Tokens", "X-Ms-Region", "Alt-Svc"} {
			w.Header().Set(name, "upstream's own")
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "7")
	})
	caller := http.Header{}
	for _, name := range []string{"Api-Key", "Authorization", "Ocp-Apim-Subscription-Key", "X-Functions-Key", "Cookie", "X-Forwarded-For",
		"Client-Ip", "X-Ms-Client-Principal", "Connection", "Accept-Encoding", "Content-Encoding", "User-Agent", "Host"} {
		caller.Set(name, "caller's own")
	}
	caller.Set("Traceparent", "00-1-2-01")
	caller.Set("X-Request-Id", "id-1")
	caller.Set("Extra-Parameters", "drop")
	response, err := client.Send(t.Context(), upstream.Call{Model: "m", Body: []byte("{}"), Header: caller})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	want := http.Header{"Api-Key": {"upstream-key"}, "Traceparent": {"00-1-2-01"}, "X-Request-Id": {"id-1"}, "Extra-Parameters": {"drop"},
		"Content-Type": {"application/json"}, "Accept-Encoding": {"identity"}, "User-Agent": {"tollgate"}, "Content-Length": {"2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sent upstream (-want +got):\n%s", diff)
	}
	back := http.Header{}
	response.CopyHeader(back)
	if diff := cmp.Diff(http.Header{"Content-Type": {"application/json"}, "Retry-After": {"7"}}, back); diff != "" {
		t.Errorf("sent back (-want +got):\n%s", diff)
	}
}

func TestATokenStandsInForAKey(t *testing.T) {
	var got string
	token := func(context.Context) (string, error) { return "entra", nil }
	client := serve(t, upstream.Endpoint{Shape: upstream.OpenAI, Token: token}, patient,
		func(w http.ResponseWriter, r *http.Request) { got = r.Header.Get("Authorization") })
	response, err := client.Send(t.Context(), upstream.Call{})
	if err != nil {
		t.Fatal(err)
	}
	response.Close()
	if got != "Bearer entra" {
		t.Errorf("Authorization = %q", got)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	client := serve(t, upstream.Endpoint{Shape: upstream.OpenAI}, patient, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
	})
	response, err := client.Send(t.Context(), upstream.Call{})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	if response.Status != http.StatusTemporaryRedirect {
		t.Errorf("status %d", response.Status)
	}
}

func TestSendSaysWhyItFailed(t *testing.T) {
	short := patient
	short.Header = 20 * time.Millisecond
	client := serve(t, upstream.Endpoint{Shape: upstream.OpenAI}, short, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if _, err := client.Send(t.Context(), upstream.Call{}); !errors.Is(err, upstream.ErrTimeout) {
		t.Errorf("a silent upstream: %v, want ErrTimeout", err)
	}
	client = serve(t, upstream.Endpoint{Shape: upstream.OpenAI}, patient, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
	})
	if _, err := client.Send(t.Context(), upstream.Call{}); !errors.Is(err, upstream.ErrEncoding) {
		t.Errorf("gzip in spite of identity: %v, want ErrEncoding", err)
	}
}

func TestBodyIsBoundedInSizeAndTime(t *testing.T) {
	client := serve(t, upstream.Endpoint{Shape: upstream.OpenAI}, patient, func(w http.ResponseWriter, r *http.Request) {
		block := bytes.Repeat([]byte("x"), 1<<20)
		for range upstream.MaxBody/len(block) + 1 {
			_, _ = w.Write(block)
		}
	})
	response, err := client.Send(t.Context(), upstream.Call{})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	if body, err := response.Body(); !errors.Is(err, upstream.ErrTooLarge) || len(body) != upstream.MaxBody {
		t.Errorf("%d bytes, %v", len(body), err)
	}

	short := patient
	short.Header = 50 * time.Millisecond
	client = serve(t, upstream.Endpoint{Shape: upstream.OpenAI}, short, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	if response, err = client.Send(t.Context(), upstream.Call{}); err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	if body, err := response.Body(); !errors.Is(err, upstream.ErrTimeout) || string(body) != "half" {
		t.Errorf("%q, %v; want what came and ErrTimeout", body, err)
	}
}

// whole passes every piece on as one event.
type whole struct{}

func (whole) Write(data []byte, each func([]byte) error) error {
	if len(data) == 0 {
		return nil
	}
	return each(data)
}
func (whole) Close(func([]byte) error) error { return nil }

// relay runs one relay from an upstream to a recorder.
func relay(t *testing.T, timeouts upstream.Timeouts, handler http.HandlerFunc) (string, error) {
	t.Helper()
	client := serve(t, upstream.Endpoint{Shape: upstream.OpenAI}, timeouts, handler)
	response, err := client.Send(t.Context(), upstream.Call{})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	recorder := httptest.NewRecorder()
	err = response.Relay(recorder, whole{})
	return recorder.Body.String(), err
}

func TestRelayEndsAsUpstreamDoes(t *testing.T) {
	got, err := relay(t, patient, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: a\n\n")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "data: b\n\n")
	})
	if got != "data: a\n\ndata: b\n\n" || err != nil {
		t.Errorf("relayed %q, %v", got, err)
	}
	got, err = relay(t, patient, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: a\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if got != "data: a\n\n" || !errors.Is(err, upstream.ErrBroken) {
		t.Errorf("a stream cut off: relayed %q, %v; want ErrBroken", got, err)
	}
}

func TestRelayKeepsASilentStreamAliveAndThenEndsIt(t *testing.T) {
	timeouts := patient
	timeouts.KeepAlive, timeouts.Idle = 20*time.Millisecond, 130*time.Millisecond
	got, err := relay(t, timeouts, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: a\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	if !strings.HasPrefix(got, "data: a\n\n: keep-alive\n\n: keep-alive\n\n") || !errors.Is(err, upstream.ErrIdle) {
		t.Errorf("relayed %q, %v; want comments and ErrIdle", got, err)
	}
}

// broken is a caller whose connection takes nothing.
type broken struct{ *httptest.ResponseRecorder }

func (broken) Write([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestRelayNoticesThatTheCallerLeft(t *testing.T) {
	cancelled := make(chan struct{})
	client := serve(t, upstream.Endpoint{Shape: upstream.OpenAI}, patient, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "data: a\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(cancelled)
	})
	response, err := client.Send(t.Context(), upstream.Call{})
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Relay(broken{httptest.NewRecorder()}, whole{}); !errors.Is(err, upstream.ErrClientGone) {
		t.Errorf("a broken connection: %v, want ErrClientGone", err)
	}
	response.Close()
	<-cancelled // upstream sees that nobody listens any more

	client = serve(t, upstream.Endpoint{Shape: upstream.OpenAI}, patient, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, leave := context.WithCancel(t.Context())
	if response, err = client.Send(ctx, upstream.Call{}); err != nil {
		t.Fatal(err)
	}
	defer response.Close()
	leave()
	if err := response.Relay(httptest.NewRecorder(), whole{}); !errors.Is(err, upstream.ErrClientGone) {
		t.Errorf("a cancelled call: %v, want ErrClientGone", err)
	}
}

func TestCheckURL(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://name.services.ai.azure.com":   true,
		"https://name.services.ai.azure.com/x": true,
		"http://127.0.0.1:8090":                true,
		"http://localhost:8090":                true,
		"http://name.services.ai.azure.com":    false,
		"https://user:pass@host":               false,
		"https://host?x=1":                     false,
		"https://host#x":                       false,
		"name.services.ai.azure.com":           false,
		"ftp://host":                           false,
		"":                                     false,
		"https://":                             false,
	} {
		if err := upstream.CheckURL(address); (err == nil) != ok {
			t.Errorf("CheckURL(%q) = %v", address, err)
		}
	}
}
