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
	"tollgate/handler/counter/usage"
	"tollgate/handler/doctor"
	"tollgate/handler/housekeeping"
	"tollgate/handler/manage"
	"tollgate/handler/manage/entra"
	"tollgate/handler/strangers"
	"tollgate/handler/subscription"
)

// beside serves what is for operators next to the gateway. A path's first part
// decides, and the gateway answers all that is nobody else's.
type beside struct {
	gateway http.Handler
	others  map[string]http.Handler // by first part: "manage"
}

// ServeHTTP implements http.Handler.
func (b beside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if other := b.others[first]; other != nil {
		other.ServeHTTP(w, r)
		return
	}
	b.gateway.ServeHTTP(w, r)
}

// counters are what calls are counted in, and usage is read of.
type counters interface {
	counter.Store
	counter.Keeper
}

// used is counters as they stand, and their history.
type used struct {
	counters
	usage.Reader
}

// operated is what the operators' part of the application is made of.
type operated struct {
	store    subscription.Store
	audit    manage.Audit
	probe    func(context.Context) (time.Time, error) // nil: nothing is stored
	counters counters
	history  usage.Store
	turns    housekeeping.Turns // nil: no other instance shares the counters
}

// lookAge is how long operators who look at usage share a look: below the
// console's 5 s, and within what instances take to report a call.
const lookAge = 2 * time.Second

// operate puts the operators' API and page beside the gateway, as far as the
// settings have them.
func operate(c config.Config, gateway http.Handler, o operated, log *slog.Logger, quiet *strangers.Log) http.Handler {
	b := beside{gateway: gateway, others: make(map[string]http.Handler)}
	if c.Manage.Console {
		b.others["console"] = console.Handler()
	}
	if c.Manage.On() {
		b.others["manage"] = manage.New(manage.Config{Store: o.store, Pepper: &c.Pepper, Audit: o.audit, Usage: used{o.counters, o.history},
			Auth: authenticator(c.Manage, log), Checks: checks(c, o), LookAge: lookAge, Log: log, Strangers: quiet})
	}
	if len(b.others) == 0 {
		return gateway
	}
	return b
}

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

// checks are what the gateway needs, looked into with its own identity.
func checks(c config.Config, o operated) []manage.Check {
	var all []manage.Check
	if o.probe != nil {
		all = append(append(all, doctor.Pepper(c.Pepper, nil, o.store)), doctor.Tables(o.probe, o.store)...)
		all = append(all, doctor.Models(c.Models, o.store))
	}
	all = append(all, doctor.Counters(o.counters.Stored))
	all = append(all, doctor.Endpoints(c)...)
	if c.Telemetry.On {
		all = append(all, doctor.Reachable("telemetry", c.Telemetry.Connection.Endpoint))
	}
	return all
}
