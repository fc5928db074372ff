package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

func (a *app) subscriptionCommand() *cobra.Command {
	return commandGroup("subscription", "Callers that limits are kept for",
		`A subscription is a caller. It has a tier, which sets its limits, may belong to a
group, whose limits it shares, and has two keys, either of which its calls may
use; see 'tollgate key --help'. Changes take effect within a minute.`,
		`  tollgate subscription create team-a --tier standard --name "Team A"
  tollgate subscription set team-a --tokens-per-minute 5000
  tollgate subscription list`,
		a.subscriptionCreate(), a.subscriptionSet(), a.subscriptionShow(), a.subscriptionList(), a.subscriptionSuspend(true), a.subscriptionSuspend(false), a.subscriptionDelete())
}

func (a *app) subscriptionCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create ID --tier TIER",
		Short: "Create a subscription, without keys",
		Long: `Create a subscription, without keys. Any values given override its tier's; a limit
is overridden as 'tollgate subscription set --help' says.`,
		Example: `  tollgate subscription create team-a --tier standard --name "Team A" --group research
  tollgate subscription create batch --tier standard --tokens-per-minute 5000`,
		Args: exactArgs("ID"), ValidArgsFunction: cobra.NoFileCompletions,
	}
	given := a.subscriptionFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if given.tier == "" {
			return &usageError{cmd.CommandPath(), "--tier is missing: name one that 'tollgate tier list' shows"}
		}
		body := given.changes(cmd)
		if given.overrides.given() {
			limits, err := a.tierLimits(cmd, given.tier)
			if err == nil {
				body["overrides"], err = given.overridesBody(cmd, subscription.Overrides{}, limits)
			}
			if err != nil {
				return err
			}
		}
		var made subscription.Details
		if err := a.call(cmd, request{method: http.MethodPut, path: subscriptionPath(args[0]), body: body, mustNotExist: true}, &made); err != nil {
			return err
		}
		a.warnOfPrices(cmd, made.Rules)
		return a.printDetails(made, "Created; give it a key with 'tollgate key create %s'.", made.ID)
	}
	return cmd
}

func (a *app) subscriptionSet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Change a subscription's tier, group, name or overrides",
		Long: `Change a subscription's tier, its group, its name, or the values that override its
tier's. Only what is given changes. A limit of the tier is overridden by its name,
for good or until a time:

  NAME [AMOUNT/minute] [burst AMOUNT] [AMOUNT/PERIOD] [by TEMPLATE] [models A,B]
      [alert 50,80,95] [shadow] [until TIME]`,
		Example: `  tollgate subscription set team-a --tier gold --group research
  tollgate subscription set team-a --tokens-per-minute 5000
  tollgate subscription set team-a --limit-override 'calls 600/minute until 2099-12-01T00:00:00Z'
  tollgate subscription set team-a --inherit-limit calls
  tollgate subscription set team-a --inherit tokens-per-minute,max-wait`,
		Args: exactArgs("ID"), ValidArgsFunction: a.completeID(subscriptionIDs),
	}
	given := a.subscriptionFlags(cmd)
	cmd.Flags().StringSliceVar(&given.inherit, "inherit", nil, "values, by their flags' names, to inherit from the tier again")
	cmd.Flags().StringArrayVar(&given.overrides.inherit, "inherit-limit", nil, "a limit, by its name, to inherit from the tier again; repeatable")
	complete(cmd, "inherit", given.rules.flags...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range given.inherit {
			if !slices.Contains(given.rules.flags, name) {
				return &usageError{cmd.CommandPath(), fmt.Sprintf("--inherit %q is not a value that can be inherited: use %s", name, strings.Join(given.rules.flags, ", "))}
			}
		}
		changes := given.changes(cmd)
		if len(changes) == 0 && !given.overrides.given() {
			return &usageError{cmd.CommandPath(), "there is nothing to change: give --tier, --group, --name or a limit"}
		}
		var changed subscription.Details
		var err error
		if given.overrides.given() {
			changed, err = a.editSubscription(cmd, args[0], given)
		} else {
			err = a.call(cmd, request{method: http.MethodPatch, path: subscriptionPath(args[0]), body: changes}, &changed)
		}
		if err != nil {
			return err
		}
		a.warnOfPrices(cmd, changed.Rules)
		return a.printDetails(changed, takenUp)
	}
	return cmd
}

// takenUp is the note after a change.
const takenUp = "Changed; it takes effect within a minute."

// subscriptionFlags holds the flags that create and set share.
type subscriptionFlags struct {
	tier, group, name string
	rules             *ruleFlags
	overrides         overrideFlags
	inherit           []string
}

func (a *app) subscriptionFlags(cmd *cobra.Command) *subscriptionFlags {
	f := &subscriptionFlags{}
	cmd.Flags().StringVar(&f.tier, "tier", "", "the subscription's tier")
	cmd.Flags().StringVar(&f.name, "name", "", "a display name")
	cmd.Flags().StringVar(&f.group, "group", "", `the group that it belongs to; "": none`)
	cmd.Flags().StringArrayVar(&f.overrides.set, "limit-override", nil, "override a limit of the tier by its name, such as 'tokens 5000/minute until 2099-12-01T00:00:00Z'; repeatable")
	f.rules = addRules(cmd)
	a.completeTier(cmd)
	a.completeGroup(cmd, "group")
	return f
}

// completeTier completes --tier.
func (a *app) completeTier(cmd *cobra.Command) { a.completeIDs(cmd, "tier", tierIDs) }

