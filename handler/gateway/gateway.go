// Package gateway is the path of a call: authenticate, parse, count, reserve,
// forward, meter, settle, report. It is the one edge of the product: here, and
// nowhere else, errors become statuses and limits become headers.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/strangers"
	"tollgate/handler/subscription"
	"tollgate/handler/upstream"
)

// Config is what a Gateway is made of. All fields are needed that don't say otherwise.
type Config struct {
	Directory *subscription.Directory
	Counter   *counter.Counter
	Upstream  *upstream.Client
	// History is what GET /usage shows beside the counters; nil: none is kept.
	History usage.Reader
	Log     *slog.Logger
	// Strangers logs the calls whose key was not accepted; nil: one of Log's.
	Strangers *strangers.Log
	// Telemetry is told of every call; nil: nobody is.
	Telemetry Telemetry

	// BasePath may precede every route; it begins with a slash.
	BasePath string
	// Models are the names that callers may ask for, the only one meant where a
	// call names none.
	Models []string
	// Headers names the answers' headers.
	Headers HeaderNames
	// Addresses says whose word on a client's address is believed.
	Addresses Addresses
	// Origins are those whose pages may call from a browser, or *; none: no page may.
	Origins []string
	// SettleTimeout is how long an endpoint is read on, to be told its usage, after
	// the caller has left or the time ran out; 0: it is cancelled at once.
	SettleTimeout time.Duration
	// TokensPerSecond is how many tokens a second a model writes of one completion
	// at most, by the name that callers use; of all others, by the empty name. 0 is
	// DefaultTokensPerSecond.
	TokensPerSecond map[string]int64
	// MaxBody is the largest request body, in bytes.
	MaxBody int64
	// Budget is how many bytes request bodies and answers under way may hold, at
	// least twice that of the largest there may be; 0: any number.
	Budget int64
	// TokensComment has streams tell what they took and what remains in comments
	// just before [DONE]: their headers leave too early for it, and trailers don't
	// pass the Functions host.
	TokensComment bool
}

// Gateway serves callers. Make one with New.
type Gateway struct {
	Config
	names     HeaderNames  // canonical
	handler   http.Handler // answer, open to the pages of Origins
	history   history
	asking    asking
	uncounted atomic.Int64  // bytes that calls under way hold in place of tokens
	passed    atomic.Uint64 // calls whose prompt was not counted
	budget    *budget
	slots     *slots
	following following
	stopping  context.Context // done when the calls that are read on must end
	stop      context.CancelFunc
}

// New makes a gateway of its parts.
func New(config Config) *Gateway {
	config.BasePath = strings.TrimSuffix(tidy(config.BasePath), "/")
	if config.Strangers == nil {
		config.Strangers = strangers.New(config.Log)
	}
	g := &Gateway{Config: config, names: config.Headers.canonical(), budget: newBudget(config.Budget), slots: newSlots()}
	g.stopping, g.stop = context.WithCancel(context.Background())
	g.handler = http.HandlerFunc(g.answer)
	if len(config.Origins) > 0 {
		g.handler = shared(config.Origins, g.names, g.handler)
	}
	return g
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	private(w.Header())
	g.handler.ServeHTTP(w, r)
}

// answer answers one request and reports it in one log line.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) { // the Functions host's readiness ping: open, and not worth a line
		w.WriteHeader(http.StatusOK)
		return
	}
	c := begin(w, r)
	defer g.over(c)
	if err := g.serve(c); err != nil {
		g.refuse(c, err)
	}
}

// serve finds the route, checks the key and has the route answer.
func (g *Gateway) serve(c *call) error {
	found, ok := find(c.r.URL.Path, g.BasePath)
	if !ok {
		return notServed(c.r, g.BasePath)
	}
	c.route = found
	if c.r.Method != found.method {
		c.w.Header().Set("Allow", found.method)
		return &problem{status: http.StatusMethodNotAllowed, code: "method_not_allowed", kind: kindRequest,
			message: "This path takes " + found.method + " only."}
	}
	if err := g.authenticate(c); err != nil {
		return err
	}
	return found.serve(g, c)
}

// chat takes a chat completion through its steps.
func (g *Gateway) chat(c *call) error {
	if err := g.enter(c); err != nil {
		return err
	}
	c.held = g.budget.hold(c.grant.Subscription.ID)
	if err := g.parse(c); err != nil {
		return err
	}
	if err := g.servable(c); err != nil {
		return err
	}
	if err := g.reserve(c); err != nil {
		return err
	}
	return g.forward(c)
}

// authenticate finds whose key the call carries.
func (g *Gateway) authenticate(c *call) error {
	key, err := presentedKey(c.r)
	if err != nil {
		return err
	}
	grant, err := g.Directory.Authenticate(c.r.Context(), key)
	switch {
	case errors.Is(err, subscription.ErrUnauthorized):
		return errUnauthorized
	case err != nil && c.r.Context().Err() != nil:
		return clientClosed(err)
	case errors.Is(err, subscription.ErrBusy):
		return &problem{status: http.StatusServiceUnavailable, code: "directory_busy", kind: kindServer, retry: subscription.BusyRetryAfter, cause: err,
			message: fmt.Sprintf("Too many unknown keys are being presented, so this one was not looked up. Try again in %s.", spell(subscription.BusyRetryAfter))}
	case err != nil:
		return unavailable("directory", subscription.RetryAfter, err)
	}
	c.grant = grant
	return nil
}
