// Package app builds the gateway from its settings, serves it, and drains it when
// the process gets a signal to stop. Start reading at Run; New wires the parts.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"tollgate/handler/azure"
	"tollgate/handler/config"
	"tollgate/handler/counter"
	countermem "tollgate/handler/counter/memstore"
	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/gateway"
	"tollgate/handler/housekeeping"
	housekeepingtables "tollgate/handler/housekeeping/tablestore"
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	ledgertables "tollgate/handler/ledger/tablestore"
	managemem "tollgate/handler/manage/memstore"
	managetables "tollgate/handler/manage/tablestore"
	"tollgate/handler/stored"
	storedmem "tollgate/handler/stored/memstore"
	storedtables "tollgate/handler/stored/tablestore"
	"tollgate/handler/strangers"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/tablestore"
	"tollgate/handler/telemetry"
	"tollgate/handler/upstream"
)

// An App is the gateway with all its parts.
type App struct {
	conf    config.Config
	store   subscription.Store
	gateway *gateway.Gateway
	counter *counter.Counter
	ledger  *ledger.Recorder
	client  *upstream.Client
	reports *telemetry.Reporter // nil: telemetry is off
	quiet   *strangers.Log
	handler http.Handler // the gateway, the operators' API, the console and housekeeping
	log     *slog.Logger
}

// New builds the application from its settings. It makes no network call: a service
// that is down now may be up when the first call comes. Its errors name the setting
// at fault.
func New(c config.Config, log *slog.Logger) (*App, error) {
	o, err := openStores(c)
	if err != nil {
		return nil, err
	}
	endpoints, err := upstream.Identified(c.Upstream.Endpoints)
	if err != nil {
		return nil, err
	}
	client, err := upstream.New(endpoints, c.Upstream.Timeouts)
	if err != nil {
		return nil, err
	}
	app := &App{conf: c, store: o.store, client: client, counter: counter.New(counter.Config{Store: o.counters, Log: log}), quiet: strangers.New(log), log: log}
	app.ledger = ledger.NewRecorder(ledger.Config{Store: o.ledger, Now: app.counter.Now, Log: log})
	if app.reports, err = startReporter(c.Telemetry, log, app.counted); err != nil {
		return nil, err
	}
	c.Gateway.Budget = budget(c.Gateway.MaxBody)
	app.gateway = gateway.New(gateway.Config{Strangers: app.quiet,
		Directory: subscription.NewDirectory(o.store, c.Store.Pepper), Counter: app.counter, Stored: stored.New(o.stored), Usage: ledger.Reader{Store: o.ledger}, Upstream: client, Log: log, Ledger: app.ledger, Telemetry: app.telemetry(),
		Settings: c.Gateway,
	})
	app.handler = mountOperators(c, app.gateway, o, log, app.quiet)
	if c.Server.UnderHost {
		app.handler = housekeeping.New(housekeeping.Config{Counters: o.counters, Counter: app.counter, Ledger: o.ledger,
			Retention: c.Store.Retention, Stored: o.stored, Turns: o.turns, Log: log}).Middleware(app.handler)
	}
	return app, nil
}

// counted returns the counters' and the ledger's statistics in telemetry's form.
func (a *App) counted() telemetry.Counters {
	s, l := a.counter.Stats(), a.ledger.Stats()
	return telemetry.Counters{TableOperations: s.Reads + s.Writes + l.Reads + l.Writes, LeaseConflicts: s.Conflicts,
		ForfeitedTokens: s.Forfeited, UnwrittenTokens: s.UnknownUsage + l.DroppedTokens, Degraded: s.DegradedTime}
}

// telemetry returns the gateway's reporter. Where telemetry is off it returns a nil
// interface, not an interface that holds a nil reporter.
func (a *App) telemetry() gateway.Telemetry {
	if a.reports == nil {
		return nil
	}
	return a.reports
}

// openStores opens the stores that all instances share.
func openStores(c config.Config) (operatorDeps, error) {
	if c.Store.Kind == "memory" {
		directory, err := memstore.Load([]byte(c.Store.MemoryDirectory.Reveal()), c.Store.Pepper)
		if err != nil {
			return operatorDeps{}, fmt.Errorf("MEMORY_DIRECTORY: %w", err)
		}
		return operatorDeps{store: directory, audit: &managemem.Store{}, counters: countermem.New(), ledger: ledgermem.New(nil), stored: storedmem.New(nil)}, nil
	}
	service, err := azure.Open(c.Store.Account)
	if err != nil {
		return operatorDeps{}, err
	}
	audit := managetables.New(service, managetables.DefaultTable)
	return operatorDeps{store: tablestore.New(service, tablestore.DefaultTables), audit: audit, probe: audit.Probe,
		turns: housekeepingtables.New(service, housekeepingtables.DefaultTable), counters: countertables.New(service, countertables.DefaultTable),
		ledger: ledgertables.New(service, ledgertables.DefaultTable), stored: storedtables.New(service, storedtables.DefaultTable)}, nil
}

// close writes the counters and the ledger a last time and sends the remaining telemetry.
func (a *App) close(ctx context.Context) error {
	a.client.CloseIdle()
	recorded := make(chan error, 1)
	go func() { recorded <- a.ledger.Close(ctx) }()
	err := errors.Join(a.counter.Close(ctx), <-recorded)
	closeTelemetry(ctx, a.reports, a.log)
	a.quiet.Flush()
	return err
}
