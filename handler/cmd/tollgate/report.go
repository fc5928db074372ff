package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/ledger"
	"tollgate/handler/limit"
	"tollgate/handler/manage"
)

func (a *app) reportCommand() *cobra.Command {
	var month, csvFile, htmlFile string
	cmd := &cobra.Command{
		Use:   "report --month MONTH",
		Short: "Report what a month's calls used and cost",
		Long: `Report what the calls of a UTC month used and cost, by group, subscription and
model: as a table, as comma-separated values, or as a page to print.

A group includes the groups below it, by the groups that subscriptions are in now.
Deleted subscriptions are listed by their ids, without a group. Costs use the
prices in effect when calls started; calls without a price are counted separately.
A month that isn't over is marked as running, and is up to 5 minutes behind. Days are kept
for USAGE_RETENTION.`,
		Example: `  tollgate report --month 2026-11
  tollgate report --month 2026-11 --csv november.csv --html november.html`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if month == "" {
				return &usageError{cmd.CommandPath(), "--month is missing: give one such as 2026-11"}
			}
			return a.report(cmd, month, csvFile, htmlFile)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&month, "month", "", "the UTC month, such as 2026-11")
	flags.StringVar(&csvFile, "csv", "", "write comma-separated values to this file, with full numbers; -: to stdout")
	flags.StringVar(&htmlFile, "html", "", "write a page to print to this file; -: to stdout")
	return cmd
}

// report prints the report of a month, or writes it to the files that aren't empty.
func (a *app) report(cmd *cobra.Command, month, csvFile, htmlFile string) error {
	var read manage.Report
	a.progress("reading usage")
	err := a.call(cmd, request{method: http.MethodGet, path: "/report", query: url.Values{"month": {month}}}, &read)
	a.progress("")
	if err != nil {
		return err
	}
	read.Deployment = cmp.Or(read.Deployment, a.server())
	r := shownReport{read}
	if len(r.Items) == 0 {
		a.note("There was no usage in %s.", r.Month)
	}
	if !r.IncompleteBefore.IsZero() {
		a.warn([]string{"the report is incomplete: days before " + r.IncompleteBefore.Format(time.DateOnly) + " are older than USAGE_RETENTION and may have been deleted"})
	}
	if csvFile == "" && htmlFile == "" {
		return a.print(r.Report, r.print)
	}
	if csvFile != "" {
		if err := a.write(csvFile, r.writeCSV); err != nil {
			return err
		}
	}
	if htmlFile != "" {
		return a.write(htmlFile, r.writeHTML)
	}
	return nil
}

// write writes a file, or to stdout if its name is a dash.
func (a *app) write(file string, content func(io.Writer) error) error {
	if file == "-" {
		return content(a.stdout)
	}
	var text bytes.Buffer
	if err := content(&text); err != nil {
		return err
	}
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		return err
	}
	a.note("Wrote %s.", file)
	return nil
}

// A shownReport is a report with what its table, its CSV and its page share.
type shownReport struct{ manage.Report }

// Title returns the report's title: its month, and whether it shows costs.
func (r shownReport) Title() string {
	return ifElse(r.Currency == "", "Usage in ", "Usage and cost in ") + r.Month + ifElse(r.Running, " (running)", "")
}

// digits returns how many digits after the point all costs are shown with, so that they can
// be compared and lose nothing: at least two.
func (r shownReport) digits() int {
	most := 2
	for _, i := range r.Items {
		_, fraction, _ := strings.Cut(i.Used.Cost.String(), ".")
		most = max(most, len(fraction))
	}
	return most
}

// money returns a function that writes costs.
func (r shownReport) money() func(limit.Money) string {
	digits := r.digits()
	return func(m limit.Money) string {
		whole, fraction, _ := strings.Cut(m.String(), ".")
		return groupDigits(whole) + "." + fraction + strings.Repeat("0", max(0, digits-len(fraction)))
	}
}

// full formats a number with thousands separators.
func full(n int64) string { return cmp.Or(number(n), "0") }

// groupName names a group by its path.
func groupName(path string) string { return cmp.Or(path, "(no group)") }

// print prints the report as two tables.
func (r shownReport) print(w io.Writer) {
	money := r.money()
	cells := func(p manage.Part) []string {
		u := p.Used
		all := []string{full(u.Calls), full(u.PromptTokens), full(u.CachedTokens), full(u.CacheWriteTokens), full(u.CompletionTokens), full(u.ReasoningTokens)}
		if r.Currency != "" {
			all = append(all, money(u.Cost), full(u.Unpriced))
		}
		return append(all, p.Share+"%")
	}
	heads := []string{"CALLS", "PROMPT", "CACHED", "CACHE WRITES", "COMPLETION", "REASONING"}
	if r.Currency != "" {
		heads = append(heads, r.Currency, "UNPRICED")
	}
	heads = append(heads, "SHARE OF "+strings.ToUpper(r.ShareOf))
	fmt.Fprintf(w, "%s%s, created %s\n\n", r.Title(), ifElse(r.Deployment == "", "", " of "+clean(r.Deployment)), date(r.MadeAt))
	row(w, append([]string{"GROUP, WITH THOSE BELOW"}, heads...)...)
	for _, g := range r.Groups {
		row(w, append([]string{groupName(g.Group)}, cells(g.Part)...)...)
	}
	row(w, append([]string{"total"}, cells(r.Total)...)...)
	fmt.Fprintln(w)
	row(w, append([]string{"GROUP", "SUBSCRIPTION", "MODEL"}, heads...)...)
	for _, i := range r.Items {
		row(w, append([]string{groupName(i.Group), i.Subscription + ifElse(i.Deleted, " (deleted)", ""), i.Model}, cells(i.Part)...)...)
	}
}

// writeCSV writes a row for each group, subscription and model.
func (r shownReport) writeCSV(w io.Writer) error {
	return writeCSV(w, []string{"month", "running", "group", "subscription", "subscription_name", "deleted", "model", "calls", "unpriced", "prompt_tokens", "cached_tokens", "cache_write_tokens",
		"completion_tokens", "reasoning_tokens", "total_tokens", "cost", "currency", "share_percent"}, r.Items,
		func(i manage.ReportItem) []string {
			return append([]string{r.Month, ifElse(r.Running, "true", "false"), i.Group, i.Subscription, csvCell(i.Name), ifElse(i.Deleted, "true", "false"), csvCell(i.Model)},
				append(usedCells(i.Used), r.Currency, i.Share)...)
		})
}

// usedCells returns the CSV cells of usage.
func usedCells(u ledger.Counts) []string {
	return []string{plain(u.Calls), plain(u.Unpriced), plain(u.PromptTokens), plain(u.CachedTokens), plain(u.CacheWriteTokens), plain(u.CompletionTokens), plain(u.ReasoningTokens), plain(u.TotalTokens), u.Cost.String()}
}
