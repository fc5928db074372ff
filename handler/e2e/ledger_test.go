package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/app"
	"tollgate/handler/config"
	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/gateway"
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/local/insights"
	pricemem "tollgate/handler/price/memstore"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	storedmem "tollgate/handler/stored/memstore"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/telemetry"
	"tollgate/handler/telemetry/appinsights"
	"tollgate/handler/upstream"
)

// callSums adds up the tokens of settled calls from the lines of the gateway's log.
type callSums struct {
	slog.Handler
	mu      sync.Mutex
	settled map[string]float64 // tokens by subscription
	calls   map[string]int     // by outcome
}

func (b *callSums) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (b *callSums) Handle(_ context.Context, line slog.Record) error {
	if line.Message != "call" {
		return nil
	}
	var subscription, outcome string
	var tokens int64
	line.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "subscription":
			subscription = a.Value.String()
		case "outcome":
			outcome = a.Value.String()
		case "prompt_tokens", "completion_tokens":
			tokens += a.Value.Int64()
		}
		return true
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[outcome]++
	b.settled[subscription] += float64(tokens)
	return nil
}

// A chance is a seeded random source for concurrent use.
type chance struct {
	mu   sync.Mutex
	dice *rand.Rand
}

func newChance(seed uint64) *chance { return &chance{dice: rand.New(rand.NewPCG(seed, 7))} }

// of returns true with a probability in percent.
func (c *chance) of(percent int) bool { return c.upTo(100) < percent }

func (c *chance) upTo(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dice.IntN(n)
}

// unreliableModel starts a model that answers, breaks off, leaves out usage or fails, by
// chance. It closes its connections, because their readers would stop virtual time.
func unreliableModel(t *testing.T, dice *chance) *httptest.Server {
	behaviours := []fakemodel.Behaviour{{}, {}, {}, {Completion: 500}, {NoUsage: true}, {CutAfter: 3}, {Status: 500}, {Status: 429}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		endpoint := fakemodel.Endpoint{Behaviour: behaviours[dice.upTo(len(behaviours))]}
		endpoint.ServeHTTP(w, r)
	}))
	server.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(server.Close)
	return server
}

// A leaver is a caller that may leave at its answer's first bytes.
type leaver struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc // nil if it stays
}

func (l *leaver) Write(p []byte) (int, error) {
	if l.leave != nil {
		l.leave()
	}
	return l.ResponseRecorder.Write(p)
}

// overloaded returns the answers of an ingestion endpoint that refuses a batch or accepts
// a part of it: three times only, because the client waits in real time.
func overloaded(c *insights.Collector, dice *chance) func(http.ResponseWriter, *http.Request, []insights.Item) bool {
	troubles := 0
	return func(w http.ResponseWriter, _ *http.Request, items []insights.Item) bool {
		troubles++
		switch {
		case troubles > 3:
			return false
		case troubles%2 == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			var later []string
			var now []insights.Item
			for i, item := range items {
				if dice.of(50) {
					later = append(later, fmt.Sprintf(`{"index":%d,"statusCode":429,"message":"later"}`, i))
				} else {
					now = append(now, item)
				}
			}
			c.Keep(now)
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprintf(w, `{"itemsReceived":%d,"itemsAccepted":%d,"errors":[%s]}`, len(items), len(now), strings.Join(later, ","))
		}
		return true
	}
}

