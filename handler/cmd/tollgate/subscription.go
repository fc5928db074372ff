package main

import (
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
	return group("subscription", "Callers that limits are kept for",
		`A subscription is a caller. It has a tier, which sets its limits, and two keys,
either of which its calls may use; see 'tollgate key --help'. Changes take effect
within a minute.`,
		`  tollgate subscription create team-a --tier standard --name "Team A"
  tollgate subscription set team-a --tokens-per-minute 5000
  tollgate subscription list`,
		a.subscriptionCreate(), a.subscriptionSet(), a.subscriptionShow(), a.subscriptionList(), a.subscriptionSuspend(true), a.subscriptionSuspend(false))
}

func (a *app) subscriptionCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create ID --tier TIER",
		Short: "Create a subscription, without keys",
		Long:  "Create a subscription, without keys. Any limits given override its tier's.",
		Example: `  tollgate subscription create team-a --tier standard --name "Team A"
  tollgate subscription create batch --tier standard --tokens-per-minute 5000`,
		Args: named("ID"), ValidArgsFunction: cobra.NoFileCompletions,
	}
	given := a.subscriptionFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if given.tier == "" {
			return &usageError{cmd.CommandPath(), "--tier is missing: name one that 'tollgate tier list' shows"}
		}
		var made subscription.Account
		if err := a.ask(cmd, request{method: http.MethodPut, path: subscriptionPath(args[0]), body: given.changes(cmd), fresh: true}, &made); err != nil {
			return err
		}
		return a.printAccount(made, "Created; give it a key with 'tollgate key create %s'.", made.ID)
	}
	return cmd
}

func (a *app) subscriptionSet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Change a subscription's tier, name or overrides",
		Long:  "Change a subscription's tier, its name, or the limits that override its tier's. Only what is given changes.",
		Example: `  tollgate subscription set team-a --tier gold
  tollgate subscription set team-a --tokens-per-minute 5000
  tollgate subscription set team-a --inherit tokens-per-minute,max-wait`,
		Args: named("ID"), ValidArgsFunction: a.ids(subscriptionIDs),
	}
	given := a.subscriptionFlags(cmd)
	cmd.Flags().StringSliceVar(&given.inherit, "inherit", nil, "limits, by their flags' names, to inherit from the tier again")
	complete(cmd, "inherit", given.limits.flags...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range given.inherit {
			if !slices.Contains(given.limits.flags, name) {
				return &usageError{cmd.CommandPath(), fmt.Sprintf("--inherit %q is not a limit: use %s", name, strings.Join(given.limits.flags, ", "))}
			}
		}
		changes := given.changes(cmd)
		if len(changes) == 0 {
			return &usageError{cmd.CommandPath(), "there is nothing to change: give --tier, --name or a limit"}
		}
		var changed subscription.Account
		if err := a.ask(cmd, request{method: http.MethodPatch, path: subscriptionPath(args[0]), body: changes}, &changed); err != nil {
			return err
		}
		return a.printAccount(changed, takenUp)
	}
	return cmd
}

// takenUp is the note after a change.
const takenUp = "Changed; it takes effect within a minute."

// subscriptionFlags holds the flags that create and set share.
type subscriptionFlags struct {
	tier, name string
	limits     *limitFlags
	inherit    []string
}

func (a *app) subscriptionFlags(cmd *cobra.Command) *subscriptionFlags {
	f := &subscriptionFlags{}
	cmd.Flags().StringVar(&f.tier, "tier", "", "the subscription's tier")
	cmd.Flags().StringVar(&f.name, "name", "", "a display name")
	f.limits = addLimits(cmd)
	a.completeTier(cmd)
	return f
}

// completeTier completes --tier.
func (a *app) completeTier(cmd *cobra.Command) {
	if err := cmd.RegisterFlagCompletionFunc("tier", func(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return a.ids(tierIDs)(cmd, nil, text)
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
	if overrides := f.limits.overrides(f.inherit); len(overrides) > 0 {
		given["overrides"] = overrides
	}
	return given
}

func subscriptionPath(id string) string { return "/subscriptions/" + url.PathEscape(id) }

func (a *app) subscriptionShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a subscription, its limits and its keys' dates", Example: "  tollgate subscription show team-a",
		Args: named("ID"), ValidArgsFunction: a.ids(subscriptionIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var found subscription.Account
			if err := a.ask(cmd, request{method: http.MethodGet, path: subscriptionPath(args[0])}, &found); err != nil {
				return err
			}
			return a.printAccount(found, "")
		},
	}
}

// printAccount prints a subscription, and a note if there is one.
func (a *app) printAccount(account subscription.Account, note string, args ...any) error {
	if note != "" {
		a.note(note, args...)
	}
	a.warn(account.Limits.Warnings())
	account.Keys = listed(account.Keys)
	return a.print(account, func(w io.Writer) {
		row(w, "Subscription", account.ID)
		row(w, "Name", account.Name)
		row(w, "State", state(account.Subscription))
		row(w, "Created", date(account.Created))
		row(w, "Tier", account.Tier)
		row(w, "Overrides", string(account.Overrides))
		printLimits(w, account.Limits)
		for _, key := range account.Keys {
			row(w, "Key, "+string(key.Slot), "made "+date(key.Created)+expiry(key))
		}
	})
}

func state(s subscription.Subscription) string { return when(s.Suspended, "suspended", "active") }

func (a *app) subscriptionList() *cobra.Command {
	var tier, search, state string
	cmd := &cobra.Command{
		Use: "list", Short: "List subscriptions", Example: "  tollgate subscription list --tier standard\n  tollgate subscription list --search research --state suspended", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			set(query, "tier", tier)
			set(query, "search", search)
			set(query, "state", state)
			found, err := readList[subscription.Subscription](cmd.Context(), a, "/subscriptions", query, "There are no subscriptions yet; see 'tollgate subscription create --help'.", "No subscription matches.")
			if err != nil {
				return err
			}
			return a.print(listed(found), func(w io.Writer) { printSubscriptions(w, found...) })
		},
	}
	cmd.Flags().StringVar(&tier, "tier", "", "only subscriptions of this tier")
	cmd.Flags().StringVar(&search, "search", "", "only subscriptions with this text in their id or name")
	cmd.Flags().StringVar(&state, "state", "", "only active or suspended subscriptions")
	complete(cmd, "state", "active", "suspended")
	a.completeTier(cmd)
	return cmd
}

func printSubscriptions(w io.Writer, all ...subscription.Subscription) {
	row(w, "SUBSCRIPTION", "NAME", "TIER", "STATE", "CREATED", "OVERRIDES")
	for _, s := range all {
		row(w, s.ID, s.Name, s.Tier, state(s), date(s.Created), string(s.Overrides))
	}
}

func (a *app) subscriptionSuspend(suspend bool) *cobra.Command {
	name := when(suspend, "suspend", "resume")
	return &cobra.Command{
		Use: name + " ID", Short: when(suspend, "Refuse a subscription's calls", "Accept a suspended subscription's calls again"),
		Example: "  tollgate subscription " + name + " team-a",
		Args:    named("ID"), ValidArgsFunction: a.ids(subscriptionIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s subscription.Subscription
			if err := a.ask(cmd, request{method: http.MethodPatch, path: subscriptionPath(args[0]), body: map[string]any{"suspended": suspend}}, &s); err != nil {
				return err
			}
			a.note(takenUp)
			return a.print(s, func(w io.Writer) { printSubscriptions(w, s) })
		},
	}
}
