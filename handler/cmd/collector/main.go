// Command collector is a local Application Insights: it accepts telemetry over the
// ingestion protocol, checks it against the schema and prints it, one item a line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tollgate/handler/local/insights"
)

func main() {
	address := flag.String("address", "127.0.0.1:7072", "the address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *address, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "collector:", err)
		os.Exit(1)
	}
}

// run collects until ctx is done. It first prints the setting with which a gateway sends
// its telemetry here.
func run(ctx context.Context, address string, out io.Writer) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(out, "APPLICATIONINSIGHTS_CONNECTION_STRING=%s\n", insights.ConnectionString(listener.Addr().String()))
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second,
		Handler: &insights.Collector{Arrived: func(item insights.Item) { fmt.Fprintln(out, item) },
			Refused: func(fault string) { fmt.Fprintln(out, "REFUSED", fault) }}}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
