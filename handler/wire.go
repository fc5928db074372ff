package main

import (
	"context"
	"fmt"
	"log/slog"

	"tollgate/handler/counter"
	countermem "tollgate/handler/counter/memstore"
	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/gateway"
	"tollgate/handler/storage"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/subscription/tablestore"
	"tollgate/handler/telemetry"
	"tollgate/handler/upstream"
)

// application is the gateway with what must be closed behind it.
type application struct {
	gateway *gateway.Gateway
	counter *counter.Counter
	client  *upstream.Client
	reports *telemetry.Reporter // nil: telemetry is off
	log     *slog.Logger
}

// wire makes the application of its settings. It makes no call: what is down
// now may be up when the first caller comes.
func wire(c config, log *slog.Logger) (*application, error) {
	pepper, err := subscription.NewPepper(c.KeyPepper.Reveal())
	if err != nil {
		return nil, fmt.Errorf("KEY_PEPPER %w", err)
	}
	directory, counters, err := stores(c, pepper)
	if err != nil {
		return nil, err
	}
	client, err := c.Upstreams.client(c.ClientID, c.Timeouts)
	if err != nil {
		return nil, err
	}
	app := &application{client: client, counter: counter.New(counter.Config{Store: counters, Log: log}), log: log}
	if app.reports, err = c.Telemetry.reporter(log, nil); err != nil {
		return nil, err
	}
	app.gateway = gateway.New(gateway.Config{
		Directory: subscription.NewDirectory(directory, pepper), Counter: app.counter, Upstream: client, Log: log,
		BasePath: c.BasePath, Models: c.Models, Headers: c.Headers, MaxBody: c.MaxBody, TokensComment: c.TokensComment,
		ClientIPHeader: c.Counting.ClientIPHeader, Telemetry: app.telemetry(),
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

// stores opens where keys and counters live.
func stores(c config, pepper subscription.Pepper) (subscription.Store, counter.Store, error) {
	if c.Store == "memory" {
		directory, err := memstore.Load([]byte(c.MemoryDirectory.Reveal()), pepper)
		if err != nil {
			return nil, nil, fmt.Errorf("MEMORY_DIRECTORY: %w", err)
		}
		return directory, countermem.New(nil), nil
	}
	service, err := storage.Open(c.Storage)
	if err != nil {
		return nil, nil, err
	}
	return tablestore.New(service, tablestore.Usual), countertables.New(service, countertables.Usual), nil
}

// close writes what the counters still hold, and sends what was gathered.
func (a *application) close(ctx context.Context) error {
	a.client.CloseIdle()
	err := a.counter.Close(ctx)
	closeTelemetry(ctx, a.reports, a.log)
	return err
}
