package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/ledger"
	"tollgate/handler/limit"
	"tollgate/handler/telemetry"
	"tollgate/handler/telemetry/appinsights"
)

func (a *app) metricsCommand() *cobra.Command {
	return commandGroup("metrics", "Token metrics in Application Insights", "Work on the token metrics that the gateway sends to Application Insights.",
		"  tollgate metrics replay --from 2026-07-01T10:00Z --to 2026-07-01T11:00Z", a.metricsReplay())
}

// replay holds the flags of replay.
type replay struct {
	from, to     string
	subscription string
	dryRun       bool
	timeout      time.Duration
}

func (a *app) metricsReplay() *cobra.Command {
	var options replay
	cmd := &cobra.Command{
		Use: "replay --from TIME --to TIME", Short: "Send the metrics of past minutes' tokens and costs again",
		Long: `Send the metrics of past minutes' tokens and costs again, from the table usage:
after an outage of Application Insights, or if an instance was killed before it
sent them. They have the dimensions Subscription ID, Replayed=true, which
the included queries leave out by default, and those of METRIC_DIMENSIONS that depend
on the subscription and the model alone. A minute that is replayed twice counts
twice. Minutes are kept for 7 days; older ones can't be sent.

It reads the gateway's settings APPLICATIONINSIGHTS_CONNECTION_STRING,
APPLICATIONINSIGHTS_AUTHENTICATION_STRING, METRIC_NAMESPACE and
METRIC_DIMENSIONS.`,
		Example: "  tollgate metrics replay --from 2026-07-01T10:00Z --to 2026-07-01T11:00Z --dry-run",
		Args:    exactArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.replay(cmd, options) },
	}
	flags := cmd.Flags()
	flags.StringVar(&options.from, "from", "", "the first minute, such as 2026-07-01T10:00Z")
	flags.StringVar(&options.to, "to", "", "the minute after the last")
	flags.StringVar(&options.subscription, "subscription", "", "only this subscription")
	flags.BoolVar(&options.dryRun, "dry-run", false, "show what would be sent, and send nothing")
	flags.DurationVar(&options.timeout, "timeout", 2*time.Minute, "how long Application Insights may take")
	return cmd
}

func (a *app) replay(cmd *cobra.Command, options replay) error {
	from, e1 := wholeMinute(cmd, "--from", options.from)
	to, e2 := wholeMinute(cmd, "--to", options.to)
	if err := errors.Join(e1, e2); err != nil {
		return err
	}
	if !from.Before(to) {
		return &usageError{cmd.CommandPath(), "--to must be after --from: it is the minute after the last"}
	}
	stores, err := a.openTablesOnly(cmd)
	if err != nil {
		return err
	}
	if kept := time.Now().Add(-ledger.KeepMinutes).Truncate(time.Minute).Add(time.Minute); from.Before(kept) {
		return &usageError{cmd.CommandPath(), fmt.Sprintf("--from is %s: minutes are kept for 7 days, and of earlier ones only hours or days are left; the first to send is %s", date(from), date(kept))}
	}
	names, err := a.dimensions()
	if err != nil {
		return err
	}
	used, err := minutes(cmd.Context(), ledger.Reader{Store: stores.Ledger}, options.subscription, from, to)
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	var sink telemetry.Sink = discardSink{}
	if !options.dryRun {
		if sink, err = a.insights(); err != nil {
			return err
		}
	}
	prices, err := stores.Prices.Read(cmd.Context())
	if err != nil {
		return fmt.Errorf("nothing was sent: %w", err)
	}
	sent, err := resend(cmd.Context(), used, replaySettings{names, prices.Currency.Code}, sink, options.timeout)
	if err != nil {
		return err
	}
	if sent.Minutes == 0 {
		a.note("There is no minute with usage in that time.")
	}
	return a.print(sent, func(w io.Writer) {
		row(w, ifElse(options.dryRun, "WOULD SEND MINUTES", "MINUTES"), "CALLS", "PROMPT TOKENS", "COMPLETION TOKENS", "COST")
		row(w, number(int64(sent.Minutes)), number(sent.Calls), number(sent.PromptTokens), number(sent.CompletionTokens), sent.Cost.String())
	})
}

// wholeMinute reads a flag's time, which must be a whole minute.
func wholeMinute(cmd *cobra.Command, flag, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil && at.Equal(at.Truncate(time.Minute)) {
			return at, nil
		}
	}
	problem := fmt.Sprintf("%s is %q: name a whole minute, such as 2026-07-01T10:00Z", flag, text)
	if text == "" {
		problem = flag + " is missing: name a whole minute, such as 2026-07-01T10:00Z"
	}
	return time.Time{}, &usageError{cmd.CommandPath(), problem}
}

