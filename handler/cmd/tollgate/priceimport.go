package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tollgate/handler/cmd/tollgate/litellm"
	"tollgate/handler/manage"
	"tollgate/handler/price"
)

// priceImportFlags holds the flags of price import.
type priceImportFlags struct {
	models, from, exchange              string
	dryRun, yes, acceptPartial, tenfold bool
}

func (a *app) priceImport() *cobra.Command {
	var options priceImportFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Set prices from LiteLLM's list, model_prices_and_context_window.json",
		Long: `Set prices from a copy of LiteLLM's list of prices, a file that you have: nothing
is fetched. It shows what it will set and from which entry, and asks. For each
model it looks for Azure's entry (azure/MODEL, azure_ai/MODEL), then for MODEL itself.

Nothing is set if a price differs from the known one by more than tenfold, unless
--accept-tenfold is given. Prices in an entry other than those of tokens, such as
one above a number of tokens or for each search, are listed: limits in cost
refuse calls of such a model, unless --accept-partial is given. Names in partial
that were set by hand and aren't prices in the list, such as service_tier, are
kept. Other people maintain the list: compare it with what you are billed.`,
		Example: `  tollgate price import model_prices_and_context_window.json --dry-run
  tollgate price import model_prices_and_context_window.json --models gpt-4.1,our-chat=azure/gpt-4.1-mini --yes`,
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.importPrices(cmd, args[0], options) },
	}
	flags := cmd.Flags()
	flags.StringVar(&options.models, "models", "", "the models to set, as MODEL or MODEL=ENTRY, separated by commas (default: those that the gateway serves)")
	flags.StringVar(&options.exchange, "exchange-rate", "", "how much of the prices' currency a US dollar is, if that is another currency")
	flags.BoolVar(&options.dryRun, "dry-run", false, "show what would be set, and change nothing")
	flags.BoolVar(&options.yes, "yes", false, "don't ask before setting")
	flags.BoolVar(&options.acceptPartial, "accept-partial", false, "let limits in cost use prices that leave something out")
	flags.BoolVar(&options.tenfold, "accept-tenfold", false, "set prices that differ from the known ones by more than tenfold")
	dateFlag(cmd, &options.from)
	return cmd
}

