// Command bench compares the gateway with other programs. It prints its results as lines
// "figure NAME VALUE" at the end.
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

// benches holds the measurements by name; each reads the rest of the command line.
var benches = map[string]func(ctx context.Context, args []string) error{
	"memory": benchMemory,
	"proxy":  benchProxy,
	"soak":   soak,
	"tokens": benchTokens,
}

// parts holds what benches start from this binary as processes of their own.
var parts = map[string]func(args []string) error{
	"part-crowd":   sendCrowd,
	"part-gateway": serveGateway,
	"part-model":   serveModel,
	"part-patient": servePatient,
	"part-proxy":   serveProxy,
	"part-tables":  loadTables,
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
