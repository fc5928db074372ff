package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

func (a *app) usageCommand() *cobra.Command {
	var asked usageFlags
	cmd := &cobra.Command{
		Use:   "usage [SUBSCRIPTION]",
		Short: "Show what subscriptions use: now, or by minute, hour, day or month",
		Long: `Show the current state of counters, of one subscription or of all; with --by,
what subscriptions used, by model and minute, hour, day or month. By minute or
hour name a subscription, or add up all with --sum. "Used" includes what running
calls have reserved. Tokens that gateways have leased are neither used nor left.
Gateways report within ten seconds of a call, days within five minutes. All
times are UTC.`,
		Example: `  tollgate usage
  tollgate usage team-a
  tollgate usage --search model=DeepSeek-R1
  tollgate usage team-a --by minute --from 2h
  tollgate usage --by day --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --csv > january.csv
  tollgate usage --by hour --sum`,
		Args: atMost("SUBSCRIPTION"), ValidArgsFunction: a.ids(subscriptionIDs),
	}
	flags := cmd.Flags()
	flags.StringVar(&asked.by, "by", "", "minute, hour, day or month (default: the current state)")
	flags.StringVar(&asked.from, "from", "", "a time, or how long ago, such as 48h (default: 1h by minute, 24h by hour, 720h by day, 8760h by month)")
	flags.StringVar(&asked.to, "to", "", "a time, or how long ago (default: now)")
	flags.StringVar(&asked.tier, "tier", "", "only counters that a tier's subscriptions share; with --by, only its subscriptions")
	flags.StringVar(&asked.search, "search", "", "only counters with this text in their key")
	flags.BoolVar(&asked.sum, "sum", false, "add up all subscriptions")
	flags.BoolVar(&asked.csv, "csv", false, "print comma-separated values, with full numbers")
	complete(cmd, "by", "minute", "hour", "day", "month")
	a.completeTier(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{}
		set(query, "tier", asked.tier)
		if len(args) > 0 {
			query.Set("subscription", args[0])
		}
		if asked.by != "" {
			return a.usageHistory(cmd, asked, query)
		}
		if asked.from != "" || asked.to != "" || asked.sum {
			return &usageError{cmd.CommandPath(), "--from, --to and --sum are for the history: add --by minute, hour, day or month"}
		}
		set(query, "search", asked.search)
		return a.usageNow(cmd, query, asked.csv)
	}
	return cmd
}

// usageFlags holds the flags of usage.
type usageFlags struct {
	by, from, to, tier, search string
	sum, csv                   bool
}

// atMost allows the argument that a usage line names, or none.
func atMost(name string) cobra.PositionalArgs {
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
	standings, err := all[manage.Standing](cmd.Context(), a, c, "/usage", query)
	if err != nil {
		return err
	}
	if len(standings) == 0 {
		note, err := why(cmd.Context(), c, query, when(query.Get("tier")+query.Get("search") == "", "Nothing has been counted yet.", "No counter matches."))
		if err != nil {
			return err
		}
		a.note("%s", note)
	}
	if asCSV {
		return writeCSV(a.stdout, []string{"counter", "subscription", "tier", "minute_limit", "minute_used", "quota_limit", "quota_used", "quota_resets",
			"problem"}, standings, standingCells)
	}
	return a.print(listed(standings), func(w io.Writer) { printStandings(w, standings) })
}

// why explains an empty result: the subscription doesn't exist, or it shares a counter
// with others of its tier. Otherwise it returns the note.
func why(ctx context.Context, c *client, query url.Values, note string) (string, error) {
	id := query.Get("subscription")
	if id == "" {
		return note, nil
	}
	var account subscription.Account
	if err := c.do(ctx, request{method: http.MethodGet, path: subscriptionPath(id)}, &account); err != nil {
		return "", err
	}
	account.Limits.Normalize()
	if !account.Limits.CounterKey.Shared() {
		return note, nil
	}
	return fmt.Sprintf("%s is counted by %s, together with its tier: see 'tollgate usage --tier %s'.", id, account.Limits.CounterKey, account.Tier), nil
}

