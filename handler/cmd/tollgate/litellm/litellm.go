// Package litellm reads LiteLLM's list of prices, model_prices_and_context_window.json. It is
// one JSON object with an entry for each model and provider, whose prices are in US dollars for
// one token. The package fetches nothing.
//
// Read reads the list, Find finds the entries for a model, and Price converts an entry. Fields
// with prices that Tollgate can't express are listed, not ignored.
//
// Start reading at List.Price.
package litellm

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tollgate/handler/jsonscan"
	"tollgate/handler/price"
)

// Currency is the currency of the list's prices.
const Currency = "USD"

// sample is the list's entry that only explains the fields.
const sample = "sample_spec"

// A List is a list of prices. Make one with Read.
type List struct{ entries map[string]json.RawMessage }

// Read reads a list. It rejects a list with two entries or fields of the same name, since it
// can't know which of two prices is right.
func Read(text []byte) (*List, error) {
	s := jsonscan.New(text, jsonscan.Options{MaxDepth: 100})
	err := s.SkipDistinct(jsonscan.Keys{})
	if twice, ok := errors.AsType[*jsonscan.KeyError](err); ok {
		return nil, fmt.Errorf("has %q twice in one object: remove one of the two", twice.Key)
	}
	l := new(List)
	if err != nil || !s.AtEnd() || json.Unmarshal(text, &l.entries) != nil || l.entries == nil {
		return nil, errors.New("is not a JSON object of models: download it again")
	}
	delete(l.entries, sample)
	return l, nil
}

// providers are the prefixes of the entries that are looked for, best first: Azure's own
// prices, then those of models as their makers sell them.
var providers = []string{"azure/", "azure_ai/", ""}

// Find returns the names of the entries for a model: Azure's first. A name that differs
// from an entry's in case only is the entry's if no other entry is as near.
func (l *List) Find(model string) (names []string, err error) {
	for _, prefix := range providers {
		name, err := l.named(prefix + model)
		if err != nil {
			return nil, err
		}
		if name != "" {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil, fmt.Errorf("the list has no entry for it: name one with --models %s=ENTRY", model)
	}
	return names, nil
}

// named returns the name of the entry with a name or, if there is none, of the only entry whose
// name differs in case; "" if there is none either.
func (l *List) named(name string) (string, error) {
	if _, exact := l.entries[name]; exact {
		return name, nil
	}
	var near []string
	for entry := range l.entries {
		if strings.EqualFold(entry, name) {
			near = append(near, entry)
		}
	}
	switch len(near) {
	case 0:
		return "", nil
	case 1:
		return near[0], nil
	}
	slices.Sort(near)
	return "", fmt.Errorf("the list has the entries %s, which differ in case only: name one with --models", strings.Join(near, " and "))
}

// An Entry is the price in one entry of the list.
type Entry struct {
	Rates price.Rates
	// Partial names the price fields that Rates can't express and that may make a call cost
	// more.
	Partial []string
	// Notes say what was left out or rounded.
	Notes []string
}

// Fields of an entry that are converted to rates.
const (
	promptField     = "input_cost_per_token"
	completionField = "output_cost_per_token"
	cachedField     = "cache_read_input_token_cost"
	writeField      = "cache_creation_input_token_cost"
	longWriteField  = "cache_creation_input_token_cost_above_1hr"
)

// Price returns the price of the entry with a name, for a million tokens. exchange is the price
// of a dollar in the deployment's currency.
func (l *List) Price(name string, exchange price.Decimal) (Entry, error) {
	text, there := l.entries[name]
	if !there {
		return Entry{}, fmt.Errorf("the list has no entry %q: name another", name)
	}
	r := &reader{exchange: exchange}
	if json.Unmarshal(text, &r.fields) != nil || r.fields == nil {
		return Entry{}, fmt.Errorf("the entry %q is not an object", name)
	}
	if err := r.rates(); err != nil {
		return Entry{}, fmt.Errorf("the entry %q: %w", name, err)
	}
	if err := r.rest(); err != nil {
		return Entry{}, fmt.Errorf("the entry %q: %w", name, err)
	}
	return r.found, nil
}

// A reader reads one entry.
type reader struct {
	fields   map[string]json.RawMessage
	exchange price.Decimal
	found    Entry
}

// rates reads the fields that are converted to rates.
func (r *reader) rates() (err error) {
	into := &r.found.Rates
	for name, rate := range map[string]*price.Decimal{promptField: &into.Prompt, completionField: &into.Completion, cachedField: &into.Cached,
		writeField: &into.CacheWrite, longWriteField: &into.CacheWriteLong} {
		if *rate, err = r.rate(name); err != nil {
			return err
		}
	}
	if r.mode() == "embedding" && into.Completion == "" {
		into.Completion = "0" // embeddings have no completion
	}
	for _, required := range []struct {
		name string
		rate price.Decimal
	}{{promptField, into.Prompt}, {completionField, into.Completion}} {
		switch {
		case required.rate == "":
			return fmt.Errorf("%s is missing: set the price with 'tollgate price set'", required.name)
		case required.rate == "0" && !(required.name == completionField && r.mode() == "embedding"):
			return fmt.Errorf("%s is 0, which may mean that it is unknown: if it is free, set it to 0 with 'tollgate price set'", required.name)
		}
	}
	for name, rate := range map[string]*price.Decimal{cachedField: &into.Cached, writeField: &into.CacheWrite, longWriteField: &into.CacheWriteLong} {
		if *rate == "0" {
			*rate = ""
			r.note(name + " is 0, which may mean that it is unknown: left out, so these tokens cost as much as the dearest of the prompt")
		}
	}
	slices.Sort(r.found.Notes)
	return nil
}

func (r *reader) note(text string) { r.found.Notes = append(r.found.Notes, text) }

// mode returns what the model does, such as chat or embedding.
func (r *reader) mode() (mode string) {
	_ = json.Unmarshal(r.fields["mode"], &mode) // "" if there is none
	return mode
}

// rate returns a field as a price for a million tokens; empty if there is none.
func (r *reader) rate(name string) (price.Decimal, error) {
	text := string(r.fields[name])
	if text == "" || text == "null" {
		return "", nil
	}
	nano, exact, err := perMillion(text, r.exchange)
	if err != nil {
		return "", fmt.Errorf("%s %w", name, err)
	}
	if !exact {
		r.note(fmt.Sprintf("%s is rounded up to %s for a million tokens", name, price.Format(nano)))
	}
	return price.Format(nano), nil
}
