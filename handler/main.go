// Command handler is Tollgate's gateway. The Azure Functions host runs it as a
// custom handler; it also runs by itself.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"tollgate/handler/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := app.Run(ctx, os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
