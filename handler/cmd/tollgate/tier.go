package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

func (a *app) tierCommand() *cobra.Command {
	return group("tier", "Named sets of limits that subscriptions share",
		`A tier is a named set of limits. Each subscription has a tier, and may override
some of its values. Changes take effect within a minute.`,
		`  tollgate tier set standard --create --tokens-per-minute 1000 --token-quota 100000 --token-quota-period Daily
  tollgate tier list`,
		a.tierSet(), a.tierShow(), a.tierList())
}

func (a *app) tierSet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Change the given values of a tier, or create a tier with --create",
		Example: `  tollgate tier set standard --create --tokens-per-minute 1000
  tollgate tier set standard --burst-tokens 500 --max-wait 5s
  tollgate tier set strict --create --tokens-per-minute 2000 --reserve full --max-completion-tokens 500
  tollgate tier set standard --token-quota 0 --token-quota-period ""`,
		Args: named("ID"), ValidArgsFunction: a.ids(tierIDs),
	}
	limits := addLimits(cmd)
	create := cmd.Flags().Bool("create", false, "create the tier if it doesn't exist")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var tier subscription.Tier
		change := request{method: http.MethodPatch, path: tierPath(args[0]), body: limits.changes, there: true}
		err := a.ask(cmd, change, &tier)
		if p, refused := errors.AsType[*manage.Problem](err); refused && p.Code == manage.CodeStale {
			if !*create {
				return a.noTier(cmd, args[0])
			}
			change.there, change.fresh = false, true
			if err = a.ask(cmd, change, &tier); err == nil {
				a.note("Tier %s is created; no subscription has it yet.", tier.ID)
			}
		}
		if err != nil {
			return err
		}
		return a.printTier(tier)
	}
	return cmd
}

// noTier returns the error for an unknown tier, with a suggestion if one is similar.
func (a *app) noTier(cmd *cobra.Command, id string) error {
	meant := ""
	if ids, err := tierIDs(cmd.Context(), a); err == nil { // else there is no suggestion
		for _, known := range ids {
			if strings.HasPrefix(known, id) || strings.HasPrefix(id, known) || near(id, known) {
				meant = fmt.Sprintf(" Did you mean %q?", known)
				break
			}
		}
	}
	return &manage.Problem{Status: http.StatusNotFound, Code: manage.CodeNotFound,
		Detail: fmt.Sprintf("There is no tier %q.%s Create a new one with --create.", id, meant)}
}

// near reports whether two texts differ by one letter added, removed, replaced or
// swapped with the next.
func near(a, b string) bool {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}

func (a *app) tierShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a tier", Example: "  tollgate tier show standard --output json",
		Args: named("ID"), ValidArgsFunction: a.ids(tierIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var tier subscription.Tier
			if err := a.ask(cmd, request{method: http.MethodGet, path: tierPath(args[0])}, &tier); err != nil {
				return err
			}
			return a.printTier(tier)
		},
	}
}

func (a *app) printTier(tier subscription.Tier) error {
	tier.Normalize()
	a.warn(tier.Warnings())
	return a.print(tier, func(w io.Writer) {
		row(w, "Tier", tier.ID)
		printLimits(w, tier.Limits)
	})
}

func (a *app) tierList() *cobra.Command {
	var search string
	cmd := &cobra.Command{
		Use: "list", Short: "List tiers", Example: "  tollgate tier list\n  tollgate tier list --search gold", Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			set(query, "search", search)
			tiers, err := readList[subscription.Tier](cmd.Context(), a, "/tiers", query, "There are no tiers yet; see 'tollgate tier set --help'.", "No tier matches.")
			if err != nil {
				return err
			}
			for i := range tiers {
				tiers[i].Normalize()
			}
			return a.print(listed(tiers), func(w io.Writer) {
				row(w, "TIER", "TOKENS/MINUTE", "BURST", "QUOTA", "RESERVE", "ON STORE DOWN", "COUNTER KEY", "SHADOW", "MODELS")
				for _, t := range tiers {
					row(w, t.ID, number(t.TokensPerMinute), number(t.BurstTokens), quota(t.Limits), string(t.Reserve),
						string(t.OnStoreDown), string(t.CounterKey), when(t.Shadow, "yes", "no"), models(t.Limits))
				}
			})
		},
	}
	cmd.Flags().StringVar(&search, "search", "", "only tiers with this text in their id")
	return cmd
}

func tierPath(id string) string { return "/tiers/" + url.PathEscape(id) }

// ask makes one request to the operators' API.
func (a *app) ask(cmd *cobra.Command, r request, into any) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	return c.do(cmd.Context(), r, into)
}

// listed returns a list that is not nil, so that an empty one is [] in JSON.
func listed[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}
