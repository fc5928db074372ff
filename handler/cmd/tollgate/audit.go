package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

func (a *app) auditCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "audit [TARGET]",
		Short: "List changes, newest first: who, what, when",
		Long: `List what operators changed, newest first: everything, or one tier, group or
subscription. The outcome is unknown if the answer to a change was lost.
A request that would change nothing is not recorded.`,
		Example: "  tollgate audit\n  tollgate audit team-a --limit 10",
		Args:    atMostOne("TARGET"), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "the number of changes to list, at most 1000")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query := url.Values{"limit": {strconv.Itoa(limit)}}
		if len(args) > 0 {
			query.Set("target", args[0])
		}
		var page struct{ Items []manage.Event }
		if err := a.call(cmd, request{method: http.MethodGet, path: "/audit", query: query}, &page); err != nil {
			return err
		}
		return a.print(notNil(page.Items), func(w io.Writer) {
			row(w, "WHEN", "WHO", "ACTION", "TARGET", "CHANGES", "OUTCOME")
			for _, e := range page.Items {
				row(w, date(e.When), e.Who, e.Action, e.Target, formatChanges(e.Changes), string(e.Outcome))
			}
		})
	}
	return cmd
}

// formatChanges formats the changed fields on one line.
func formatChanges(all map[string]manage.Change) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch c := all[name]; {
		case c.From == nil:
			parts = append(parts, fmt.Sprintf("%s %s", name, formatValue(name, c.To)))
		case c.To == nil:
			parts = append(parts, fmt.Sprintf("%s no longer %s", name, formatValue(name, c.From)))
		default:
			parts = append(parts, fmt.Sprintf("%s from %s to %s", name, formatValue(name, c.From), formatValue(name, c.To)))
		}
	}
	return strings.Join(parts, ", ")
}

// formatValue formats a field's value: limits as the command line writes them, others as JSON.
func formatValue(field string, v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	var limits []subscription.Limit
	if field == "limits" && json.Unmarshal(text, &limits) == nil {
		return joinLimits(limits)
	}
	return string(text)
}
