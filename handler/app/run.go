package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"tollgate/handler/config"
	"tollgate/handler/version"
)

// Exit statuses. The Functions host restarts a handler that exits with any status but
// 0. It gives up at the third restart, not counting those after status 200. Since it
// never restarts a handler that exits with 0, only a process without a host does that.
const (
	ExitDone    = 0
	ExitFailed  = 1
	ExitRestart = 200
)

// Run starts the gateway with the settings that getenv returns, serves until ctx
// is done, and drains. It returns the process's exit status. Faults that prevent the
// start go to stderr, which the host shows as errors; the log goes to stdout.
func Run(ctx context.Context, getenv func(string) string, stdout, stderr io.Writer) int {
	conf, err := config.Load(getenv)
	if err != nil {
		fmt.Fprintf(stderr, "tollgate can't start with these settings:\n%v\n", err)
		return ExitFailed
	}
	lines := newBufferedLog(stdout)
	defer lines.Flush()
	log := slog.New(lines)
	limitMemory(getenv, memlimit.FromCgroup, log)
	app, err := New(conf, log)
	if err != nil {
		fmt.Fprintf(stderr, "tollgate can't start: %v\n", err)
		return ExitFailed
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(conf.Server.Port)))
	if err != nil {
		fmt.Fprintf(stderr, "tollgate can't start: %v\n", err)
		return ExitFailed
	}
	log.Info("listening", "version", version.String(), "address", listener.Addr().String(), "settings", conf)
	loadTokenizers(conf.Gateway.Models, app.client, log)
	stop := background(ctx, func(ctx context.Context) {
		warnOfPrices(ctx, Served(conf), app.store, app.prices, log)
		claimPepper(ctx, app.store, conf.Store.Pepper, log, stderr)
	})
	defer stop()
	if err := app.Serve(ctx, listener); err != nil {
		fmt.Fprintf(stderr, "tollgate stopped: %v\n", err)
		return ExitFailed
	}
	if conf.Server.UnderHost {
		return ExitRestart
	}
	return ExitDone
}

// background runs work until it ends or stop is called, which waits for it.
func background(ctx context.Context, work func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { work(ctx) })
	return func() { cancel(); running.Wait() }
}

// lastWrite is the shortest time that the counters' last writes get when the process
// stops. They also get the rest of the drain time.
const lastWrite = 10 * time.Second

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Serve answers on listener until ctx is done. It then gives calls in flight the
// drain time to end, and writes the counters a last time.
func (a *App) Serve(ctx context.Context, listener net.Listener) error {
	conf, log := a.conf.Server, a.log
	stdlog.SetOutput(io.Discard) // net/http's transport logs parts of answers there
	var calls sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			defer calls.Done()
			a.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: conf.HeaderTimeout,
		ReadTimeout:       conf.BodyTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("draining", "at_most", conf.DrainTimeout.String())
	a.counter.Drain()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), conf.DrainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // ends the remaining calls, which settle by what they have received
		calls.Wait()
	}
	a.gateway.Drain(drain)
	ends, _ := drain.Deadline()
	last, cancelLast := context.WithDeadline(context.WithoutCancel(ctx), later(ends, time.Now().Add(lastWrite)))
	defer cancelLast()
	return errors.Join(err, a.Close(last))
}
