package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

// deleteCommand returns the command that deletes a tier, group or subscription.
func (a *app) deleteCommand(kind string, path func(id string) string, list func(context.Context, *app) ([]string, error), long string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete ID", Short: "Delete a " + kind,
		Long: long + `

Without --yes it first says what it will delete, and asks.`,
		Example: fmt.Sprintf("  tollgate %s delete old\n  tollgate %[1]s delete old --force --yes", kind),
		Args:    named("ID"), ValidArgsFunction: a.ids(list),
	}
	force := cmd.Flags().Bool("force", false, "take along what uses it")
	yes := cmd.Flags().Bool("yes", false, "don't ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, query := args[0], url.Values{}
		if *force {
			query.Set("force", "true")
		}
		if !*yes {
			if err := a.confirmDelete(cmd, kind, id, path(id), query); err != nil {
				return err
			}
		}
		var taken subscription.Deletion
		if err := a.ask(cmd, request{method: http.MethodDelete, path: path(id), query: query}, &taken); err != nil {
			return err
		}
		a.note("The %s %s is deleted; gateways know it within a minute.", kind, id)
		return a.print(taken, func(w io.Writer) {
			for _, line := range takenAlong(taken, "") {
				fmt.Fprintln(w, clean(line))
			}
		})
	}
	return cmd
}

// confirmDelete lists everything that a deletion would take along, and asks whether to go on.
func (a *app) confirmDelete(cmd *cobra.Command, kind, id, path string, query url.Values) error {
	query = clone(query)
	query.Set("dryRun", "true")
	var would subscription.Deletion
	if err := a.ask(cmd, request{method: http.MethodDelete, path: path, query: query}, &would); err != nil {
		return err
	}
	for _, line := range takenAlong(would, "will be ") {
		fmt.Fprintln(a.stderr, clean(line))
	}
	return a.confirm(false, fmt.Sprintf("Delete the %s %s?", kind, id), "deleted")
}

// takenAlong lists everything that a deletion takes along, a line each. tense precedes what is done
// to it: "will be ", or nothing once it is done.
func takenAlong(d subscription.Deletion, tense string) (lines []string) {
	add := func(what string, ids []string, to string) {
		if len(ids) > 0 {
			lines = append(lines, fmt.Sprintf("%d %s%s %s%s: %s", len(ids), what, when(len(ids) == 1, "", "s"), tense, to, strings.Join(ids, ", ")))
		}
	}
	to := when(d.MovedTo == "", "moved out of the group, to none", "moved to the group "+d.MovedTo)
	add("subscription", d.Subscriptions, "deleted along")
	add("group", d.MovedGroups, to)
	add("subscription", d.MovedSubscriptions, to)
	if d.Keys > 0 {
		lines = append(lines, fmt.Sprintf("%d key%s %sdeleted along", d.Keys, when(d.Keys == 1, "", "s"), tense))
	}
	return lines
}
