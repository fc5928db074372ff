package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

func (a *app) groupCommand() *cobra.Command {
	return commandGroup("group", "Teams, departments and organizations with limits of their own",
		`A group is a team, a department or an organization. Subscriptions belong to
groups, and a group may be part of another, at most 4 deep. A group's limits are
shared by all subscriptions below it; each call must pass those of its tier and of
all its groups. Changes take effect within a minute.`,
		`  tollgate group create org --limit 'cost 5000/month alert 80,95'
  tollgate group create research --parent org --limit 'tokens 50000/minute'
  tollgate subscription set team-a --group research`,
		a.groupCreate(), a.groupSet(), a.groupShow(), a.groupList(), a.groupSuspend(true), a.groupSuspend(false), a.groupDelete())
}

// groupFlags holds the flags that create and set share.
type groupFlags struct {
	name, parent string
	limits       *limitListFlags
}

func (a *app) groupFlags(cmd *cobra.Command) *groupFlags {
	f := &groupFlags{}
	cmd.Flags().StringVar(&f.name, "name", "", "a display name")
	cmd.Flags().StringVar(&f.parent, "parent", "", `the group that it is part of; "": none`)
	f.limits = addLimitList(cmd)
	a.completeGroup(cmd, "parent")
	return f
}

// completeGroup completes a flag that names a group.
func (a *app) completeGroup(cmd *cobra.Command, flag string) {
	a.completeIDs(cmd, flag, groupIDs)
}

// changes returns the given flags, except those of limits, as a merge patch.
func (f *groupFlags) changes(cmd *cobra.Command) map[string]any {
	given := make(map[string]any)
	if cmd.Flags().Changed("name") {
		given["name"] = f.name
	}
	if cmd.Flags().Changed("parent") {
		given["parent"] = f.parent
	}
	return given
}

func (a *app) groupCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create ID", Short: "Create a group",
		Long: "Create a group. A limit is written as\n\n" + limitSyntax,
		Example: `  tollgate group create org --name "The organization" --limit 'cost 5000/month alert 80,95'
  tollgate group create research --parent org --limits-file limits.json`,
		Args: exactArgs("ID"), ValidArgsFunction: cobra.NoFileCompletions,
	}
	given := a.groupFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body := given.changes(cmd)
		file, err := given.limits.readFile(cmd)
		if err == nil {
			body["limits"], err = given.limits.edit(cmd, nil, file)
		}
		if err != nil {
			return err
		}
		var made subscription.Group
		if err := a.call(cmd, request{method: http.MethodPut, path: groupPath(args[0]), body: body, mustNotExist: true}, &made); err != nil {
			return err
		}
		a.note("Created; subscriptions join it with 'tollgate subscription set ID --group %s'.", made.ID)
		a.warnOfPrices(cmd, subscription.Rules{Limits: made.Limits})
		return a.printGroup(made)
	}
	return cmd
}

func (a *app) groupSet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set ID", Short: "Change the given values of a group",
		Long: "Change the given values of a group. A limit is written as\n\n" + limitSyntax,
		Example: `  tollgate group set research --limit 'calls 600/minute' --remove-limit tokens
  tollgate group set research --parent org`,
		Args: exactArgs("ID"), ValidArgsFunction: a.completeID(groupIDs),
	}
	given := a.groupFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		changes := given.changes(cmd)
		if len(changes) == 0 && !given.limits.given() {
			return &usageError{cmd.CommandPath(), "there is nothing to change: give --name, --parent or a limit"}
		}
		changed, err := a.changeGroup(cmd, args[0], changes, given.limits)
		if err != nil {
			return err
		}
		a.note(takenUp)
		a.warnOfPrices(cmd, subscription.Rules{Limits: changed.Limits})
		return a.printGroup(changed)
	}
	return cmd
}

