package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/manage"
	"tollgate/handler/price"
)

func (a *app) priceCommand() *cobra.Command {
	return commandGroup("price", "What tokens of models cost",
		`A price is what a million tokens of a model cost, from a UTC date on until the
model's next price begins. Calls are priced when they start, and never again.
Numbers are decimals, such as 2.5. If a model is free, set its prices to 0.
Changes reach gateways within a minute.`,
		`  tollgate price currency USD
  tollgate price set gpt-4.1 --prompt 2 --cached 0.5 --completion 8
  tollgate price import model_prices_and_context_window.json --dry-run
  tollgate price check`,
		a.priceSet(), a.priceList(), a.priceShow(), a.priceDelete(), a.priceImport(), a.priceCheck(), a.priceCurrency())
}

// priceFlags holds the flags of price set that were given.
type priceFlags struct {
	rates         map[string]*string // by flag
	multipliers   map[string]string
	source, from  string
	partial       []string
	acceptPartial bool
}

// rateFlags are the flags of the kinds of tokens, with their help.
var rateFlags = []struct{ name, help string }{
	{"prompt", "prompt tokens that no cache is involved in"},
	{"cached", `prompt tokens read from the endpoint's cache; "": none of its own`},
	{"cache-write", `prompt tokens put into the cache for a short time; "": none of its own`},
	{"cache-write-long", `prompt tokens put there for an hour or longer; "": none of its own`},
	{"completion", "completion tokens, reasoning included"},
}

func (a *app) priceSet() *cobra.Command {
	options := priceFlags{rates: make(map[string]*string)}
	cmd := &cobra.Command{
		Use:   "set MODEL",
		Short: "Set a model's price from a date on",
		Long: `Set what a million tokens of a model cost from a date on, by default from today
(UTC). What isn't given stays as it is. A new price needs --prompt and
--completion; it keeps the multipliers of the price before. Kinds of prompt
tokens without a price of their own cost as much as the dearest that has one.`,
		Example: `  tollgate price set gpt-4.1 --prompt 2 --cached 0.5 --completion 8
  tollgate price set gpt-4.1 --prompt 1.5 --completion 6 --from 2027-01-01
  tollgate price set gpt-4.1 --multiplier us-zone=1.1
  tollgate price set our-own-model --prompt 0 --completion 0`,
		Args: exactArgs("MODEL"), ValidArgsFunction: a.completeID(pricedModels),
		RunE: func(cmd *cobra.Command, args []string) error { return a.setPrice(cmd, args[0], options) },
	}
	flags := cmd.Flags()
	for _, flag := range rateFlags {
		options.rates[flag.name] = flags.String(flag.name, "", "price of a million "+flag.help)
	}
	flags.StringToStringVar(&options.multipliers, "multiplier", nil, "what the prices are multiplied by at an endpoint, as NAME=NUMBER; NAME= removes it")
	flags.StringVar(&options.source, "source", "", "where the price is from: a remark for people")
	flags.StringSliceVar(&options.partial, "partial", nil, `what else the price depends on, as names separated by commas; "": nothing`)
	flags.BoolVar(&options.acceptPartial, "accept-partial", false, "let limits in cost use this price although it leaves something out")
	dateFlag(cmd, &options.from)
	return cmd
}

// dateFlag adds the flag of the date from which a price is in effect.
func dateFlag(cmd *cobra.Command, from *string) {
	cmd.Flags().StringVar(from, "from", string(price.DateOf(time.Now())), "the UTC date from which the price is in effect")
}

// setPrice changes the price of a model from a date, or creates it.
func (a *app) setPrice(cmd *cobra.Command, model string, options priceFlags) error {
	path := pricePath(model, options.from)
	var p price.Price
	err := a.call(cmd, request{method: http.MethodGet, path: path}, &p)
	if problem, ok := errors.AsType[*manage.Problem](err); ok && problem.Code == manage.CodeNotFound {
		p, err = a.newPrice(cmd, model, price.Date(options.from))
	}
	if err != nil {
		return err
	}
	options.apply(cmd, &p.Terms)
	change := request{method: http.MethodPut, path: path, body: p.Terms, version: p.Version, mustNotExist: p.Version == 0}
	if err := a.call(cmd, change, &p); err != nil {
		return err
	}
	return a.printPrices(cmd, []price.Price{p})
}

// newPrice returns what a new price of a model begins with: the multipliers of the one
// before, without which it would be too low at some endpoints.
func (a *app) newPrice(cmd *cobra.Command, model string, from price.Date) (price.Price, error) {
	prices, err := a.prices(cmd, model)
	if err != nil {
		return price.Price{}, err
	}
	before, found := inEffect(prices, model, from)
	if found && len(before.Multipliers) > 0 {
		a.note("The multipliers are those of the price from %s.", before.From)
	}
	return price.Price{Terms: price.Terms{Multipliers: before.Multipliers}}, nil
}

