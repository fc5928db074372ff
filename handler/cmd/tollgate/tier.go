package main

import (
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

func (a *app) tierCommand() *cobra.Command {
	return group("tier", "Named sets of limits that subscriptions share",
		`A tier is a named set of limits. Subscriptions name a tier, and may override
single values of it. Gateways take a change up within a minute.`,
		`  tollgate tier set standard --tokens-per-minute 1000 --token-quota 100000 --token-quota-period Daily
  tollgate tier list`,
		a.tierSet(), a.tierShow(), a.tierList())
}

func (a *app) tierSet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Make a tier, or change the values that are given",
		Example: `  tollgate tier set standard --tokens-per-minute 1000
  tollgate tier set standard --burst-tokens 500 --max-wait 5s
  tollgate tier set strict --tokens-per-minute 2000 --reserve full --max-completion-tokens 500
  tollgate tier set standard --token-quota 0 --token-quota-period ""`,
		Args: named("ID"), ValidArgsFunction: a.ids(tierIDs),
	}
	limits := addLimits(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var tier subscription.Tier
		if err := a.ask(cmd, request{method: http.MethodPatch, path: tierPath(args[0]), body: limits.changes}, &tier); err != nil {
			return err
		}
		return a.printTier(tier)
	}
	return cmd
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
			c, err := a.client()
			if err != nil {
				return err
			}
			tiers, err := all[subscription.Tier](cmd.Context(), a, c, "/tiers", query)
			if err != nil {
				return err
			}
			if len(tiers) == 0 {
				a.note(when(search == "", "There is none yet; see 'tollgate tier set --help'.", "None has that in its id."))
			}
			for i := range tiers {
				tiers[i].Normalize()
			}
			return a.print(listed(tiers), func(w io.Writer) {
				row(w, "TIER", "TOKENS/MINUTE", "BURST", "QUOTA", "RESERVE", "ON STORE DOWN", "COUNTER KEY", "SHADOW", "MODELS")
				for _, t := range tiers {
					row(w, t.ID, number(t.TokensPerMinute), number(t.BurstTokens), quota(t.Limits), string(t.Reserve),
						string(t.OnStoreDown), t.CounterKey, when(t.Shadow, "yes", "no"), models(t.Limits))
				}
			})
		},
	}
	cmd.Flags().StringVar(&search, "search", "", "only those that have this in their id")
	return cmd
}

func tierPath(id string) string { return "/tiers/" + url.PathEscape(id) }

// ask makes one request of the operators' API.
func (a *app) ask(cmd *cobra.Command, r request, into any) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	return c.do(cmd.Context(), r, into)
}

// listed is a list that JSON shows as one where it is empty.
func listed[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}
