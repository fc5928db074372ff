package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/ledger"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

func (a *app) usageCommand() *cobra.Command {
	var options usageFlags
	cmd := &cobra.Command{
		Use:   "usage [SUBSCRIPTION]",
		Short: "Show the state of limits, or usage by minute, hour, day or month",
		Long: `Show the state of the limits of one subscription or of all; with --by, show
usage. All times are UTC.

"Used" includes what running calls have reserved. "Held" is leased to gateways:
they may hand it out or give it back. Gateways report within some seconds.

Usage is shown for whole minutes, hours, days or months; those that aren't over
are marked as running. By minute and hour it is some seconds behind the calls, by
day and month up to 5 minutes. Minutes are kept for 7 days, hours for 60, days for
USAGE_RETENTION. Usage by minute and hour is that of one subscription, of the
members of a tier or group, or of all subscriptions added up.`,
		Example: `  tollgate usage
  tollgate usage team-a
  tollgate usage --search model=DeepSeek-R1
  tollgate usage team-a --by minute --from 2h
  tollgate usage --by hour --tier gold --models
  tollgate usage --group research
  tollgate usage --by month --from 2026-01 --to 2026-02 --models --csv > january.csv`,
		Args: atMostOne("SUBSCRIPTION"), ValidArgsFunction: a.completeID(subscriptionIDs),
	}
	flags := cmd.Flags()
	flags.StringVar(&options.by, "by", "", "minute, hour, day or month (default: the state of limits)")
	flags.StringVar(&options.from, "from", "", "a time, or how long ago, such as 48h (default: 1h by minute, 24h by hour, 30d by day, 365d by month)")
	flags.StringVar(&options.to, "to", "", "a time, or how long ago (default: now)")
	flags.StringVar(&options.tier, "tier", "", "only what a tier's subscriptions use and share")
	flags.StringVar(&options.group, "group", "", "only what subscriptions below a group use and share")
	flags.StringVar(&options.search, "search", "", "only counters with this text in their key")
	flags.BoolVar(&options.sum, "sum", false, "add up all subscriptions")
	flags.BoolVar(&options.models, "models", false, "show each model")
	flags.BoolVar(&options.csv, "csv", false, "print comma-separated values, with full numbers")
	complete(cmd, "by", "minute", "hour", "day", "month")
	a.completeTier(cmd)
	a.completeGroup(cmd, "group")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{}
		set(query, "tier", options.tier)
		set(query, "group", options.group)
		if len(args) > 0 {
			query.Set("subscription", args[0])
		}
		if options.by != "" {
			return a.usageHistory(cmd, options, query)
		}
		if options.from != "" || options.to != "" || options.sum || options.models {
			return &usageError{cmd.CommandPath(), "--from, --to, --sum and --models are for usage: add --by minute, hour, day or month"}
		}
		set(query, "search", options.search)
		return a.usageNow(cmd, query, options.csv)
	}
	return cmd
}

// usageFlags holds the flags of usage.
type usageFlags struct {
	by, from, to, tier, group, search string
	sum, models, csv                  bool
}

// atMostOne allows the argument that a usage line names, or none.
func atMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return &usageError{cmd.CommandPath(), fmt.Sprintf("%q is one argument too many: give one %s", args[1], name)}
		}
		return nil
	}
}

func (a *app) usageNow(cmd *cobra.Command, query url.Values, asCSV bool) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	standings, err := readPages[manage.Standing](cmd.Context(), a, c, "/usage", query)
	if err != nil {
		return err
	}
	if len(standings) == 0 {
		note, err := explainEmpty(cmd.Context(), c, query, ifElse(query.Get("tier")+query.Get("group")+query.Get("search") == "", "Nothing has been counted yet.", "No counter matches."))
		if err != nil {
			return err
		}
		a.note("%s", note)
	}
	if asCSV {
		return writeCSV(a.stdout, []string{"counter", "subscription", "tier", "group", "limit", "unit", "minute_limit", "minute_used", "minute_held", "minute_left",
			"quota_limit", "quota_used", "quota_held", "quota_left", "quota_resets", "problem"}, standings, standingCells)
	}
	return a.print(notNil(standings), func(w io.Writer) { printStandings(w, standings) })
}

