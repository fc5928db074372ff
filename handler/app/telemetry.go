package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tollgate/handler/alert"
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

// newNotifier starts to send alerts. A nil reporter means that telemetry is off.
func newNotifier(webhook alert.Webhook, reporter *telemetry.Reporter, log *slog.Logger) *alert.Notifier {
	config := alert.Config{Log: log, Webhook: webhook}
	if reporter != nil { // a nil interface, not one that holds a nil reporter
		config.Events = reporter
	}
	return alert.New(config)
}

// lastSignals bounds the time that the last alerts and the last items take to send.
const lastSignals = 5 * time.Second

// closeSignals sends the remaining alerts and items at the same time. It has a deadline of its
// own, so that they are sent even if a store hangs until ctx is done. A failure is only logged:
// usage is in the tables.
func closeSignals(ctx context.Context, alerts *alert.Notifier, reporter *telemetry.Reporter, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSignals)
	defer cancel()
	var posting sync.WaitGroup
	defer posting.Wait()
	posting.Go(func() { alerts.Close(ctx) })
	if reporter == nil {
		return
	}
	if err := reporter.Close(ctx); err != nil {
		log.Warn("could not send all telemetry before the process stopped", "cause", err)
	}
}