// The store loses writes and answers, the model breaks off, callers leave and ingestion
// refuses items. In the end the metrics, the settled calls and the ledger have the same
// sum.
func TestMetricsEqualSettledTokensDespiteFailures(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it runs the whole program")
	}
	t.Parallel()
	dice := newChance(1)
	model := unreliableModel(t, dice)
	service := &insights.Collector{}
	service.Answer = overloaded(service, dice)
	ingestion := httptest.NewServer(service)
	t.Cleanup(ingestion.Close)
	connection, err := appinsights.ParseConnection(insights.ConnectionString(ingestion.Listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	sink, err := appinsights.New(appinsights.Config{Connection: connection, Log: quiet}) // in real time, like the ingestion endpoint that it sends to
	if err != nil {
		t.Fatal(err)
	}
	sums := &callSums{Handler: slog.DiscardHandler, settled: make(map[string]float64), calls: make(map[string]int)}
	inLedger := make(map[string]float64)
	synctest.Test(t, func(t *testing.T) {
		dimensions, err := telemetry.ParseDimensions([]string{"Subscription ID", "Client IP"})
		if err != nil {
			t.Fatal(err)
		}
		lossy := func(string) (bool, error) {
			if dice.of(20) {
				return dice.of(50), errors.New("the answer is lost")
			}
			return true, nil
		}
		rows := ledgermem.New(lossy)
		link := countertest.NewNetwork(0).Link()
		link.Fate = func(countertest.Operation) countertest.Fate {
			if dice.of(20) {
				return []countertest.Fate{countertest.Busy, countertest.AppliedBusy}[dice.upTo(2)]
			}
			return countertest.Fine
		}
		stores := app.Stores{Directory: teams(t), Counters: unlisted{Store: link}, Ledger: rows, Prices: new(pricemem.Store), Responses: storedmem.New(nil)}
		conf := config.Config{
			Store:     config.Store{Pepper: subscriptiontest.Pepper(t)},
			Upstream:  config.Upstream{Endpoints: []upstream.Endpoint{{URL: model.URL, Shape: shape.OpenAI, Key: secret.New(fakemodel.Key)}}, Timeouts: upstream.Timeouts{KeepAlive: -1}},
			Gateway:   gateway.Settings{BasePath: "/inference", Models: []string{"DeepSeek-R1"}, Headers: gateway.DefaultHeaderNames, MaxBody: 1 << 20},
			Telemetry: config.Telemetry{Dimensions: dimensions, SampleRatio: 1},
		}
		g, err := app.Build(conf, stores, unclosedSink{sink}, slog.New(sums))
		if err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for n := range 8 {
			callers.Go(func() {
				for i := range 40 {
					call(t, g, [2]string{"team-a", "team-b"}[(n+i)%2], dice)
				}
			})
		}
		callers.Wait()
		time.Sleep(3 * time.Minute)
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, team := range []string{"team-a", "team-b"} {
			inLedger[team] = ledgerTokens(t, rows, team)
		}
	})
	if err := sink.Close(t.Context()); err != nil {
		t.Error(err)
	}
	sums.check(t, service, inLedger)
	if faults := service.Faults(); faults != nil {
		t.Errorf("got schema faults %v, want none", faults)
	}
}

// check compares the settled tokens with the metrics and with the ledger, and checks that
// calls ended in every way.
func (b *callSums) check(t *testing.T, service *insights.Collector, inLedger map[string]float64) {
	t.Helper()
	t.Logf("calls by outcome: %v; tokens settled: %v; in the ledger: %v", b.calls, b.settled, inLedger)
	for _, team := range []string{"team-a", "team-b"} {
		if metrics, _ := service.Sum("Total Tokens", "Subscription ID", team); metrics != b.settled[team] || metrics != inLedger[team] || metrics == 0 {
			t.Errorf("%s: got %v tokens in metrics, want %v as settled and %v as in the ledger, above 0", team, metrics, b.settled[team], inLedger[team])
		}
	}
	for _, outcome := range []string{"", "client_closed", "upstream_broken", "upstream_error", "token_limit_exceeded"} {
		if b.calls[outcome] == 0 {
			t.Errorf("got no call with the outcome %q, want one or more", outcome)
		}
	}
}

// ledgerTokens returns a subscription's tokens in the ledger.
func ledgerTokens(t *testing.T, store ledger.Store, subscription string) (tokens float64) {
	t.Helper()
	for {
		rows, err := ledger.Reader{Store: store}.Rows(t.Context(), subscription, time.Time{}, time.Now().Add(time.Hour))
		if err != nil {
			continue // reads fail sometimes, too
		}
		for _, u := range ledger.Join(rows) {
			tokens += float64(u.Tokens())
		}
		return tokens
	}
}

// unclosedSink is a sink whose Close does nothing. The test closes the sink itself, outside
// of virtual time.
type unclosedSink struct{ telemetry.Sink }

func (unclosedSink) Close(context.Context) error { return nil }

// unlisted is a store of counters that can't be listed.
type unlisted struct {
	counter.Store
	counter.Lister // nil: listing would panic
}

// teams returns a directory of two teams, each with a tier of its name.
func teams(t *testing.T) subscription.Store {
	t.Helper()
	store := memstore.New()
	for team, perMinute := range map[string]int64{"team-a": 1_000_000, "team-b": 3000} {
		tier := subscription.Tier{ID: team, Rules: subscriptiontest.Limits{TokensPerMinute: perMinute}.Rules()}
		if err := subscriptiontest.Add(t.Context(), store, subscriptiontest.PepperSecret, tier, team, keys[team]); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

var keys = map[string]string{"team-a": subscription.NewKey(), "team-b": subscription.NewKey()}

// call makes a call, streamed or not. The caller leaves one in four streams.
func call(t *testing.T, g http.Handler, team string, dice *chance) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := dice.of(50)
	body := fmt.Sprintf(`{"model":"DeepSeek-R1","stream":%t,"messages":[{"role":"user","content":"What time is it in %s?"}]}`, stream, strings.Repeat("London ", dice.upTo(20)))
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	request.Header.Set("Api-Key", keys[team])
	answer := &leaver{ResponseRecorder: httptest.NewRecorder()}
	if stream && dice.of(25) {
		answer.leave = cancel
	}
	defer func() {
		if recovered := recover(); recovered != nil && recovered != http.ErrAbortHandler {
			panic(recovered)
		}
	}()
	g.ServeHTTP(answer, request)
}
