package app

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"tollgate/handler/config"
	"tollgate/handler/console"
	"tollgate/handler/counter"
	"tollgate/handler/doctor"
	"tollgate/handler/housekeeping"
	"tollgate/handler/ledger"
	"tollgate/handler/manage"
	"tollgate/handler/manage/entra"
	"tollgate/handler/stored"
	"tollgate/handler/strangers"
	"tollgate/handler/subscription"
)

// A prefixMux picks a handler by a path's first part. The gateway gets every other
// path.
type prefixMux struct {
	gateway  http.Handler
	byPrefix map[string]http.Handler // by a path's first part, such as "manage"
}

// ServeHTTP implements http.Handler.
func (m prefixMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if handler := m.byPrefix[first]; handler != nil {
		handler.ServeHTTP(w, r)
		return
	}
	m.gateway.ServeHTTP(w, r)
}

// counters is the store that calls are charged to, and that operators list.
type counters interface {
	counter.Store
	counter.Lister
}

// operatorDeps holds the stores that the operators' API needs.
type operatorDeps struct {
	store    subscription.Store
	audit    manage.Audit
	probe    func(context.Context) (time.Time, error) // nil: STORE=memory
	counters counters
	ledger   ledger.Store
	stored   stored.Store
	turns    housekeeping.Turns // nil: no other instance shares the counters
}

// standingsMaxAge is the age up to which one listing of the counters answers every
// operator: less than the console's 5 s, and less than instances take to report a call.
const standingsMaxAge = 2 * time.Second

// mountOperators serves the operators' API and the console next to the gateway,
// where the settings turn them on.
func mountOperators(c config.Config, gateway http.Handler, o operatorDeps, log *slog.Logger, quiet *strangers.Log) http.Handler {
	mux := prefixMux{gateway: gateway, byPrefix: make(map[string]http.Handler)}
	if c.Manage.Console {
		mux.byPrefix["console"] = console.Handler()
	}
	if c.Manage.On() {
		mux.byPrefix["manage"] = manage.New(manage.Config{Store: o.store, Pepper: &c.Store.Pepper, Audit: o.audit, Counters: o.counters, Ledger: ledger.Reader{Store: o.ledger},
			Auth: authenticator(c.Manage, log), Checks: checks(c, o), StandingsMaxAge: standingsMaxAge, Log: log, Strangers: quiet})
	}
	if len(mux.byPrefix) == 0 {
		return gateway
	}
	return mux
}

// authenticator returns what /manage checks operators' credentials with: a key,
// Entra ID's tokens, or both.
func authenticator(m config.Manage, log *slog.Logger) manage.Authenticator {
	var all []manage.Authenticator
	if !m.Key.Empty() {
		all = append(all, manage.OperatorKey(m.Key))
	}
	if m.Entra.Issuer != "" {
		all = append(all, entra.New(m.Entra, &http.Client{Timeout: 10 * time.Second}, log))
	}
	return manage.AnyOf(all...)
}

// checks returns the checks of what the gateway depends on, made with the gateway's
// own identity.
func checks(c config.Config, o operatorDeps) []manage.Check {
	var all []manage.Check
	if o.probe != nil {
		all = append(append(all, doctor.Pepper(c.Store.Pepper, nil, o.store)), doctor.Tables(o.probe, o.store)...)
		all = append(all, doctor.Models(c.Gateway.Models, o.store))
	}
	all = append(all, doctor.Counters(o.counters.List))
	all = append(all, doctor.Endpoints(c.Upstream.Endpoints, c.Gateway.Models)...)
	if c.Telemetry.On {
		all = append(all, doctor.Reachable("telemetry", c.Telemetry.Connection.Endpoint))
	}
	return all
}
