package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tollgate/handler/telemetry"
	"tollgate/handler/telemetry/appinsights"
)

func TestItemsArePrinted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", printed) }()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("got no output, want the connection string")
	}
	setting, connection, _ := strings.Cut(lines.Text(), "=")
	parsed, err := appinsights.ParseConnection(connection)
	if err != nil || setting != "APPLICATIONINSIGHTS_CONNECTION_STRING" {
		t.Fatalf("got %q (error %v), want APPLICATIONINSIGHTS_CONNECTION_STRING and its value", lines.Text(), err)
	}
	client, err := appinsights.New(appinsights.Config{Connection: parsed, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	client.Send(telemetry.Batch{Metrics: []telemetry.Metric{{Name: telemetry.TotalTokens, At: time.Now(), Sum: 258, Min: 258, Max: 258, Count: 1}}})
	if !lines.Scan() || !strings.HasSuffix(lines.Text(), "llm/Total Tokens 258 {}") {
		t.Errorf("got %q, want a line that ends with llm/Total Tokens 258 {}", lines.Text())
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