// inEffect returns the price of a model that is in effect when a day begins.
func inEffect(prices []price.Price, model string, day price.Date) (price.Price, bool) {
	start, err := day.Start()
	if err != nil { // the API reports it
		return price.Price{}, false
	}
	p, _, found := price.NewList(price.Snapshot{Prices: prices}).At(model, start)
	return p, found
}

// apply changes terms by the flags that were given.
func (f priceFlags) apply(cmd *cobra.Command, terms *price.Terms) {
	given := cmd.Flags().Changed
	for name, rate := range map[string]*price.Decimal{"prompt": &terms.Prompt, "cached": &terms.Cached, "cache-write": &terms.CacheWrite,
		"cache-write-long": &terms.CacheWriteLong, "completion": &terms.Completion} {
		if given(name) {
			*rate = price.Decimal(strings.TrimSpace(*f.rates[name]))
		}
	}
	for endpoint, by := range f.multipliers {
		if terms.Multipliers == nil {
			terms.Multipliers = make(map[string]price.Decimal)
		}
		terms.Multipliers[endpoint] = price.Decimal(by)
		if by == "" {
			delete(terms.Multipliers, endpoint)
		}
	}
	if given("source") {
		terms.Source = f.source
	}
	if given("partial") {
		terms.Partial, terms.AcceptPartial = f.partial, false
	}
	if given("accept-partial") {
		terms.AcceptPartial = f.acceptPartial
	}
}

func (a *app) priceList() *cobra.Command {
	var search string
	cmd := &cobra.Command{
		Use: "list", Short: "List prices, by model and date", Example: "  tollgate price list\n  tollgate price list --search gpt --output json", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			set(query, "search", search)
			prices, err := readList[price.Price](cmd.Context(), a, "/prices", query, "There are no prices yet; see 'tollgate price set --help'.", "No price matches.")
			if err != nil {
				return err
			}
			return a.printPrices(cmd, prices)
		},
	}
	cmd.Flags().StringVar(&search, "search", "", "only models with this text in their name")
	return cmd
}

func (a *app) priceShow() *cobra.Command {
	return &cobra.Command{
		Use: "show MODEL", Short: "Show all prices of a model, with what they leave out and where they are from", Example: "  tollgate price show gpt-4.1",
		Args: exactArgs("MODEL"), ValidArgsFunction: a.completeID(pricedModels),
		RunE: func(cmd *cobra.Command, args []string) error {
			prices, err := a.prices(cmd, args[0])
			if err != nil {
				return err
			}
			if len(prices) == 0 {
				return noPrice(args[0])
			}
			return a.print(prices, func(w io.Writer) {
				for i, p := range prices {
					if i > 0 {
						fmt.Fprintln(w)
					}
					printPrice(w, p, isInEffect(prices, p))
				}
			})
		},
	}
}

func noPrice(model string) error {
	return &manage.Problem{Status: http.StatusNotFound, Code: manage.CodeNotFound,
		Detail: fmt.Sprintf("There is no price of model %q: set one with 'tollgate price set', or see 'tollgate price list'.", model)}
}

// printPrice prints all of a price, one field a line.
func printPrice(w io.Writer, p price.Price, inEffect bool) {
	row(w, "Model", p.Model)
	row(w, "From", string(p.From)+ifElse(inEffect, " (in effect)", ""))
	row(w, "Prompt", string(p.Prompt))
	row(w, "Cached", string(p.Cached))
	row(w, "Cache write", string(p.CacheWrite))
	row(w, "Long cache write", string(p.CacheWriteLong))
	row(w, "Completion", string(p.Completion))
	row(w, "Multipliers", multipliers(p))
	row(w, "Leaves out", strings.Join(p.Partial, ", ")+ifElse(p.AcceptPartial, " (accepted)", ""))
	row(w, "Source", p.Source)
	if p.Unreadable != "" {
		row(w, "Unreadable", p.Unreadable)
	}
}

// multipliers formats the multipliers of a price on one line.
func multipliers(p price.Price) string {
	var parts []string
	for _, endpoint := range slices.Sorted(maps.Keys(p.Multipliers)) {
		parts = append(parts, endpoint+" × "+string(p.Multipliers[endpoint]))
	}
	return strings.Join(parts, ", ")
}