// changeGroup changes a group's values, and its list of limits if it is to be edited.
func (a *app) changeGroup(cmd *cobra.Command, id string, changes map[string]any, limits *limitListFlags) (changed subscription.Group, err error) {
	if !limits.given() {
		err = a.call(cmd, request{method: http.MethodPatch, path: groupPath(id), body: changes}, &changed)
		return changed, err
	}
	file, err := limits.readFile(cmd)
	if err != nil {
		return changed, err
	}
	err = retryStale(func() error {
		var before subscription.Group
		if err := a.call(cmd, request{method: http.MethodGet, path: groupPath(id)}, &before); err != nil {
			return err
		}
		if changes["limits"], err = limits.edit(cmd, before.Limits, file); err != nil {
			return err
		}
		return a.call(cmd, request{method: http.MethodPatch, path: groupPath(id), body: changes, version: before.Version}, &changed)
	})
	return changed, err
}

func (a *app) groupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a group and its limits", Example: "  tollgate group show research",
		Args: exactArgs("ID"), ValidArgsFunction: a.completeID(groupIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var found subscription.Group
			if err := a.call(cmd, request{method: http.MethodGet, path: groupPath(args[0])}, &found); err != nil {
				return err
			}
			return a.printGroup(found)
		},
	}
}

func (a *app) printGroup(g subscription.Group) error {
	a.warn(g.Warnings())
	return a.print(g, func(w io.Writer) {
		row(w, "Group", g.ID)
		row(w, "Name", g.Name)
		row(w, "Part of", g.Parent)
		row(w, "State", ifElse(g.Suspended, "suspended", "active"))
		row(w, "Created", date(g.Created))
		printLimits(w, g.Limits, "of group "+g.ID, noRemark)
	})
}

func (a *app) groupList() *cobra.Command {
	var search, parent string
	cmd := &cobra.Command{
		Use: "list", Short: "List groups", Example: "  tollgate group list\n  tollgate group list --parent org", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			set(query, "search", search)
			set(query, "parent", parent)
			found, err := readList[subscription.Group](cmd.Context(), a, "/groups", query, "There are no groups yet; see 'tollgate group create --help'.", "No group matches.")
			if err != nil {
				return err
			}
			return a.print(notNil(found), func(w io.Writer) { printGroups(w, found...) })
		},
	}
	cmd.Flags().StringVar(&search, "search", "", "only groups with this text in their id or name")
	cmd.Flags().StringVar(&parent, "parent", "", "only groups that are part of this one")
	a.completeGroup(cmd, "parent")
	return cmd
}

func printGroups(w io.Writer, all ...subscription.Group) {
	row(w, "GROUP", "NAME", "PART OF", "STATE", "LIMITS")
	for _, g := range all {
		row(w, g.ID, g.Name, g.Parent, ifElse(g.Suspended, "suspended", "active"), joinLimits(g.Limits))
	}
}

func (a *app) groupSuspend(suspend bool) *cobra.Command {
	name := ifElse(suspend, "suspend", "resume")
	return &cobra.Command{
		Use: name + " ID", Short: ifElse(suspend, "Refuse the calls of all subscriptions below a group", "Accept a suspended group's calls again"),
		Example: fmt.Sprintf("  tollgate group %s research", name),
		Args:    exactArgs("ID"), ValidArgsFunction: a.completeID(groupIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var g subscription.Group
			if err := a.call(cmd, request{method: http.MethodPatch, path: groupPath(args[0]), body: map[string]any{"suspended": suspend}}, &g); err != nil {
				return err
			}
			a.note(takenUp)
			return a.print(g, func(w io.Writer) { printGroups(w, g) })
		},
	}
}

func (a *app) groupDelete() *cobra.Command {
	return a.deleteCommand("group", groupPath, groupIDs, `Delete a group. It is refused while groups or subscriptions belong to it; with
--force they move to the group above it, or to none. If the deleted group was
suspended, they are suspended themselves.`)
}

func groupPath(id string) string { return "/groups/" + url.PathEscape(id) }
