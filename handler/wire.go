package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"tollgate/handler/counter"
	countermem "tollgate/handler/counter/memstore"
	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/counter/usage"
	"tollgate/handler/gateway"
	"tollgate/handler/housekeeping"
	"tollgate/handler/storage"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/tablestore"
	"tollgate/handler/telemetry"
	"tollgate/handler/upstream"
)

// application is the gateway with what must be closed behind it.
type application struct {
	gateway     *gateway.Gateway
	housekeeper *housekeeping.Housekeeper
	counter     *counter.Counter
	client      *upstream.Client
	reports     *telemetry.Reporter // nil: telemetry is off
	log         *slog.Logger
}

// wire makes the application of its settings. It makes no call: what is down
// now may be up when the first caller comes.
func wire(c config, log *slog.Logger) (*application, error) {
	pepper, err := subscription.NewPepper(c.KeyPepper.Reveal())
	if err != nil {
		return nil, fmt.Errorf("KEY_PEPPER %w", err)
	}
	from, err := openStores(c, pepper)
	if err != nil {
		return nil, err
	}
	client, err := c.Upstreams.client(c.ClientID, c.Timeouts)
	if err != nil {
		return nil, err
	}
	app := &application{client: client, counter: counter.New(counter.Config{Store: from.counters, History: from.history, Log: log}), log: log}
	if app.reports, err = c.Telemetry.reporter(log, nil); err != nil {
		return nil, err
	}
	app.gateway = gateway.New(gateway.Config{
		Directory: subscription.NewDirectory(from.directory, pepper), Counter: app.counter, History: from.history, Upstream: client, Log: log,
		BasePath: c.BasePath, Models: c.Models, Headers: c.Headers, MaxBody: c.MaxBody, TokensComment: c.TokensComment,
		ClientIPHeader: c.Counting.ClientIPHeader, Telemetry: app.telemetry(),
	})
	app.housekeeper = housekeeping.New(housekeeping.Config{
		Counters: from.counters, Counter: app.counter, History: from.history, Retention: c.Counting.Retention, Log: log,
	})
	return app, nil
}

// telemetry is what the gateway tells of calls: nothing, not a nil reporter,
// where telemetry is off.
func (a *application) telemetry() gateway.Telemetry {
	if a.reports == nil {
		return nil
	}
	return a.reports
}

// stores are where keys, counters and what happened to them live.
type stores struct {
	directory subscription.Store
	counters  interface {
		counter.Store
		counter.Keeper
	}
	history usage.Store
}

func openStores(c config, pepper subscription.Pepper) (stores, error) {
	if c.Store == "memory" {
		directory, err := memstore.Load([]byte(c.MemoryDirectory.Reveal()), pepper)
		if err != nil {
			return stores{}, fmt.Errorf("MEMORY_DIRECTORY: %w", err)
		}
		return stores{directory, countermem.New(nil), countermem.NewHistory(nil)}, nil
	}
	service, err := storage.Open(c.Storage)
	if err != nil {
		return stores{}, err
	}
	return stores{tablestore.New(service, tablestore.Usual), countertables.New(service, countertables.Usual),
		countertables.NewHistory(service, countertables.UsualHistory)}, nil
}

// handler is what is served: the timer functions that the host starts, and the
// gateway behind them.
func (a *application) handler() http.Handler { return a.housekeeper.Before(a.gateway) }

// close writes what the counters still hold, and sends what was gathered.
func (a *application) close(ctx context.Context) error {
	a.client.CloseIdle()
	err := a.counter.Close(ctx)
	closeTelemetry(ctx, a.reports, a.log)
	return err
}
