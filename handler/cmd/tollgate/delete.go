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

Without --yes it first lists what it will delete or move, and asks.`,
		Example: fmt.Sprintf("  tollgate %s delete old\n  tollgate %[1]s delete old --force --yes", kind),
		Args:    exactArgs("ID"), ValidArgsFunction: a.completeID(list),
	}
	force := cmd.Flags().Bool("force", false, "also delete or move what uses it")
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
		var deletion subscription.Deletion
		if err := a.call(cmd, request{method: http.MethodDelete, path: path(id), query: query}, &deletion); err != nil {
			return err
		}
		a.note("The %s %s is deleted; gateways learn of it within a minute.", kind, id)
		return a.print(deletion, func(w io.Writer) {
			for _, line := range consequences(deletion, "") {
				fmt.Fprintln(w, clean(line))
			}
		})
	}
	return cmd
}

// confirmDelete lists what else a deletion would delete or move, and asks whether to go on.
func (a *app) confirmDelete(cmd *cobra.Command, kind, id, path string, query url.Values) error {
	query = clone(query)
	query.Set("dryRun", "true")
	var would subscription.Deletion
	if err := a.call(cmd, request{method: http.MethodDelete, path: path, query: query}, &would); err != nil {
		return err
	}
	for _, line := range consequences(would, "will be ") {
		fmt.Fprintln(a.stderr, clean(line))
	}
	return a.confirm(false, fmt.Sprintf("Delete the %s %s?", kind, id), "deleted")
}

// consequences lists what else a deletion deletes or moves, one kind a line. tense precedes the
// verb: "will be ", or nothing once it is done.
func consequences(d subscription.Deletion, tense string) (lines []string) {
	add := func(what string, ids []string, to string) {
		if len(ids) > 0 {
			lines = append(lines, fmt.Sprintf("%d %s%s %s%s: %s", len(ids), what, ifElse(len(ids) == 1, "", "s"), tense, to, strings.Join(ids, ", ")))
		}
	}
	to := ifElse(d.MovedTo == "", "left without a group", "moved to the group "+d.MovedTo)
	add("subscription", d.Subscriptions, "deleted too")
	add("group", d.MovedGroups, to)
	add("subscription", d.MovedSubscriptions, to)
	if d.Keys > 0 {
		lines = append(lines, fmt.Sprintf("%d key%s %sdeleted too", d.Keys, ifElse(d.Keys == 1, "", "s"), tense))
	}
	return lines
}