// insights opens the Application Insights resource of the settings.
func (a *app) insights() (telemetry.Sink, error) {
	file, err := a.file()
	if err != nil {
		return nil, err
	}
	const setting = "APPLICATIONINSIGHTS_CONNECTION_STRING"
	text := a.setting(file, setting)
	if text == "" {
		return nil, fmt.Errorf("%s is missing in the environment and %s: copy it from the resource's overview page", setting, file)
	}
	connection, err := appinsights.ParseConnection(text)
	if err != nil {
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	authentication, err := appinsights.ParseAuthentication(a.setting(file, "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"))
	if err != nil {
		return nil, fmt.Errorf("APPLICATIONINSIGHTS_AUTHENTICATION_STRING %w", err)
	}
	return appinsights.New(appinsights.Config{Connection: connection, Authentication: authentication, Namespace: a.setting(file, "METRIC_NAMESPACE"),
		Role: a.setting(file, "WEBSITE_SITE_NAME"), Log: slog.New(slog.NewTextHandler(a.stderr, nil)), QueueBytes: replayQueueBytes})
}

// dimensions returns the gateway's dimensions, from METRIC_DIMENSIONS.
func (a *app) dimensions() ([]telemetry.Dimension, error) {
	file, err := a.file()
	if err != nil {
		return nil, err
	}
	const setting = "METRIC_DIMENSIONS"
	text := a.setting(file, setting)
	if text == "" {
		return nil, nil
	}
	chosen, err := telemetry.ParseDimensions(strings.Split(text, ","))
	if err != nil {
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	return chosen, nil
}

// replayQueueBytes is enough to queue a whole replay, in compressed bytes.
const replayQueueBytes = 1 << 30

// A discardSink is a sink that discards everything.
type discardSink struct{}

func (discardSink) Send(telemetry.Batch)        {}
func (discardSink) Dropped() map[string]int64   { return nil }
func (discardSink) Close(context.Context) error { return nil }

// minutes reads the usage of one subscription by minute or, if it is empty, of each one.
func minutes(ctx context.Context, reader ledger.Reader, subscription string, from, to time.Time) ([]ledger.Usage, error) {
	if subscription != "" {
		of, err := reader.Subscription(ctx, subscription, from, to, ledger.Minute)
		return of.Items, err
	}
	all, err := reader.Minutes(ctx, from, to)
	return all.Items, err
}

// A resent holds the totals of a replay.
type resent struct {
	Minutes          int         `json:"minutes"` // minutes by subscription and model
	Calls            int64       `json:"calls"`
	PromptTokens     int64       `json:"promptTokens"`
	CompletionTokens int64       `json:"completionTokens"`
	Cost             limit.Money `json:"cost"`
}

// replaySettings say how metrics are sent again.
type replaySettings struct {
	dimensions []telemetry.Dimension
	currency   string // of costs
}

// resend sends the metrics of minutes' tokens and costs. Its error says how many items may not
// have arrived.
func resend(ctx context.Context, used []ledger.Usage, how replaySettings, sink telemetry.Sink, timeout time.Duration) (resent, error) {
	var sent resent
	var items int
	for minutes := range slices.Chunk(used, 1000) {
		var batch telemetry.Batch
		for _, u := range minutes {
			if u.Tokens() == 0 && u.Cost == 0 {
				continue
			}
			sent.Minutes, sent.Calls = sent.Minutes+1, sent.Calls+u.Calls
			sent.PromptTokens, sent.CompletionTokens = sent.PromptTokens+u.PromptTokens, sent.CompletionTokens+u.CompletionTokens
			sent.Cost += limit.Money(u.Cost)
			batch.Metrics = append(batch.Metrics, how.replayed(u)...)
		}
		items += len(batch.Metrics)
		sink.Send(batch)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := sink.Close(ctx); err != nil {
		return sent, fmt.Errorf("not all was sent; the warnings above say why: %w", err)
	}
	var lost int64
	for _, n := range sink.Dropped() {
		lost += n
	}
	if lost > 0 {
		return sent, fmt.Errorf("%d of %d items were not accepted; the warnings above say why", lost, items)
	}
	return sent, nil
}

// replayed returns the metrics of one minute. The usage of single calls is no longer
// known, so each counts as the mean. Calls without a price have no part in the cost.
func (how replaySettings) replayed(u ledger.Usage) []telemetry.Metric {
	sum := telemetry.Usage{Currency: how.currency, Priced: u.Cost > 0,
		Usage: limit.Usage{PromptTokens: u.PromptTokens, CachedTokens: u.CachedTokens, CompletionTokens: u.CompletionTokens, ReasoningTokens: u.ReasoningTokens, Cost: u.Cost}}
	var all []telemetry.Metric
	for _, v := range sum.Values() {
		calls := u.Calls
		dimensions := map[string]string{telemetry.ReplayedDimension: "true"}
		if v.Name == telemetry.Cost {
			calls -= u.Unpriced
			dimensions[telemetry.CurrencyDimension] = v.Currency
		}
		calls = max(calls, 1) // a minute may have only late usage of earlier calls
		for _, d := range how.dimensions {
			dimensions[d.Name] = d.Of(u.Subscription, u.Model, telemetry.Place{})
		}
		dimensions["Subscription ID"] = u.Subscription
		maps.DeleteFunc(dimensions, func(_, value string) bool { return value == "" })
		mean := v.Amount / float64(calls)
		all = append(all, telemetry.Metric{Name: v.Name, At: u.Time(), Sum: v.Amount, Min: mean, Max: mean, Count: int(calls), Dimensions: dimensions})
	}
	return all
}
