// Command handler is Tollgate's gateway, run by the Azure Functions host as a
// custom handler or by itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"tollgate/handler/config"
	"tollgate/handler/version"
)

// Exit statuses. The Functions host restarts a handler that ends with anything
// but 0, counting towards the third and last except for 200; one that ends with
// 0 it leaves dead, so 0 is only for a process without a host.
const (
	exitDone    = 0
	exitFailed  = 1
	exitRestart = 200
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run serves until ctx is done, then drains. Faults that stop the start go to
// stderr, which the host shows as errors; the log goes to stdout.
func run(ctx context.Context, getenv func(string) string, stdout, stderr io.Writer) int {
	conf, err := config.Load(getenv)
	if err != nil {
		fmt.Fprintf(stderr, "tollgate can't start with these settings:\n%v\n", err)
		return exitFailed
	}
	lines := newHeldLog(stdout)
	defer lines.Flush()
	log := slog.New(lines)
	limitMemory(getenv, memlimit.FromCgroup, log)
	app, err := wire(conf, log)
	if err != nil {
		fmt.Fprintf(stderr, "tollgate can't start: %v\n", err)
		return exitFailed
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(conf.Port)))
	if err != nil {
		fmt.Fprintf(stderr, "tollgate can't start: %v\n", err)
		return exitFailed
	}
	log.Info("listening", "version", version.String(), "address", listener.Addr().String(), "settings", conf)
	prepareCounting(conf.Models, app.client, log)
	stop := background(ctx, func(ctx context.Context) { claimPepper(ctx, app.store, conf.Pepper, log, stderr) })
	defer stop()
	if err := serve(ctx, conf, app, listener, log); err != nil {
		fmt.Fprintf(stderr, "tollgate stopped: %v\n", err)
		return exitFailed
	}
	if conf.UnderHost {
		return exitRestart
	}
	return exitDone
}

// background runs work until it ends or stop is called, which waits for it.
func background(ctx context.Context, work func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { work(ctx) })
	return func() { cancel(); running.Wait() }
}

// lastWrite is how long the writing of what the counters still hold at the end has
// at least: it has what is left of the drain time.
const lastWrite = 10 * time.Second

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// serve answers until ctx is done, then lets calls under way end within the
// drain time and writes what the counters still hold.
func serve(ctx context.Context, conf config.Config, app *application, listener net.Listener, log *slog.Logger) error {
	stdlog.SetOutput(io.Discard) // net/http's transport quotes answers there
	var calls sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			defer calls.Done()
			app.handler.ServeHTTP(w, r)
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
	app.counter.Drain()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), conf.DrainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // what is still under way is cut, and settles by what it has seen
		calls.Wait()
	}
	app.gateway.Drain(drain)
	ends, _ := drain.Deadline()
	last, cancelLast := context.WithDeadline(context.WithoutCancel(ctx), later(ends, time.Now().Add(lastWrite)))
	defer cancelLast()
	return errors.Join(err, app.close(last))
}
