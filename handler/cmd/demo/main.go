// Command demo starts Azurite, a simulated DeepSeek-R1 and the gateway on this machine and
// makes the ten calls of the article that Tollgate is based on. With --money it makes calls
// of two models under a budget instead; with --serve it keeps everything running.
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
	money := flag.Bool("money", false, "make calls of two models under a budget instead of the ten calls")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *serve, *money)
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

func run(ctx context.Context, serve, money bool) error {
	if money {
		s, err := startMoney(ctx)
		if err != nil {
			return err
		}
		defer s.stop()
		return s.spendBudget(ctx)
	}
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
