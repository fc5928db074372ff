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
	return commandGroup("tier", "Named sets of limits that subscriptions share",
		`A tier is a named set of limits. Each subscription has a tier, and may override
some of its values. Changes take effect within a minute.`,
		`  tollgate tier set standard --create --tokens-per-minute 1000 --token-quota 100000 --token-quota-period Daily
  tollgate tier set standard --limit 'calls 60/minute'
  tollgate tier list`,
		a.tierSet(), a.tierShow(), a.tierList(), a.tierDelete())
}

func (a *app) tierSet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Change the given values of a tier, or create a tier with --create",
		Long: `Change the given values of a tier, or create a tier with --create. A limit is
written as

` + limitSyntax,
		Example: `  tollgate tier set standard --create --tokens-per-minute 1000
  tollgate tier set standard --limit 'calls 60/minute' --limit 'cost 12.50/day alert 50,80,95'
  tollgate tier set standard --limit 'fast: tokens 500/minute models gpt-4o-mini' --remove-limit calls
  tollgate tier set standard --burst-tokens 500 --max-wait 5s
  tollgate tier set strict --create --tokens-per-minute 2000 --reserve full --max-completion-tokens 500
  tollgate tier set standard --token-quota 0 --token-quota-period ""`,
		Args: exactArgs("ID"), ValidArgsFunction: a.completeID(tierIDs),
	}
	rules, limits := addRules(cmd), addLimitList(cmd)
	create := cmd.Flags().Bool("create", false, "create the tier if it doesn't exist")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var tier subscription.Tier
		var created bool
		var err error
		if limits.given() {
			tier, created, err = a.editTier(cmd, args[0], rules, limits, *create)
		} else {
			tier, created, err = a.changeTier(cmd, args[0], rules.changes, *create)
		}
		if err != nil {
			return err
		}
		if created {
			a.note("Tier %s is created; no subscription has it yet.", tier.ID)
		}
		a.warnOfPrices(cmd, tier.Rules)
		return a.printTier(tier)
	}
	return cmd
}

// changeTier changes values of a tier, and creates it if create is set and there is none.
func (a *app) changeTier(cmd *cobra.Command, id string, changes map[string]any, create bool) (tier subscription.Tier, created bool, err error) {
	change := request{method: http.MethodPatch, path: tierPath(id), body: changes, mustExist: true}
	err = a.call(cmd, change, &tier)
	if !isStale(err) {
		return tier, false, err
	}
	if !create {
		return tier, false, a.noTier(cmd, id)
	}
	change.mustExist, change.mustNotExist = false, true
	err = a.call(cmd, change, &tier)
	return tier, true, err
}

// editTier changes the list of a tier's limits, and other values. It creates the tier if create
// is set and there is none.
func (a *app) editTier(cmd *cobra.Command, id string, rules *ruleFlags, limits *limitListFlags, create bool) (tier subscription.Tier, created bool, err error) {
	file, err := limits.readFile(cmd)
	if err != nil {
		return tier, false, err
	}
	err = retryStale(func() error {
		var before subscription.Tier
		err := a.call(cmd, request{method: http.MethodGet, path: tierPath(id)}, &before)
		if created = isCode(err, manage.CodeNotFound); created && create {
			err = nil
		} else if created {
			err = a.noTier(cmd, id)
		}
		if err != nil {
			return err
		}
		list, err := limits.edit(cmd, before.Limits, file)
		if err != nil {
			return err
		}
		body, err := limits.folded(cmd, list, rules.changes)
		if err != nil {
			return err
		}
		return a.call(cmd, request{method: http.MethodPatch, path: tierPath(id), body: body, version: before.Version, mustNotExist: created}, &tier)
	})
	return tier, created, err
}

// maxEdits limits the attempts of an edit while others keep changing what it reads.
const maxEdits = 5

// retryStale repeats an edit while it was based on an older version.
func retryStale(edit func() error) (err error) {
	for range maxEdits {
		if err = edit(); !isStale(err) {
			return err
		}
	}
	return err
}

func isStale(err error) bool { return isCode(err, manage.CodeStale) }

func isCode(err error, code string) bool {
	p, refused := errors.AsType[*manage.Problem](err)
	return refused && p.Code == code
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
		Args: exactArgs("ID"), ValidArgsFunction: a.completeID(tierIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			var tier subscription.Tier
			if err := a.call(cmd, request{method: http.MethodGet, path: tierPath(args[0])}, &tier); err != nil {
				return err
			}
			return a.printTier(tier)
		},
	}
}

func (a *app) printTier(tier subscription.Tier) error {
	a.warn(tier.Warnings())
	return a.print(tier, func(w io.Writer) {
		row(w, "Tier", tier.ID)
		printLimits(w, tier.Limits, "of tier "+tier.ID, noRemark)
		printRules(w, tier.Rules)
	})
}

func (a *app) tierList() *cobra.Command {
	var search string
	cmd := &cobra.Command{
		Use: "list", Short: "List tiers", Example: "  tollgate tier list\n  tollgate tier list --search gold", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			set(query, "search", search)
			tiers, err := readList[subscription.Tier](cmd.Context(), a, "/tiers", query, "There are no tiers yet; see 'tollgate tier set --help'.", "No tier matches.")
			if err != nil {
				return err
			}
			return a.print(notNil(tiers), func(w io.Writer) {
				row(w, "TIER", "LIMITS", "RESERVE", "ON STORE DOWN", "SHADOW", "MODELS")
				for _, t := range tiers {
					t.Normalize()
					row(w, t.ID, joinLimits(t.Limits), string(t.Reserve), string(t.OnStoreDown), ifElse(t.Shadow, "yes", "no"),
						ifElse(len(t.Models) > 0, strings.Join(t.Models, ", "), "all"))
				}
			})
		},
	}
	cmd.Flags().StringVar(&search, "search", "", "only tiers with this text in their id")
	return cmd
}

// joinLimits writes limits on one line.
func joinLimits(limits []subscription.Limit) string {
	parts := make([]string, len(limits))
	for i, l := range limits {
		parts[i] = formatLimit(l)
	}
	return strings.Join(parts, "; ")
}

func (a *app) tierDelete() *cobra.Command {
	return a.deleteCommand("tier", tierPath, tierIDs, `Delete a tier. It is refused while subscriptions have it; with --force they are
deleted too, with their keys. Their usage stays in the ledger.`)
}

func tierPath(id string) string { return "/tiers/" + url.PathEscape(id) }

// call makes one request to the operators' API.
func (a *app) call(cmd *cobra.Command, r request, into any) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	return c.do(cmd.Context(), r, into)
}

// notNil returns a list that is not nil, so that an empty one is [] in JSON.
func notNil[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}
