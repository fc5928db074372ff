package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"tollgate/handler/config"
	"tollgate/handler/telemetry"
	"tollgate/handler/telemetry/appinsights"
)

// openSink returns the sink that the settings select, or nil if telemetry is off.
func openSink(t config.Telemetry, log *slog.Logger) (telemetry.Sink, error) {
	if !t.On {
		log.Info("telemetry is off: set APPLICATIONINSIGHTS_CONNECTION_STRING to turn it on")
		return nil, nil
	}
	sink, err := appinsights.New(appinsights.Config{Connection: t.Connection, Authentication: t.Authentication,
		Namespace: t.Namespace, Role: t.Place.Site, Instance: t.Instance, Log: log})
	if err != nil {
		return nil, fmt.Errorf("APPLICATIONINSIGHTS_AUTHENTICATION_STRING: %w", err)
	}
	return sink, nil
}

// newReporter starts to send telemetry to a sink.
func newReporter(t config.Telemetry, sink telemetry.Sink, log *slog.Logger, counters func() telemetry.Counters) *telemetry.Reporter {
	return telemetry.New(telemetry.Config{Sink: sink, Log: log, Interval: t.Interval, Dimensions: t.Dimensions, MaxSeries: t.MaxSeries,
		SampleRatio: t.SampleRatio, TruncateIP: t.TruncateIP, Place: t.Place, Counters: counters})
}

// lastTelemetry bounds the time that the last items take to send.
const lastTelemetry = 5 * time.Second

// closeTelemetry sends the remaining items, within a deadline of its own, so that a
// store that hangs doesn't lose them too. A failure is only logged: usage is in the
// tables.
func closeTelemetry(ctx context.Context, reporter *telemetry.Reporter, log *slog.Logger) {
	if reporter == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTelemetry)
	defer cancel()
	if err := reporter.Close(ctx); err != nil {
		log.Warn("could not send all telemetry before the process stopped", "cause", err)
	}
}