// explainEmpty returns a note about an empty result: that the subscription shares its counters
// with others of its tier, or else the given note. If the subscription doesn't exist, it returns
// an error.
func explainEmpty(ctx context.Context, c *client, query url.Values, note string) (string, error) {
	id := query.Get("subscription")
	if id == "" {
		return note, nil
	}
	var details subscription.Details
	if err := c.do(ctx, request{method: http.MethodGet, path: subscriptionPath(id)}, &details); err != nil {
		return "", err
	}
	for _, l := range details.Rules.Limits {
		if l.CounterKey == "" || l.CounterKey.Has(subscription.SubscriptionPart) {
			return note, nil
		}
	}
	if len(details.Rules.Limits) == 0 {
		return note, nil
	}
	return fmt.Sprintf("%s shares its counters with others of its tier: see 'tollgate usage --tier %s'.", id, details.Tier), nil
}

// standingCells returns the CSV cells of a counter.
func standingCells(s manage.Standing) []string {
	cells := []string{s.Counter, s.Subscription, s.Tier, s.Group, s.Limit, string(s.Unit)}
	cells = append(append(cells, windowCells(s.Minute)...), windowCells(s.Quota)...)
	resets := ""
	if s.Quota != nil {
		resets = s.Quota.ResetAt.UTC().Format(time.RFC3339)
	}
	return append(cells, resets, s.Problem)
}

// windowCells returns a limit's cells, empty, not 0, if there is none.
func windowCells(at *manage.Window) []string {
	if at == nil {
		return make([]string, 4)
	}
	return []string{at.Limit.String(), at.Used.String(), at.Held.String(), at.Left.String()}
}

// printStandings prints the state of counters as a table.
func printStandings(w io.Writer, standings []manage.Standing) {
	row(w, "COUNTER", "UNIT", "THIS MINUTE", "HELD", "LEFT", "QUOTA", "HELD", "LEFT", "QUOTA RESETS")
	for _, s := range standings {
		if s.Problem != "" {
			row(w, s.Counter, s.Problem)
			continue
		}
		minute, minuteHeld, minuteLeft := window(s.Minute)
		quota, quotaHeld, quotaLeft := window(s.Quota)
		resets := ""
		if s.Quota != nil {
			quota += " " + s.QuotaPeriod
			resets = date(s.Quota.ResetAt)
		}
		row(w, s.Counter, string(s.Unit)+ifElse(s.Gone, " (no such limit any more)", ""), minute, minuteHeld, minuteLeft, quota, quotaHeld, quotaLeft, resets)
	}
}

// window formats a limit as used/limit, as what gateways hold, and as what is left, which
// is negative if anything is owed.
func window(at *manage.Window) (used, held, left string) {
	if at == nil {
		return "", "", ""
	}
	net := limit.Amount{N: at.Left.N - at.Owed.N, Unit: at.Left.Unit}
	return shortAmount(at.Used) + "/" + shortAmount(at.Limit), shortAmount(at.Held), shortAmount(net)
}

// shortAmount abbreviates an amount; of money, it doesn't.
func shortAmount(a limit.Amount) string {
	if a.Unit == limit.Cost {
		return a.String()
	}
	return short(a.N)
}

