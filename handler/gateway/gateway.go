// Package gateway carries a caller's HTTP request to a model and charges it to the
// caller's limits. It is the edge of the product: only here do errors become statuses
// and limits become headers.
//
// A call of any operation goes through the same steps, each of which adds what it learns
// to the call (call.go): route (routes.go), authenticate (keys.go), admit
// (concurrency.go), parse (parse.go, body.go, budget.go), check stored content
// (stored.go), find endpoints (endpoints.go), price (pricing.go), count (bound.go), reserve
// (reserve.go, cap.go), forward (forward.go), meter (meter.go), settle (settle.go,
// leaving.go), record (record.go) and report (report.go). What differs between operations
// is in values of package operation, which routes.go finds by the path. An operation that
// costs nothing skips every step that has to do with limits (free.go).
//
// Start reading at [Gateway.ServeHTTP].
package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/ledger"
	"tollgate/handler/recent"
	"tollgate/handler/stored"
	"tollgate/handler/strangers"
	"tollgate/handler/subscription"
	"tollgate/handler/upstream"
)

// Config holds a Gateway's parts and settings. Fields are required unless they say
// otherwise.
type Config struct {
	Settings

	// Directory finds the subscription, tier and limits of a key.
	Directory *subscription.Directory
	// Counter reserves and settles in the counters of limits.
	Counter *counter.Counter
	// Upstream sends calls to the models' endpoints.
	Upstream *upstream.Client
	// Stored remembers which subscription made each response that an endpoint stores; nil:
	// no call can name a stored response.
	Stored *stored.Responses
	// Log receives one line for each call.
	Log *slog.Logger
	// Strangers logs calls whose key was not accepted; nil: a new one that writes to Log.
	Strangers *strangers.Log
	// Ledger receives what each call used; nil: nothing is recorded.
	Ledger Ledger
	// Usage reads for GET /usage what the ledger has; nil: it has nothing.
	Usage UsageReader
	// Prices finds what calls cost; nil: no model has a price.
	Prices Prices
	// Telemetry receives every call; nil for none.
	Telemetry Telemetry
}

// Settings are the choices that operators make for a Gateway.
type Settings struct {
	// BasePath may precede every route; it begins with a slash.
	BasePath string
	// Models are the names of models that callers may use. If there is only one, a call that
	// names none means it.
	Models []string
	// Headers are the names of the answers' headers.
	Headers HeaderNames
	// Addresses says which headers to trust for a client's address.
	Addresses Addresses
	// Origins are the web origins whose pages may call from a browser, or *; empty for
	// none.
	Origins []string
	// SettleTimeout limits the time to go on reading an endpoint's answer, for its usage,
	// after the caller has left or the time has run out; 0 cancels the endpoint at once.
	SettleTimeout time.Duration
	// TokensPerSecond is the most that a model writes of one completion, in tokens a
	// second, by the callers' name of the model; the empty name is for all others. 0
	// means 100.
	TokensPerSecond map[string]int64
	// MaxBody is the largest request body, in bytes.
	MaxBody int64
	// Budget is the most memory, in bytes, for the request bodies and answers of all calls
	// under way: at least twice the largest of them; 0: no bound.
	Budget int64
	// TokensComment adds comments to a stream, just before [DONE], with what the call
	// used and what remains: a stream's headers leave too early for that, and trailers
	// don't pass the Functions host.
	TokensComment bool
}

// A Gateway serves callers. Make one with New.
type Gateway struct {
	config         Config
	canonical      HeaderNames  // Config.Headers in canonical spelling
	handler        http.Handler // answer, with CORS for Origins
	recentRows     *recent.Cache[usageSpan, []ledger.Row]
	usageReads     usageLimiter
	uncounted      atomic.Int64  // tokens reserved by size for prompts that were not counted
	uncountedCalls atomic.Uint64 // ended calls whose prompt was not counted
	budget         *budget
	concurrency    *concurrency
	following      following
	stopping       context.Context // done when no answer may be read on any longer
	stop           context.CancelFunc
}

// New returns a gateway for a configuration.
func New(config Config) *Gateway {
	config.BasePath = strings.TrimSuffix(cleanPath(config.BasePath), "/")
	if config.Strangers == nil {
		config.Strangers = strangers.New(config.Log)
	}
	g := &Gateway{config: config, canonical: config.Headers.canonical(), recentRows: newRecentRows(config.Usage), budget: newBudget(config.Budget), concurrency: newConcurrency()}
	g.stopping, g.stop = context.WithCancel(context.Background())
	g.handler = http.HandlerFunc(g.serveRequest)
	if len(config.Origins) > 0 {
		g.handler = allowOrigins(config.Origins, g.canonical, g.handler)
	}
	return g
}

// ServeHTTP implements http.Handler. It serves a caller's request and reports the call.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	forbidCaching(w.Header())
	g.handler.ServeHTTP(w, r)
}

// serveRequest serves one request and reports it.
func (g *Gateway) serveRequest(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) { // the Functions host's readiness ping, which has no key and isn't logged
		w.WriteHeader(http.StatusOK)
		return
	}
	c := newCall(w, r)
	defer g.finish(c)
	if err := g.dispatch(c); err != nil {
		g.answerError(c, err)
	}
}

// dispatch finds the route, checks the key and serves the route.
func (g *Gateway) dispatch(c *call) error {
	found, allowed := findRoute(c.r.Method, c.r.URL.Path, g.config.BasePath)
	c.route = found
	switch {
	case found.serve == nil:
		return noRouteProblem(c.r, g.config.BasePath)
	case len(allowed) > 0:
		methods := strings.Join(allowed, ", ")
		c.w.Header().Set("Allow", methods)
		return &problem{status: http.StatusMethodNotAllowed, code: "method_not_allowed", kind: kindRequest,
			message: "This path takes " + methods + " only."}
	}
	if err := g.authenticate(c); err != nil {
		return err
	}
	return found.serve(g, c)
}

// serveCharged takes a call of an operation that costs tokens through its steps.
func (g *Gateway) serveCharged(c *call) error {
	if err := g.admit(c); err != nil {
		return err
	}
	c.room = g.budget.allot(c.grant.Subscription.ID)
	if err := g.parse(c); err != nil {
		return err
	}
	if err := g.checkStored(c); err != nil {
		return err
	}
	if err := g.checkEndpoints(c); err != nil {
		return err
	}
	if err := g.reserve(c); err != nil {
		return err
	}
	return g.forward(c)
}
