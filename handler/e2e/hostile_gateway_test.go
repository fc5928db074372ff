package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/app"
	"tollgate/handler/asynctest"
	"tollgate/handler/azure/azuretest"
	"tollgate/handler/config"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/insights"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

// The canaries are secrets that must not appear in logs, metrics, rows or answers.
const (
	canaryPrompt     = "canary-prompt-7f3a90c1"
	canaryCompletion = "canary-completion-b81e44d2"
	canaryUpstream   = "canary-upstream-key-5d02"
	canaryPepper     = "canary-pepper-0123456789"
)

// modelTokens is the usage that the hostile suite's model answers with, in tokens.
const modelTokens = 12

// hostile is the whole gateway on a socket, with a model that checks each request.
type hostile struct {
	address string
	key     string
	log     *asynctest.Buffer
	metrics *asynctest.Buffer
	model   *httptest.Server
	service *aztables.ServiceClient // nil if everything is in memory
	stop    func()
	spent   int64 // tokens of all checked calls

	mu     sync.Mutex
	faults []string      // found in requests to the model
	answer string        // raw, to be sent by the model; if empty, it sends a valid one
	pause  time.Duration // within a stream
}

// startHostile starts the gateway as main does, with the suite's settings and more pairs of
// names and values.
func startHostile(t *testing.T, stored bool, settings ...string) *hostile {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short: it runs the whole program")
	}
	h := &hostile{key: subscription.NewKey(), log: &asynctest.Buffer{}, metrics: &asynctest.Buffer{}}
	h.model = httptest.NewServer(http.HandlerFunc(h.serveModel))
	t.Cleanup(h.model.Close)
	ingestion := httptest.NewServer(h.collect(new(insights.Collector)))
	t.Cleanup(ingestion.Close)
	values := map[string]string{
		"KEY_PEPPER": canaryPepper, "UPSTREAM_URL": h.model.URL, "UPSTREAM_SHAPE": "openai", "UPSTREAM_API_KEY": canaryUpstream,
		"MODELS": "DeepSeek-R1", "MAX_BODY_BYTES": "65536", "HEADER_TIMEOUT": "2s", "BODY_TIMEOUT": "3s",
		"APPLICATIONINSIGHTS_CONNECTION_STRING": insights.ConnectionString(strings.TrimPrefix(ingestion.URL, "http://")),
		"STORE":                                 "memory",
		"MEMORY_DIRECTORY": fmt.Sprintf(`{"tiers":[{"id":"t","tokensPerMinute":1000000,"tokenQuota":900000000,"tokenQuotaPeriod":"Yearly"}],`+
			`"subscriptions":[{"id":"hostile","tier":"t"}],"keys":[{"subscription":"hostile","key":%q}]}`, h.key),
	}
	for i := 0; i < len(settings); i += 2 {
		values[settings[i]] = settings[i+1]
	}
	if stored {
		h.inTables(t, values)
	}
	conf, err := config.Load(env(values))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	a, err := app.New(conf, log)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = listener.Addr().String()
	stdlog.SetOutput(h.log)
	t.Cleanup(func() { stdlog.SetOutput(os.Stderr) })
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, listener) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: got error %v, want none", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// hostileLimits are far above the suite's usage.
var hostileLimits = subscriptiontest.Limits{TokensPerMinute: 1_000_000, TokenQuota: 900_000_000, TokenQuotaPeriod: limit.Yearly}

// inTables makes the gateway store everything in an emulator, if one is installed.
func (h *hostile) inTables(t *testing.T, values map[string]string) {
	t.Helper()
	emulator, err := azurite.Start(t.Context(), "")
	if errors.Is(err, azurite.ErrNotInstalled) {
		t.Log("no table is searched: ", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(emulator.Stop)
	h.service = azuretest.Open(t, emulator.ConnectionString)
	store := tablestore.New(h.service, tablestore.DefaultTables)
	if err := subscriptiontest.Add(t.Context(), store, canaryPepper, subscription.Tier{ID: "t", Rules: hostileLimits.Rules()}, "hostile", h.key); err != nil {
		t.Fatal(err)
	}
	values["STORE"], values["AzureWebJobsStorage"] = "tables", emulator.ConnectionString
}

// rows returns all rows of all tables as JSON.
func (h *hostile) rows(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	if h.service == nil {
		return found
	}
	for tables := h.service.NewListTablesPager(nil); tables.More(); {
		page, err := tables.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range page.Tables {
			for rows := h.service.NewClient(*table.Name).NewListEntitiesPager(nil); rows.More(); {
				page, err := rows.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range page.Entities {
					found[*table.Name] += string(row) + "\n"
				}
			}
		}
	}
	return found
}

// collect records the uncompressed bodies sent to Application Insights and passes them on.
func (h *hostile) collect(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		text := body
		if zipped, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			text, _ = io.ReadAll(zipped)
		}
		_, _ = h.metrics.Write(text)
		r.Body = io.NopCloser(bytes.NewReader(body))
		to.ServeHTTP(w, r)
	})
}

// serveModel answers a request, and records a fault for anything that the gateway must not
// send.
func (h *hostile) serveModel(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	fault := func(bad bool, format string, of ...any) {
		if bad {
			h.faults = append(h.faults, fmt.Sprintf(format, of...))
		}
	}
	fault(err != nil || !json.Valid(body), "the body isn't JSON: %v", err)
	fault(r.Header.Get("Api-Key") != canaryUpstream, "the credential is %q", r.Header["Api-Key"])
	fault(r.RequestURI != "/openai/v1/chat/completions" || r.Method != http.MethodPost, "the request is %s %s", r.Method, r.RequestURI)
	for name, values := range r.Header {
		fault(!allowedUpstream[name], "the header %s was sent: %q", name, values)
		fault(strings.Contains(strings.Join(values, " "), h.key), "the caller's key was sent in %s", name)
	}
	fault(len(r.TransferEncoding) > 0, "the body was sent in chunks")
	fault(r.Header.Get("Accept-Encoding") != "identity", "Accept-Encoding is %q", r.Header.Get("Accept-Encoding"))
	if h.answer != "" {
		conn, _, err := http.NewResponseController(w).Hijack()
		fault(err != nil, "hijack: %v", err)
		_, _ = io.WriteString(conn, h.answer)
		_ = conn.Close()
		return
	}
	usage := fmt.Sprintf(`{"prompt_tokens":7,"completion_tokens":5,"total_tokens":%d}`, modelTokens)
	var call struct{ Stream bool }
	_ = json.Unmarshal(body, &call)
	if call.Stream {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, `data: {"choices":[{"index":0,"delta":{"content":%q}}]}`+"\n\n", canaryCompletion)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(h.pause):
		case <-r.Context().Done():
			return
		}
		fmt.Fprintf(w, `data: {"choices":[],"usage":%s}`+"\n\ndata: [DONE]\n\n", usage)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":%s}`, canaryCompletion, usage)
}

var allowedUpstream = map[string]bool{"Content-Type": true, "Accept": true, "Accept-Encoding": true, "User-Agent": true, "X-Request-Id": true,
	"Traceparent": true, "Api-Key": true, "Content-Length": true}