// A plannedPrice is the change that an import makes to one model's price, if any.
type plannedPrice struct {
	Model  string `json:"model"`
	Entry  string `json:"entry,omitempty"` // of the list
	Result string `json:"result"`
	// Price is the price to set; nil: none is set.
	Price *price.Price `json:"price,omitempty"`
	// Tenfold names the rates that differ from the known ones by more than tenfold.
	Tenfold []string `json:"tenfold,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// A priceImporting is the state of a running import.
type priceImporting struct {
	*app
	priceImportFlags
	cmd      *cobra.Command
	file     string
	list     *litellm.List
	known    []price.Price
	currency price.Currency
	plan     []plannedPrice
}

func (a *app) importPrices(cmd *cobra.Command, file string, options priceImportFlags) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return &usageError{cmd.CommandPath(), err.Error()}
	}
	list, err := litellm.Read(text)
	if err != nil {
		return &usageError{cmd.CommandPath(), file + " " + err.Error()}
	}
	i := &priceImporting{app: a, priceImportFlags: options, cmd: cmd, file: filepath.Base(file), list: list}
	if err := i.prepare(); err != nil {
		return err
	}
	models, err := i.wanted()
	if err != nil {
		return err
	}
	for _, model := range slices.Sorted(maps.Keys(models)) {
		i.plan = append(i.plan, i.planned(model, models[model]))
	}
	if err := i.run(); err != nil {
		return err
	}
	return i.skipped()
}

// prepare reads the known prices and decides on the exchange rate.
func (i *priceImporting) prepare() (err error) {
	if _, err := price.Date(i.from).Start(); err != nil {
		return &usageError{i.cmd.CommandPath(), fmt.Sprintf("--from is %q: use a UTC date such as 2026-11-30", i.from)}
	}
	if i.known, err = i.prices(i.cmd, ""); err != nil {
		return err
	}
	if err := i.call(i.cmd, request{method: http.MethodGet, path: "/prices/currency"}, &i.currency); err != nil {
		return err
	}
	same := i.currency.Code == litellm.Currency || i.currency.Code == ""
	switch nano, err := price.Decimal(i.exchange).Nano(); {
	case i.exchange == "" && same:
		i.exchange = "1"
	case i.exchange == "":
		return &usageError{i.cmd.CommandPath(), fmt.Sprintf("the list is in %s and your prices are in %s: say with --exchange-rate how many %s a %s is", litellm.Currency, i.currency.Code, i.currency.Code, litellm.Currency)}
	case same:
		return &usageError{i.cmd.CommandPath(), "--exchange-rate is given, and the prices are in " + litellm.Currency + " as the list is: leave it out, or set another currency with 'tollgate price currency'"}
	case err != nil || nano == 0:
		return &usageError{i.cmd.CommandPath(), fmt.Sprintf("--exchange-rate is %q: use a decimal above 0, such as 0.92", i.exchange)}
	}
	return nil
}

// wanted returns the entry of each model to set; an empty one is to be found.
func (i *priceImporting) wanted() (map[string]string, error) {
	models := make(map[string]string)
	if i.models == "" {
		var check manage.PriceCheck
		if err := i.call(i.cmd, request{method: http.MethodGet, path: "/prices/check"}, &check); err != nil {
			return nil, err
		}
		for _, model := range check.Served {
			models[model] = ""
		}
		if len(models) == 0 {
			return nil, &usageError{i.cmd.CommandPath(), "--models is missing, and the models that are served are unknown here: name them"}
		}
		return models, nil
	}
	for _, text := range strings.Split(i.models, ",") {
		model, entry, named := strings.Cut(strings.TrimSpace(text), "=")
		if _, twice := models[model]; model == "" || twice || named && entry == "" {
			return nil, &usageError{i.cmd.CommandPath(), fmt.Sprintf("--models has %q: name each model once, as MODEL or MODEL=ENTRY", text)}
		}
		models[model] = entry
	}
	return models, nil
}

// planned returns what the import does about a model.
func (i *priceImporting) planned(model, entry string) plannedPrice {
	item := plannedPrice{Model: model, Entry: entry}
	if entry == "" {
		names, err := i.list.Find(model)
		if err != nil {
			item.Result = "skipped: " + err.Error()
			return item
		}
		item.Entry = names[0]
		item.Notes = i.others(names)
	}
	found, err := i.list.Price(item.Entry, price.Decimal(i.exchange))
	if err != nil {
		item.Result = "skipped: " + err.Error()
		return item
	}
	item.Notes = append(item.Notes, found.Notes...)
	p := &price.Price{Model: model, From: price.Date(i.from), Terms: price.Terms{Rates: found.Rates, Partial: found.Partial, Source: i.source(item.Entry)}}
	before, known := inEffect(i.known, model, p.From)
	if known {
		item.Notes = append(item.Notes, i.keepDecisions(p, before)...)
	}
	if i.acceptPartial && len(p.Partial) > 0 {
		p.AcceptPartial = true
	}
	item.Result = "new"
	if known {
		item.Result = "changed"
		item.Tenfold = price.TenfoldChanges(before.Rates, p.Rates)
	}
	if known && before.Rates == p.Rates && slices.Equal(before.Partial, p.Partial) && before.AcceptPartial == p.AcceptPartial && before.Unreadable == "" {
		item.Result = "unchanged"
		return item
	}
	item.Price = p
	return item
}

// others notes which other entries for the model have other prices.
func (i *priceImporting) others(names []string) (notes []string) {
	first, _ := i.list.Price(names[0], price.Decimal(i.exchange))
	for _, name := range names[1:] {
		if other, err := i.list.Price(name, price.Decimal(i.exchange)); err == nil && other.Rates != first.Rates {
			notes = append(notes, "the entry "+name+" has other prices")
		}
	}
	return notes
}

// keepDecisions copies from the price before what operators decided: multipliers, names in
// partial that no list has, and whether to accept a partial price. It returns notes on the
// names.
func (i *priceImporting) keepDecisions(p *price.Price, before price.Price) (notes []string) {
	p.Multipliers = before.Multipliers
	if byHand := slices.DeleteFunc(slices.Clone(before.Partial), litellm.IsPrice); len(byHand) > 0 {
		p.Partial = slices.Sorted(slices.Values(slices.Concat(p.Partial, byHand)))
		notes = append(notes, "keeps "+strings.Join(byHand, ", ")+" in partial, which the list doesn't have")
	}
	known := func(name string) bool { return slices.Contains(before.Partial, name) }
	p.AcceptPartial = before.AcceptPartial && len(p.Partial) > 0 && !slices.ContainsFunc(p.Partial, func(name string) bool { return !known(name) })
	if before.From == p.From {
		p.Version = before.Version
	}
	return notes
}

// source returns where a price is from.
func (i *priceImporting) source(entry string) string {
	text := clean(i.file + ": " + entry)
	if i.exchange != "1" {
		text += " × " + i.exchange
	}
	const most = 200 // as price.Terms.Source
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// run shows the plan, asks, and sets the prices.
func (i *priceImporting) run() error {
	toSet := slices.DeleteFunc(slices.Clone(i.plan), func(item plannedPrice) bool { return item.Price == nil })
	tenfold := slices.ContainsFunc(toSet, func(item plannedPrice) bool { return len(item.Tenfold) > 0 })
	if err := i.show(); err != nil {
		return err
	}
	switch {
	case tenfold && !i.tenfold:
		return errors.New("nothing was set: prices differ from the known ones by more than tenfold. Compare them with your bill, and give --accept-tenfold if they are right")
	case i.dryRun || len(toSet) == 0:
		return nil
	}
	if err := i.confirm(i.yes, fmt.Sprintf("Set %d prices from %s on?", len(toSet), i.from), "set"); err != nil {
		return err
	}
	if i.currency.Code == "" {
		if err := i.call(i.cmd, request{method: http.MethodPut, path: "/prices/currency", body: price.Currency{Code: litellm.Currency}}, nil); err != nil {
			return err
		}
	}
	for n, item := range toSet {
		p := item.Price
		change := request{method: http.MethodPut, path: pricePath(p.Model, string(p.From)), body: p.Terms, version: p.Version, mustNotExist: p.Version == 0}
		if err := i.call(i.cmd, change, nil); err != nil {
			return fmt.Errorf("%d of %d prices were set; the one of %s was not: %w", n, len(toSet), p.Model, err)
		}
	}
	i.note("%d of %d prices are set.", len(toSet), len(i.plan))
	return nil
}

// skipped returns an error if some models were not set.
func (i *priceImporting) skipped() error {
	n := 0
	for _, item := range i.plan {
		if strings.HasPrefix(item.Result, "skipped") {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d models were skipped: set their prices with 'tollgate price set'", n, len(i.plan))
}

// show prints what the import will do.
func (i *priceImporting) show() error {
	for n, item := range i.plan { // text of the file must not reach a terminal uncleaned, not even as JSON
		i.plan[n].Result, i.plan[n].Entry = clean(item.Result), clean(item.Entry)
	}
	i.note("Prices of a million tokens, in %s, from %s on.", ifElse(i.currency.Code != "", i.currency.Code, litellm.Currency+", which becomes the currency"), i.from)
	return i.print(i.plan, func(w io.Writer) {
		row(w, "MODEL", "ENTRY", "PROMPT", "CACHED", "CACHE WRITE", "LONG WRITE", "COMPLETION", "RESULT")
		for _, item := range i.plan {
			p := price.Price{}
			if item.Price != nil {
				p = *item.Price
			}
			row(w, item.Model, item.Entry, string(p.Prompt), string(p.Cached), string(p.CacheWrite), string(p.CacheWriteLong), string(p.Completion), item.Result)
		}
		i.showNotes(w)
	})
}

// showNotes prints notes about the prices, one a line.
func (i *priceImporting) showNotes(w io.Writer) {
	heading := "\nNotes:\n"
	say := func(model, text string) {
		fmt.Fprintf(w, "%s  %s: %s\n", heading, model, clean(text))
		heading = ""
	}
	for _, item := range i.plan {
		for _, change := range item.Tenfold {
			say(item.Model, "more than tenfold: "+change)
		}
		if p := item.Price; p != nil && len(p.Partial) > 0 {
			say(item.Model, "leaves out "+strings.Join(p.Partial, ", ")+ifElse(p.AcceptPartial, ", which is accepted", ": limits in cost will refuse its calls, unless you give --accept-partial"))
		}
		for _, note := range item.Notes {
			say(item.Model, note)
		}
	}
}