// completeIDs completes a flag with the ids that list returns.
func (a *app) completeIDs(cmd *cobra.Command, flag string, list func(context.Context, *app) ([]string, error)) {
	if err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return a.completeID(list)(cmd, nil, text)
	}); err != nil {
		panic(err) // no such flag: a mistake in this program
	}
}

// changes returns the given flags as a merge patch.
func (f *subscriptionFlags) changes(cmd *cobra.Command) map[string]any {
	given := make(map[string]any)
	if cmd.Flags().Changed("tier") {
		given["tier"] = f.tier
	}
	if cmd.Flags().Changed("name") {
		given["name"] = f.name
	}
	if cmd.Flags().Changed("group") {
		given["group"] = f.group
	}
	if overrides := f.rules.overrides(f.inherit); len(overrides) > 0 {
		given["overrides"] = overrides
	}
	return given
}

func subscriptionPath(id string) string { return "/subscriptions/" + url.PathEscape(id) }

func (a *app) subscriptionShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a subscription, its limits and its keys' dates", Example: "  tollgate subscription show team-a",
		Args: exactArgs("ID"), ValidArgsFunction: a.completeID(subscriptionIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var found subscription.Details
			if err := a.call(cmd, request{method: http.MethodGet, path: subscriptionPath(args[0])}, &found); err != nil {
				return err
			}
			return a.printDetails(found, "")
		},
	}
}

// printDetails prints a subscription, after a note unless that is empty.
func (a *app) printDetails(details subscription.Details, note string, args ...any) error {
	if note != "" {
		a.note(note, args...)
	}
	a.warn(details.Rules.Warnings())
	details.Keys = notNil(details.Keys)
	return a.print(details, func(w io.Writer) {
		row(w, "Subscription", details.ID)
		row(w, "Name", details.Name)
		row(w, "State", state(details.Subscription))
		row(w, "Created", date(details.Created))
		row(w, "Tier", details.Tier)
		row(w, "Group", groupChain(details))
		row(w, "Overrides", describeOverrides(details.Overrides))
		printLimits(w, details.Rules.Limits, "of tier "+details.Tier, overrideRemark(details.Overrides))
		for _, g := range details.Groups {
			printLimits(w, g.Limits, "of group "+g.ID, noRemark)
		}
		printRules(w, details.Rules)
		for _, key := range details.Keys {
			row(w, "Key, "+string(key.Slot), "created "+date(key.Created)+expiry(key))
		}
	})
}

// groupChain names a subscription's group and those above it.
func groupChain(details subscription.Details) string {
	names := make([]string, len(details.Groups))
	for i, g := range details.Groups {
		names[i] = g.ID + ifElse(g.Suspended, " (suspended)", "")
	}
	return strings.Join(names, ", part of ")
}

func state(s subscription.Subscription) string { return ifElse(s.Suspended, "suspended", "active") }

func (a *app) subscriptionList() *cobra.Command {
	var tier, group, search, state string
	cmd := &cobra.Command{
		Use: "list", Short: "List subscriptions", Example: "  tollgate subscription list --tier standard\n  tollgate subscription list --search research --state suspended", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			set(query, "tier", tier)
			set(query, "group", group)
			set(query, "search", search)
			set(query, "state", state)
			found, err := readList[subscription.Subscription](cmd.Context(), a, "/subscriptions", query, "There are no subscriptions yet; see 'tollgate subscription create --help'.", "No subscription matches.")
			if err != nil {
				return err
			}
			return a.print(notNil(found), func(w io.Writer) { printSubscriptions(w, found...) })
		},
	}
	cmd.Flags().StringVar(&tier, "tier", "", "only subscriptions of this tier")
	cmd.Flags().StringVar(&group, "group", "", "only subscriptions of this group and the groups below it")
	cmd.Flags().StringVar(&search, "search", "", "only subscriptions with this text in their id or name")
	cmd.Flags().StringVar(&state, "state", "", "only active or suspended subscriptions")
	complete(cmd, "state", "active", "suspended")
	a.completeTier(cmd)
	a.completeGroup(cmd, "group")
	return cmd
}

func printSubscriptions(w io.Writer, all ...subscription.Subscription) {
	row(w, "SUBSCRIPTION", "NAME", "TIER", "GROUP", "STATE", "CREATED", "OVERRIDES")
	for _, s := range all {
		row(w, s.ID, s.Name, s.Tier, s.Group, state(s), date(s.Created), describeOverrides(s.Overrides))
	}
}

func (a *app) subscriptionSuspend(suspend bool) *cobra.Command {
	name := ifElse(suspend, "suspend", "resume")
	return &cobra.Command{
		Use: name + " ID", Short: ifElse(suspend, "Refuse a subscription's calls", "Accept a suspended subscription's calls again"),
		Example: "  tollgate subscription " + name + " team-a",
		Args:    exactArgs("ID"), ValidArgsFunction: a.completeID(subscriptionIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s subscription.Subscription
			if err := a.call(cmd, request{method: http.MethodPatch, path: subscriptionPath(args[0]), body: map[string]any{"suspended": suspend}}, &s); err != nil {
				return err
			}
			a.note(takenUp)
			return a.print(s, func(w io.Writer) { printSubscriptions(w, s) })
		},
	}
}

func (a *app) subscriptionDelete() *cobra.Command {
	return a.deleteCommand("subscription", subscriptionPath, subscriptionIDs, `Delete a subscription. It is refused while it has valid keys; with --force they are
deleted first. Its usage stays in the ledger.`)
}
