package app

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"tollgate/handler/config"
	"tollgate/handler/console"
	"tollgate/handler/manage"
	"tollgate/handler/manage/entra"
	"tollgate/handler/price"
	"tollgate/handler/strangers"
	"tollgate/handler/upstream"
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

// standingsMaxAge is how long one reading of the counters serves all operators: less than the 5 s
// after which the console refreshes, and less than instances take to report a call.
const standingsMaxAge = 2 * time.Second

// mountOperators serves the operators' API and the console next to the gateway,
// where the settings turn them on.
func mountOperators(c config.Config, gateway http.Handler, stores Stores, log *slog.Logger, quiet *strangers.Log) http.Handler {
	mux := prefixMux{gateway: gateway, byPrefix: make(map[string]http.Handler)}
	if c.Manage.Console {
		mux.byPrefix["console"] = console.Handler()
	}
	if c.Manage.On() {
		operators := stores.Operators(&c.Store.Pepper, log)
		operators.Auth, operators.Checks = authenticator(c.Manage, log), Checks(c, nil, stores)
		operators.Served, operators.Deployment, operators.Retention = Served(c), c.Telemetry.Place.Site, c.Store.Retention
		operators.StandingsMaxAge, operators.Strangers = standingsMaxAge, quiet
		mux.byPrefix["manage"] = manage.New(operators)
	}
	if len(mux.byPrefix) == 0 {
		return gateway
	}
	return mux
}

// Served returns what a gateway with these settings serves.
func Served(c config.Config) price.Served {
	return price.Served{Models: c.Gateway.Models, Endpoints: upstream.Names(c.Upstream.Endpoints)}
}

// authenticator returns the authenticator of /manage: for a key, for Entra ID's tokens, or for
// both.
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
