// Package app builds the gateway from its settings, serves it, and drains it when the process
// gets a signal to stop.
//
// Run loads the settings, builds an App and serves it. Build connects the parts: the stores, the
// counters, the ledger, the endpoints, telemetry, the gateway, and the operators' API. No other
// package knows all of them.
//
// Start reading at Run, then Build.
package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"tollgate/handler/alert"
	"tollgate/handler/config"
	"tollgate/handler/counter"
	"tollgate/handler/gateway"
	"tollgate/handler/ledger"
	"tollgate/handler/price"
	"tollgate/handler/stored"
	"tollgate/handler/strangers"
	"tollgate/handler/subscription"
	"tollgate/handler/telemetry"
	"tollgate/handler/upstream"
)

// An App is the gateway with all its parts. Make one with New or Build.
type App struct {
	conf    config.Config
	store   subscription.Store
	prices  price.Store
	gateway *gateway.Gateway
	counter *counter.Counter
	ledger  *ledger.Recorder
	client  *upstream.Client
	reports *telemetry.Reporter // nil: telemetry is off
	alerts  *alert.Notifier
	quiet   *strangers.Log // of requests without a valid key or token
	handler http.Handler   // the gateway, the operators' API, the console and housekeeping
	log     *slog.Logger
}

// New builds the application from its settings. It makes no network call: a service
// that is down now may be up when the first call comes. Its errors name the setting
// at fault.
func New(c config.Config, log *slog.Logger) (*App, error) {
	stores, err := openStores(c.Store)
	if err != nil {
		return nil, err
	}
	sink, err := openSink(c.Telemetry, log)
	if err != nil {
		return nil, err
	}
	return Build(c, stores, sink, log)
}

// Build builds the application with the given stores and sink of telemetry, whatever the settings
// select. A nil sink turns telemetry off.
func Build(c config.Config, stores Stores, sink telemetry.Sink, log *slog.Logger) (*App, error) {
	endpoints, err := upstream.WithTokens(c.Upstream.Endpoints)
	if err != nil {
		return nil, err
	}
	client, err := upstream.New(endpoints, c.Upstream.Timeouts)
	if err != nil {
		return nil, err
	}
	app := &App{conf: c, store: stores.Directory, prices: stores.Prices, client: client, quiet: strangers.New(log), log: log}
	app.counter = counter.New(counter.Config{Store: stores.Counters, Log: log, Alert: func(a counter.Alert) { app.alerts.Notify(a) }})
	app.ledger = ledger.NewRecorder(ledger.Config{Store: stores.Ledger, Now: app.counter.Now, Log: log})
	if sink != nil {
		app.reports = newReporter(c.Telemetry, sink, log, app.counted)
	}
	app.alerts = newNotifier(c.Alerts, app.reports, log)
	c.Gateway.Budget = budget(c.Gateway.MaxBody)
	app.gateway = gateway.New(gateway.Config{Settings: c.Gateway,
		Directory: subscription.NewDirectory(stores.Directory, c.Store.Pepper), Counter: app.counter, Upstream: client,
		Stored: stored.New(stores.Responses), Usage: ledger.Reader{Store: stores.Ledger}, Ledger: app.ledger,
		Prices:    price.NewBook(stores.Prices),
		Telemetry: app.telemetry(), Log: log, Strangers: app.quiet})
	app.handler = mountOperators(c, app.gateway, stores, log, app.quiet)
	if c.Server.UnderHost {
		app.handler = stores.Housekeeping(app.counter, c.Store.Retention, log).Middleware(app.handler)
	}
	return app, nil
}

// ServeHTTP answers one request. Unlike Serve it doesn't bound the time that callers may take, nor
// wait for calls in flight at the end.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// CloseIdle closes idle connections to endpoints.
func (a *App) CloseIdle() { a.client.CloseIdle() }

// counted returns the counters' and the ledger's statistics in telemetry's form.
func (a *App) counted() telemetry.Counters {
	s, l := a.counter.Stats(), a.ledger.Stats()
	return telemetry.Counters{TableOperations: s.Reads + s.Writes + l.Reads + l.Writes, LeaseConflicts: s.Conflicts,
		ForfeitedLeases: s.Forfeited.Leases, UnwrittenCharges: s.Unwritten, UnwrittenTokens: l.DroppedTokens, Degraded: s.DegradedTime}
}

// telemetry returns the gateway's reporter. If telemetry is off it returns a nil interface, not
// an interface that holds a nil reporter.
func (a *App) telemetry() gateway.Telemetry {
	if a.reports == nil {
		return nil
	}
	return a.reports
}

// Close writes the counters and the ledger a last time, and sends the remaining alerts and
// telemetry. All calls must have ended. Serve calls it.
func (a *App) Close(ctx context.Context) error {
	a.CloseIdle()
	recorded := make(chan error, 1)
	go func() { recorded <- a.ledger.Close(ctx) }()
	err := errors.Join(a.counter.Close(ctx), <-recorded)
	closeSignals(ctx, a.alerts, a.reports, a.log)
	a.quiet.Flush()
	return err
}
