package appinsights_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/local/insights"
	"tollgate/handler/telemetry"
	"tollgate/handler/telemetry/appinsights"
)

const connection = "InstrumentationKey=01234567-89ab-cdef-0123-456789abcdef;IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/"

// A wire reaches the service without sockets, so that time can be virtual.
type wire struct {
	insights.Collector
	fail atomic.Pointer[func(*http.Request) (*http.Response, error)]
	mu   sync.Mutex
	sent []*http.Request
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.sent = append(w.sent, r)
	w.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if fail := w.fail.Load(); fail != nil {
		return (*fail)(r)
	}
	return serve(w, r), nil
}

func serve(handler http.Handler, r *http.Request) *http.Response {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	return recorder.Result()
}

func (w *wire) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sent)
}

// answering makes the service answer every request with a status, a header and a body.
func (w *wire) answering(status int, header http.Header, body string) {
	fail := func(*http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		for name, values := range header {
			recorder.Header()[name] = values
		}
		recorder.WriteHeader(status)
		recorder.WriteString(body)
		return recorder.Result(), nil
	}
	w.fail.Store(&fail)
}

// A fixture is a client with its service.
type fixture struct {
	telemetry.Sink
	service *wire
	log     *asynctest.Buffer
}

func open(t *testing.T, change func(*appinsights.Config)) *fixture {
	t.Helper()
	parsed, err := appinsights.ParseConnection(connection)
	if err != nil {
		t.Fatal(err)
	}
	b := &fixture{service: &wire{}, log: &asynctest.Buffer{}}
	config := appinsights.Config{Connection: parsed, Transport: b.service, Log: slog.New(slog.NewTextHandler(b.log, nil)), Role: "gate", Instance: "machine-1"}
	if change != nil {
		change(&config)
	}
	if b.Sink, err = appinsights.New(config); err != nil {
		t.Fatal(err)
	}
	return b
}

// end closes the client and checks that everything that arrived fits the schema.
func (b *fixture) end(t *testing.T) {
	t.Helper()
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("Close: got %v, want no error", err)
	}
	if faults := b.service.Faults(); faults != nil {
		t.Errorf("got schema faults %v, want none", faults)
	}
}

func tokens(n int) telemetry.Batch {
	metric := telemetry.Metric{Name: telemetry.TotalTokens, At: time.Now(), Sum: float64(n), Min: 1, Max: float64(n), Count: 1,
		Dimensions: map[string]string{"API ID": "models"}}
	metric.Min = metric.Max
	return telemetry.Batch{Metrics: []telemetry.Metric{metric}}
}

func (b *fixture) arrived(t *testing.T, want float64) {
	t.Helper()
	if got, _ := b.service.Sum(telemetry.TotalTokens); got != want {
		t.Errorf("got %v tokens, want %v", got, want)
	}
}
