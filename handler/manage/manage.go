// Package manage serves the operators' API: tiers, subscriptions, keys, prices, usage and
// the audit, as JSON under /manage. openapi.json describes it; the command line and the
// console are its clients.
//
// A request is authenticated, matched to a route and answered by one function that
// returns a result or an error. Changes go through a registry, subscription.Registry or
// price.Registry, whose store records each change in the audit: the change itself before
// it is made, its outcome afterwards. Errors become RFC 9457 problems in one place,
// asProblem.
//
// Start reading at API.ServeHTTP and routes.go.
package manage

import (
	"context"
	_ "embed"
	"encoding/json"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"tollgate/handler/price"
	"tollgate/handler/recent"
	"tollgate/handler/strangers"
	"tollgate/handler/subscription"
)

// Prefix begins every path of the API.
const Prefix = "/manage"

// OpenAPI is the description of the API: an OpenAPI 3.1 document in JSON.
//
//go:embed openapi.json
var OpenAPI []byte

// Config holds what an API needs. Store, Audit, Prices, Counters, Ledger, Auth and Log are
// required.
type Config struct {
	Store subscription.Store
	// Pepper hashes new keys; nil: keys can't be created.
	Pepper *subscription.Pepper
	Audit  Audit
	// Prices holds what models cost. Prices are checked against Served, what the gateway
	// serves.
	Prices price.Store
	Served price.Served
	// Counters is listed for the state of limits. Ledger is read for usage.
	Counters Counters
	Ledger   Ledger
	// Deployment is the app's name, for reports; empty: it has none. Retention is how long
	// days of usage are kept; 0: unknown.
	Deployment string
	Retention  time.Duration
	Auth       Authenticator
	// Checks are run by GET /manage/checks, in order.
	Checks []Check
	// StandingsMaxAge is how long a reading of all counters is used by later requests; 0: only
	// requests that arrive during the reading share it.
	StandingsMaxAge time.Duration
	Log             *slog.Logger
	// Strangers logs requests without an operator's token; nil: a log that writes to Log.
	Strangers *strangers.Log
}

// An API serves operators. Make one with New.
type API struct {
	config    Config
	mux       *http.ServeMux
	standings *recent.Cache[struct{}, []Standing] // of all counters
}

// New returns an API.
func New(config Config) *API {
	if config.Strangers == nil {
		config.Strangers = strangers.New(config.Log)
	}
	a := &API{config: config, mux: http.NewServeMux(), standings: config.recentStandings()}
	a.routes()
	return a
}

// maxBody is the largest request body, in bytes. It is far larger than any subscription.
const maxBody = 64 << 10

// ServeHTTP answers one request and reports it in one log line. Only the
// description of the API can be read without a token.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if escaped := r.URL.EscapedPath(); path.Clean(escaped) != escaped {
		a.serve(w, r, noRoute, nil) // the mux would redirect, without asking for a token
		return
	}
	a.mux.ServeHTTP(w, r)
}

// serve answers a request for a route with one of the route's methods, if the token
// is an operator's.
func (a *API) serve(w http.ResponseWriter, r *http.Request, route string, methods map[string]action) {
	c := &call{Request: r, w: w, api: a, route: route, started: time.Now()}
	if err := c.authenticate(); err != nil {
		c.finish(nil, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	c.finish(c.dispatch(methods))
}

// authenticate checks the request's token and sets the operator.
func (c *call) authenticate() error {
	token, ok := bearer(c.Header)
	if !ok {
		return ErrUnauthorized
	}
	var err error
	c.operator, err = c.api.config.Auth.Authenticate(c.Context(), token)
	return err
}

// finish sends the answer, or the error as a problem, and logs the call.
func (c *call) finish(answer *result, err error) {
	status := 0
	if err == nil {
		status, err = answer.send(c.w, c.Request)
	}
	attrs := []slog.Attr{slog.String("route", c.logRoute()), slog.String("who", c.operator)}
	level, code := slog.LevelInfo, ""
	if err != nil {
		p := asProblem(err)
		p.send(c.w)
		status, code = p.Status, p.Code
		if p.Status >= http.StatusInternalServerError {
			level = slog.LevelWarn
			attrs = append(attrs, slog.String("cause", err.Error()))
		}
	}
	attrs = append(attrs, slog.Int("status", status), slog.Float64("ms", float64(time.Since(c.started).Microseconds())/1000))
	if c.operator == "" {
		c.api.config.Strangers.Write(level, "manage", code, attrs...)
		return
	}
	c.api.config.Log.LogAttrs(context.WithoutCancel(c.Context()), level, "manage", attrs...)
}

// logRoute returns the method and the path's pattern, for the log. It leaves out the
// path itself, which may be any text, even a pasted key.
func (c *call) logRoute() string {
	method := c.Method
	if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method) {
		method = "(other)"
	}
	return method + " " + c.route
}

// bearer returns the bearer token of a request.
func bearer(h http.Header) (string, bool) {
	scheme, token, found := strings.Cut(h.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, found && token != "" && strings.EqualFold(scheme, "Bearer")
}

// A call is one request to the API.
type call struct {
	*http.Request
	w        http.ResponseWriter
	api      *API
	route    string // the path's pattern, or noRoute
	operator string // who makes the request, for the audit; empty until authenticated
	started  time.Time
}

// registry returns a registry that records the operator's changes in the audit.
func (c *call) registry() subscription.Registry {
	return subscription.Registry{Store: &auditedStore{c.api.config.Store, c.recorder()}}
}

// recorder returns a recorder of the operator's changes.
func (c *call) recorder() changeRecorder { return changeRecorder{c.api.config.Audit, c.operator} }

// A result is a successful answer.
type result struct {
	status   int    // 0: 200
	body     any    // encoded as JSON; nil: no body
	version  int64  // for ETag; 0: none
	location string // for Location; empty: none
	rawBody  []byte // already encoded, in place of body
}

// send writes the answer and returns its status.
func (a *result) send(w http.ResponseWriter, r *http.Request) (int, error) {
	text := a.rawBody
	if a.body != nil {
		var err error
		if text, err = json.Marshal(a.body); err != nil {
			return 0, err
		}
	}
	if a.version != 0 {
		w.Header().Set("ETag", formatETag(a.version))
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	if a.version != 0 && r.Method == http.MethodGet && r.Header.Get("If-None-Match") == formatETag(a.version) {
		status, text = http.StatusNotModified, nil
	}
	if text != nil {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // fails only if the operator has left
	return status, nil
}