// printPrices prints prices as a table, or as JSON.
func (a *app) printPrices(cmd *cobra.Command, prices []price.Price) error {
	if len(prices) > 0 && a.output == asTable {
		var c price.Currency
		if err := a.call(cmd, request{method: http.MethodGet, path: "/prices/currency"}, &c); err != nil {
			return err
		}
		a.note("Prices of a million tokens, in %s.", ifElse(c.Code != "", c.Code, "no currency: set it with 'tollgate price currency'"))
	}
	return a.print(notNil(prices), func(w io.Writer) {
		row(w, "MODEL", "FROM", "PROMPT", "CACHED", "CACHE WRITE", "LONG WRITE", "COMPLETION", "MULTIPLIERS", "IN EFFECT", "NOTE")
		for _, p := range prices {
			row(w, p.Model, string(p.From), string(p.Prompt), string(p.Cached), string(p.CacheWrite), string(p.CacheWriteLong), string(p.Completion),
				multipliers(p), ifElse(isInEffect(prices, p), "yes", "no"), remark(p))
		}
	})
}

// remark returns what a list of prices notes about a price.
func remark(p price.Price) string {
	switch {
	case p.Unreadable != "":
		return "unreadable: set it again"
	case len(p.Partial) > 0 && !p.AcceptPartial:
		return "leaves something out"
	case len(p.Partial) > 0:
		return "leaves something out, accepted"
	}
	return ""
}

// isInEffect reports whether one of a list of prices is in effect now.
func isInEffect(prices []price.Price, p price.Price) bool {
	now, _, found := price.NewList(price.Snapshot{Prices: prices}).At(p.Model, time.Now())
	return found && now.From == p.From
}

func (a *app) priceDelete() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: "delete MODEL --from DATE", Short: "Delete a model's price from a date", Long: `Delete the price of a model that is in effect from a date. The price before it
takes effect again; without one, the model has no price.`,
		Example: "  tollgate price delete gpt-4.1 --from 2027-01-01",
		Args:    exactArgs("MODEL"), ValidArgsFunction: a.completeID(pricedModels),
		RunE: func(cmd *cobra.Command, args []string) error {
			if from == "" {
				return &usageError{cmd.CommandPath(), "--from is missing: name the date from which the price is in effect, as 'tollgate price list' shows it"}
			}
			if err := a.call(cmd, request{method: http.MethodDelete, path: pricePath(args[0], from)}, nil); err != nil {
				return err
			}
			a.note("The price of %s from %s is deleted.", args[0], from)
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the date from which the price is in effect")
	return cmd
}

func (a *app) priceCurrency() *cobra.Command {
	return &cobra.Command{
		Use: "currency [CODE]", Short: "Show or set the currency of all amounts",
		Long: `Show the currency of all prices, costs and limits in cost, or set it, as a code
of three capital letters. It is a label: nothing is converted. While there are
prices it can't be changed.`,
		Example: "  tollgate price currency USD\n  tollgate price currency",
		Args:    atMostOne("CODE"), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := request{method: http.MethodGet, path: "/prices/currency"}
			if len(args) > 0 {
				r.method, r.body = http.MethodPut, price.Currency{Code: args[0]}
			}
			var c price.Currency
			if err := a.call(cmd, r, &c); err != nil {
				return err
			}
			return a.print(c, func(w io.Writer) { row(w, c.Code) })
		},
	}
}

func (a *app) priceCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check prices against the models that are served, and say what to fix",
		Long: `List served models without a price, prices that leave something out or can't be
read, prices that begin or end within 14 days, and differences between prices
that look like mistakes. The exit status is 1 if a served model has no price, or
a price can't be used or leaves something out that nobody accepted.`,
		Example: "  tollgate price check\n  tollgate price check --server https://<app>.azurewebsites.net",
		Args:    exactArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.checkPrices(cmd) },
	}
}

func (a *app) checkPrices(cmd *cobra.Command) error {
	var check manage.PriceCheck
	if err := a.call(cmd, request{method: http.MethodGet, path: "/prices/check"}, &check); err != nil {
		return err
	}
	if check.Served == nil {
		a.note("The models that are served are unknown here: name the gateway with --server, or set all of its settings.")
	}
	wrong := 0
	for _, f := range check.Items {
		if f.Kind.AffectsCalls() {
			wrong++
		}
	}
	if len(check.Items) == 0 {
		a.note("Nothing to report.")
	}
	err := a.print(check, func(w io.Writer) {
		for _, f := range check.Items {
			row(w, ifElse(f.Kind.AffectsCalls(), "WRONG", "note"), f.Model, f.Problem+": "+f.Fix)
		}
	})
	if err == nil && wrong > 0 {
		return fmt.Errorf("%d of %d findings are wrong: limits in cost refuse calls for them", wrong, len(check.Items))
	}
	return err
}

// prices lists the prices of a model; empty: of all.
func (a *app) prices(cmd *cobra.Command, model string) ([]price.Price, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	set(query, "model", model)
	return readPages[price.Price](cmd.Context(), a, c, "/prices", query)
}

func pricedModels(ctx context.Context, a *app) ([]string, error) {
	return listIDs(ctx, a, "/prices", func(p price.Price) string { return p.Model })
}

func pricePath(model, from string) string {
	return "/prices/" + url.PathEscape(model) + "/" + url.PathEscape(from)
}