func standingCells(s manage.Standing) []string {
	cells := []string{s.Counter, s.Subscription, s.Tier, "", "", "", "", ""}
	if s.Problem != "" { // empty, not 0, if the counter can't be read
		return append(cells, s.Problem)
	}
	if s.Minute != nil {
		cells[3], cells[4] = plain(s.Minute.Limit), plain(s.Minute.Used)
	}
	if s.Quota != nil {
		cells[5], cells[6], cells[7] = plain(s.Quota.Limit), plain(s.Quota.Used), s.Quota.ResetAt.UTC().Format(time.RFC3339)
	}
	return append(cells, "")
}

// printStandings prints the counters' state as a table.
func printStandings(w io.Writer, standings []manage.Standing) {
	row(w, "COUNTER", "THIS MINUTE", "LEFT", "QUOTA", "LEFT", "QUOTA RESETS")
	for _, s := range standings {
		if s.Problem != "" {
			row(w, s.Counter, s.Problem)
			continue
		}
		minute, minuteLeft := window(s.Minute)
		quota, quotaLeft := window(s.Quota)
		resets := ""
		if s.Quota != nil {
			quota += " " + s.QuotaPeriod
			resets = date(s.Quota.ResetAt)
		}
		row(w, s.Counter, minute, minuteLeft, quota, quotaLeft, resets)
	}
}

// window formats a limit as used/limit and as what is left, which is negative if tokens
// are owed.
func window(at *manage.Window) (used, left string) {
	if at == nil {
		return "", ""
	}
	return short(at.Used) + "/" + short(at.Limit), short(at.Left - at.Owed)
}

func (a *app) usageHistory(cmd *cobra.Command, asked usageFlags, query url.Values) error {
	if asked.search != "" {
		return &usageError{cmd.CommandPath(), "--search is for the current state: name a subscription, or remove --by"}
	}
	query.Set("by", asked.by)
	set(query, "from", asked.from)
	set(query, "to", asked.to)
	query.Set("sum", when(asked.sum, "all", "subscriptions"))
	var history struct {
		From  time.Time     `json:"from"`
		To    time.Time     `json:"to"`
		By    string        `json:"by"`
		Items []manage.Span `json:"items"`
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	a.progress("reading the ledger")
	err = c.do(cmd.Context(), request{method: http.MethodGet, path: "/usage/history", query: query}, &history)
	a.progress("")
	if err != nil {
		return err
	}
	if len(history.Items) == 0 {
		note, err := why(cmd.Context(), c, query, fmt.Sprintf("There was no usage from %s to %s.", date(history.From), date(history.To)))
		if err != nil {
			return err
		}
		a.note("%s", note)
	}
	if asked.csv {
		return writeCSV(a.stdout, []string{"from", "subscription", "model", "prompt_tokens", "completion_tokens", "total_tokens", "requests", "refused"}, history.Items, func(s manage.Span) []string {
			return []string{s.From.UTC().Format(time.RFC3339), s.Subscription, s.Model, plain(s.PromptTokens), plain(s.CompletionTokens), plain(s.TotalTokens), plain(s.Requests), plain(s.Refused)}
		})
	}
	return a.print(history, func(w io.Writer) {
		row(w, "FROM", "SUBSCRIPTION", "MODEL", "PROMPT", "COMPLETION", "TOKENS", "CALLS", "REFUSED")
		for _, s := range history.Items {
			row(w, date(s.From), when(s.Subscription != "", s.Subscription, "all"), s.Model, short(s.PromptTokens), short(s.CompletionTokens), short(s.TotalTokens), short(s.Requests), short(s.Refused))
		}
	})
}

func plain(n int64) string { return strconv.FormatInt(n, 10) }

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