func (a *app) usageHistory(cmd *cobra.Command, options usageFlags, query url.Values) error {
	if options.search != "" {
		return &usageError{cmd.CommandPath(), "--search finds counters: name a subscription, or remove --by"}
	}
	query.Set("by", options.by)
	set(query, "from", options.from)
	set(query, "to", options.to)
	set(query, "sum", ifElse(options.sum, "all", ""))
	set(query, "models", ifElse(options.models, "each", ""))
	c, err := a.client()
	if err != nil {
		return err
	}
	var history manage.History
	a.progress("reading usage")
	err = c.do(cmd.Context(), request{method: http.MethodGet, path: "/usage/history", query: query}, &history)
	a.progress("")
	if err != nil {
		return err
	}
	if len(history.Items) == 0 {
		a.note("There was no usage from %s to %s.", date(history.From), date(history.To))
	}
	if options.csv {
		return writeCSV(a.stdout, []string{"from", "running", "subscription", "model", "prompt_tokens", "cached_tokens", "cache_write_tokens", "completion_tokens", "reasoning_tokens", "total_tokens",
			"calls", "failed", "unknown_usage", "refused", "shadowed", "cost", "currency", "unpriced"}, history.Items,
			func(s manage.Span) []string { return spanCells(s, history.Currency) })
	}
	if !history.WrittenAt.IsZero() {
		a.note("The running day was written at %s.", date(history.WrittenAt))
	}
	return a.print(history, func(w io.Writer) { printSpans(w, history, options.models) })
}

// spanCells returns the CSV cells of a span.
func spanCells(s manage.Span, currency string) []string {
	return []string{s.From.UTC().Format(time.RFC3339), ifElse(s.Running, "true", "false"), s.Subscription, csvCell(s.Model),
		plain(s.PromptTokens), plain(s.CachedTokens), plain(s.CacheWriteTokens), plain(s.CompletionTokens), plain(s.ReasoningTokens), plain(s.TotalTokens),
		plain(s.Calls), plain(s.Failed), plain(s.UnknownUsage), plain(s.Refused), plain(s.Shadowed), s.Cost.String(), currency, plain(s.Unpriced)}
}

// printSpans prints usage as a table, with a sum if there are several rows, and
// with costs if the deployment has a currency.
func printSpans(w io.Writer, history manage.History, models bool) {
	print := func(from, subscription, model string, r ledger.Counts) {
		cells := []string{from, subscription}
		if models {
			cells = append(cells, model)
		}
		cells = append(cells, short(r.PromptTokens), short(r.CachedTokens), short(r.CompletionTokens), short(r.ReasoningTokens), short(r.TotalTokens), short(r.Calls), short(r.Refused), short(r.Shadowed))
		if history.Currency != "" {
			cells = append(cells, r.Cost.String(), short(r.Unpriced))
		}
		row(w, cells...)
	}
	heads := []string{"FROM", "SUBSCRIPTION", "MODEL", "PROMPT", "CACHED", "COMPLETION", "REASONING", "TOKENS", "CALLS", "REFUSED", "SHADOWED"}
	if !models {
		heads = slices.Delete(heads, 2, 3)
	}
	if history.Currency != "" {
		heads = append(heads, history.Currency, "UNPRICED")
	}
	row(w, heads...)
	var sum ledger.Totals
	for _, s := range history.Items {
		print(date(s.From)+ifElse(s.Running, " (running)", ""), cmp.Or(s.Subscription, "all"), s.Model, s.Counts)
		sum.Add(s.Totals())
	}
	if len(history.Items) > 1 {
		print("total", "", "", sum.Counts())
	}
}

// plain formats a number for programs.
func plain(n int64) string { return strconv.FormatInt(n, 10) }

// csvCell returns a text that others choose, with an apostrophe before it if a spreadsheet
// would take it for a formula. Source: https://owasp.org/www-community/attacks/CSV_Injection
func csvCell(text string) string {
	if text != "" && strings.Contains("=+-@\t\r", text[:1]) {
		return "'" + text
	}
	return text
}

// writeCSV writes a header, and a row of cells for each item.
func writeCSV[T any](w io.Writer, header []string, items []T, cells func(T) []string) error {
	out := csv.NewWriter(w)
	if err := out.Write(header); err != nil {
		return err
	}
	for _, item := range items {
		if err := out.Write(cells(item)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
