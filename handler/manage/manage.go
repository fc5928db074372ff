// Package manage is the operators' API: tiers, subscriptions, keys, usage and
// the record of changes, as JSON under /manage. openapi.json describes it, and
// the command line and the console are its clients.
package manage

import (
	"context"
	_ "embed"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"tollgate/handler/strangers"
	"tollgate/handler/subscription"
)

// Prefix is the path that everything of the API is below.
const Prefix = "/manage"

// OpenAPI describes the API: an OpenAPI 3.1 document in JSON.
//
//go:embed openapi.json
var OpenAPI []byte

// Config is what an API is made of. Store, Audit, Usage, Auth and Log are needed.
type Config struct {
	Store subscription.Store
	// Pepper hashes new keys; nil: none can be made here.
	Pepper *subscription.Pepper
	Audit  Audit
	Usage  Usage
	Auth   Authenticator
	// Checks are what GET /manage/checks looks into, in order.
	Checks []Check
	// LookAge is how old what GET /manage/usage answers may be: so long, all who
	// ask share one reading of the counters. 0: each has its own.
	LookAge time.Duration
	Log     *slog.Logger
	// Strangers logs the requests of who is no operator; nil: one of Log's.
	Strangers *strangers.Log
}

// API serves operators. Make one with New.
type API struct {
	Config
	mux  *http.ServeMux
	look *look
}

// New makes an API of its parts.
func New(config Config) *API {
	if config.Strangers == nil {
		config.Strangers = strangers.New(config.Log)
	}
	a := &API{Config: config, mux: http.NewServeMux(), look: newLook()}
	a.routes()
	return a
}

// maxBody bounds a request's body, in bytes: the largest subscription is far
// smaller.
const maxBody = 64 << 10

// ServeHTTP answers one request and reports it in one log line. Only the
// description of the API is open.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	c := &call{Request: r, w: w, api: a, started: time.Now()}
	if r.URL.Path == descriptionPath && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		c.end(&result{raw: OpenAPI}, nil)
		return
	}
	token, ok := bearer(r.Header)
	if !ok {
		c.end(nil, ErrUnauthorized)
		return
	}
	var err error
	if c.who, err = a.Auth.Authenticate(r.Context(), token); err != nil {
		c.end(nil, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
}

// callKey is what the mux's routes find their call under.
type callKey struct{}

// end answers a call and reports it.
func (c *call) end(answer *result, err error) {
	status := 0
	if err == nil {
		status, err = answer.send(c.w, c.Request)
	}
	attrs := []slog.Attr{slog.String("route", c.api.route(c.Request)), slog.String("who", c.who)}
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
	if c.who == "" {
		c.api.Strangers.Write(level, "manage", code, attrs...)
		return
	}
	c.api.Log.LogAttrs(context.WithoutCancel(c.Context()), level, "manage", attrs...)
}

// descriptionPath is the one path that anybody may read.
const descriptionPath = Prefix + "/openapi.json"

// route is the method and the path's pattern, for the log: the path itself may
// be any text, even a key that somebody pasted.
func (a *API) route(r *http.Request) string {
	method := r.Method
	if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method) {
		method = "(other)"
	}
	_, pattern := a.mux.Handler(r)
	switch {
	case r.URL.Path == descriptionPath:
		pattern = descriptionPath
	case pattern == "/" || pattern == "":
		pattern = "(no route)"
	}
	return method + " " + pattern
}

// bearer is the token of a request.
func bearer(h http.Header) (string, bool) {
	scheme, token, found := strings.Cut(h.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, found && token != "" && strings.EqualFold(scheme, "Bearer")
}

// call is one operator's request.
type call struct {
	*http.Request
	w       http.ResponseWriter
	api     *API
	who     string
	started time.Time
}

// registry makes the operator's changes, each with a row of the audit.
func (c *call) registry() subscription.Registry {
	return subscription.Registry{Store: &audited{Store: c.api.Store, audit: c.api.Audit, who: c.who}}
}

// result is an answer that went well.
type result struct {
	status   int // 0: 200
	body     any // nil: none
	version  int64
	location string
	raw      []byte // in place of body
}

// send writes the answer and returns its status.
func (a *result) send(w http.ResponseWriter, r *http.Request) (int, error) {
	text := a.raw
	if a.body != nil {
		var err error
		if text, err = json.Marshal(a.body); err != nil {
			return 0, err
		}
	}
	if a.version != 0 {
		w.Header().Set("ETag", etag(a.version))
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	if a.version != 0 && r.Method == http.MethodGet && r.Header.Get("If-None-Match") == etag(a.version) {
		status, text = http.StatusNotModified, nil
	}
	if text != nil {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // an operator who has left is told nothing more
	return status, nil
}
