// Command demo starts Azurite, a simulated DeepSeek-R1 and the gateway on this machine and
// makes the ten calls of the article that Tollgate is based on. With --serve it keeps
// everything running instead.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	serve := flag.Bool("serve", false, "serve on port 7071 instead of making the ten calls")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *serve)
	interrupted := ctx.Err() != nil
	stop()
	if err != nil && interrupted {
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything that it started is stopped")
		os.Exit(1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, serve bool) error {
	port := 0
	if serve {
		port = 7071
	}
	s, err := start(ctx, port)
	if err != nil {
		return err
	}
	defer s.stop()
	if serve {
		s.introduce()
		return s.serve(ctx)
	}
	return s.tenCalls(ctx)
}
