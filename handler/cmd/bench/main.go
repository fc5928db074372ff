// Command bench measures the gateway, and compares it with other programs: "proxy" its
// latency and CPU time with the standard library's reverse proxy, "tokens" its counting
// with other tokenizers, "memory" its memory under many long prompts, and "soak" its
// resources over time. Each prints its results as lines "figure NAME VALUE" at the end.
//
// The gateway, the model and the proxies run as processes of their own, some of them from
// this binary: see parts. Start reading at benchProxy.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// benches holds the measurements by name. Each gets the rest of the command line.
var benches = map[string]func(ctx context.Context, args []string) error{
	"memory": benchMemory,
	"proxy":  benchProxy,
	"soak":   soak,
	"tokens": benchTokens,
}

// parts holds the programs in this binary that benches start as processes of their own.
var parts = map[string]func(args []string) error{
	"part-load":       sendLoad,
	"part-gateway":    serveGateway,
	"part-model":      serveModel,
	"part-slow-model": serveSlowModel,
	"part-proxy":      serveProxy,
	"part-tables":     loadTables,
}

func main() {
	if len(os.Args) > 1 && parts[os.Args[1]] != nil { // a part started by a bench
		if err := parts[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if bench := benches[args[0]]; bench != nil {
			return bench(ctx, args[1:])
		}
	}
	return fmt.Errorf("name one of %s", strings.Join(slices.Sorted(maps.Keys(benches)), ", "))
}
