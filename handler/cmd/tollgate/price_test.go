package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/handler/price"
)

// litellmList is a list with a model that has prices of tokens only, and one whose entry leaves
// something out.
const litellmList = `{
 "sample_spec": {"input_cost_per_token": 0.0},
 "azure/plain": {"input_cost_per_token": 5.5e-07, "output_cost_per_token": 2.19e-06, "cache_read_input_token_cost": 2.75e-07, "mode": "chat"},
 "plain": {"input_cost_per_token": 6e-07, "output_cost_per_token": 2.19e-06, "mode": "chat"},
 "azure/dear": {"input_cost_per_token": 5.6e-06, "output_cost_per_token": 2.19e-06, "mode": "chat"},
 "tiered": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "input_cost_per_token_above_200k_tokens": 6e-06, "mode": "chat"},
 "unknown": {"input_cost_per_token": 0, "output_cost_per_token": 0, "mode": "chat"}
}`

// file writes a file in the terminal's folder and returns its path.
func (m *terminal) file(name, content string) string {
	m.t.Helper()
	path := filepath.Join(m.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// priceOf returns the terms of a model's price in effect at noon of a day.
func (m *terminal) priceOf(model string, day price.Date) (price.Price, bool) {
	m.t.Helper()
	var all []price.Price
	if err := json.Unmarshal([]byte(m.must("price", "list", "-o", "json")), &all); err != nil {
		m.t.Fatal(err)
	}
	return inEffect(all, model, day)
}

func wantRates(t *testing.T, what string, got, want price.Rates) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// onBoth runs a test both on the tables and through a gateway.
func onBoth(t *testing.T, test func(*testing.T, *terminal)) {
	t.Run("tables", func(t *testing.T) { test(t, newTerminal(t)) })
	t.Run("server", func(t *testing.T) {
		m := newTerminal(t)
		m.deploy()
		test(t, m)
	})
}

func TestPricesAreSetShownAndDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, m *terminal) {
		m.fails(exitUsage, []string{"currency is not set", "tollgate price currency"}, "price", "set", "a/b", "--prompt", "1", "--completion", "2")
		m.fails(exitUsage, []string{"three capital letters"}, "price", "currency", "dollar")
		if shown := m.must("price", "currency", "EUR"); strings.TrimSpace(shown) != "EUR" {
			t.Errorf("price currency: got %q, want EUR", shown)
		}
		m.fails(exitUsage, []string{"completion is missing"}, "price", "set", "a/b", "--prompt", "1")
		m.fails(exitUsage, []string{`prompt "1,5" is not`}, "price", "set", "a/b", "--prompt", "1,5", "--completion", "2")
		m.fails(exitUsage, []string{`from "soon" is not a date`}, "price", "set", "a/b", "--prompt", "1", "--completion", "2", "--from", "soon")
		shown := m.must("price", "set", "a/b", "--prompt", "1.50", "--completion", "2", "--cached", "0.1", "--multiplier", "zone=1.1", "--from", "2026-01-01", "--source", "bill")
		if !strings.Contains(shown, "1.5 ") || !strings.Contains(shown, "zone × 1.1") || !strings.Contains(shown, "yes") {
			t.Errorf("price set: got\n%s\nwant 1.5, the multiplier, and that it is in effect", shown)
		}
		m.must("price", "set", "a/b", "--cached", "", "--completion", "3", "--from", "2026-01-01")
		got, _ := m.priceOf("a/b", "2026-06-01")
		wantRates(t, "a changed price", got.Rates, price.Rates{Prompt: "1.5", Completion: "3"})
		m.must("price", "set", "a/b", "--prompt", "4", "--completion", "5", "--from", "2099-01-01")
		got, _ = m.priceOf("a/b", "2099-01-01")
		if got.Multipliers["zone"] != "1.1" || got.Source != "" {
			t.Errorf("a later price: got %+v, want the multiplier of the one before, and not its source", got)
		}
		if shown := m.must("price", "show", "a/b"); !strings.Contains(shown, "2026-01-01 (in effect)") || !strings.Contains(shown, "2099-01-01\n") || !strings.Contains(shown, "bill") {
			t.Errorf("price show: got\n%s\nwant both prices, the first in effect, with its source", shown)
		}
		m.fails(exitUsage, []string{"delete the prices first"}, "price", "currency", "USD")
		m.fails(exitUsage, []string{"--from is missing"}, "price", "delete", "a/b")
		m.must("price", "delete", "a/b", "--from", "2099-01-01")
		m.fails(exitNotFound, []string{`model "a/b" from 2099-01-01`}, "price", "delete", "a/b", "--from", "2099-01-01")
		m.fails(exitNotFound, []string{`no price of model "c"`}, "price", "show", "c")
		m.must("price", "set", "a/b", "--multiplier", "zone=", "--from", "2026-01-01")
		if got, _ = m.priceOf("a/b", "2026-06-01"); len(got.Multipliers) != 0 {
			t.Errorf("a multiplier that was removed: got %v, want none", got.Multipliers)
		}
		if shown := m.must("audit", "a/b"); !strings.Contains(shown, "price.create") || !strings.Contains(shown, "price.change") || !strings.Contains(shown, "price.delete") {
			t.Errorf("audit: got\n%s\nwant the price's creation, change and deletion", shown)
		}
	})
}

func TestAnImportShowsWhatItSets(t *testing.T) {
	onBoth(t, func(t *testing.T, m *terminal) {
		list := m.file("prices.json", litellmList)
		shown := m.must("price", "import", list, "--models", "plain,own=tiered", "--dry-run")
		for _, part := range []string{"azure/plain", "0.55", "0.275", "2.19", "the entry plain has other prices", "own: leaves out input_cost_per_token_above_200k_tokens", "--accept-partial"} {
			if !strings.Contains(shown, part) {
				t.Errorf("a dry run: got\n%s\nwant %q in it", shown, part)
			}
		}
		if _, found := m.priceOf("plain", "2099-01-01"); found {
			t.Error("a dry run: got a price set, want none")
		}
		m.must("price", "import", list, "--models", "plain,own=tiered", "--yes", "--from", "2026-01-01")
		plain, _ := m.priceOf("plain", "2026-01-01")
		wantRates(t, "plain", plain.Rates, price.Rates{Prompt: "0.55", Cached: "0.275", Completion: "2.19"})
		if plain.Source != "prices.json: azure/plain" {
			t.Errorf("plain: got the source %q, want the file and the entry", plain.Source)
		}
		own, _ := m.priceOf("own", "2026-01-01")
		if !slices.Equal(own.Partial, []string{"input_cost_per_token_above_200k_tokens"}) || own.AcceptPartial {
			t.Errorf("own: got partial %q, accepted %t; want the price above 200k tokens, not accepted", own.Partial, own.AcceptPartial)
		}
		if got := strings.TrimSpace(m.must("price", "currency")); got != "USD" {
			t.Errorf("currency: got %s, want USD, which the list is in", got)
		}
		if shown := m.must("price", "import", list, "--models", "plain", "--yes"); !strings.Contains(shown, "unchanged") {
			t.Errorf("a second import: got\n%s\nwant \"unchanged\"", shown)
		}
		m.must("price", "set", "own", "--accept-partial", "--multiplier", "zone=1.1", "--from", "2026-01-01")
		m.must("price", "import", m.file("later.json", strings.ReplaceAll(litellmList, "3e-06", "4e-06")), "--models", "own=tiered", "--yes", "--from", "2026-06-01")
		if own, _ = m.priceOf("own", "2026-06-01"); own.Prompt != "4" || own.Multipliers["zone"] != "1.1" || !own.AcceptPartial {
			t.Errorf("a later import: got %+v, want 4, the operator's multiplier, and what was accepted", own)
		}
	})
}

func TestAnImportKeepsNamesThatWereSetByHand(t *testing.T) {
	m := newTerminal(t)
	m.must("price", "currency", "USD")
	const above200k = "input_cost_per_token_above_200k_tokens"
	list := m.file("prices.json", litellmList)
	for name, c := range map[string]struct {
		model    string // of the list
		before   string // in partial
		accepted bool
		partial  []string
		accepts  bool
		shown    string
	}{
		"a complete price":            {"plain", "service_tier,speed", true, []string{"service_tier", "speed"}, true, "keeps service_tier, speed in partial, which the list doesn't have"},
		"a price with a name of both": {"tiered", above200k + ",speed", true, []string{above200k, "speed"}, true, "keeps speed in partial"},
		"a new name in the list":      {"tiered", "service_tier", true, []string{above200k, "service_tier"}, false, "leaves out " + above200k + ", service_tier: limits in cost will refuse"},
		"names that nobody accepted":  {"plain", "service_tier", false, []string{"service_tier"}, false, "leaves out service_tier: limits in cost will refuse"},
		"a name the list has no more": {"plain", above200k + ",a_fee", true, nil, false, "changed"},
	} {
		model := strings.ReplaceAll(name, " ", "-")
		set := []string{"price", "set", model, "--prompt", "1", "--completion", "2", "--from", "2026-01-01", "--partial", c.before}
		if c.accepted {
			set = append(set, "--accept-partial")
		}
		m.must(set...)
		shown := m.must("price", "import", list, "--models", model+"="+c.model, "--yes", "--from", "2026-02-01")
		if !strings.Contains(shown, c.shown) {
			t.Errorf("%s: got\n%s\nwant %q in it", name, shown, c.shown)
		}
		if got, _ := m.priceOf(model, "2026-02-01"); !slices.Equal(got.Partial, c.partial) || got.AcceptPartial != c.accepts {
			t.Errorf("%s: got partial %q, accepted %t; want %q, %t", name, got.Partial, got.AcceptPartial, c.partial, c.accepts)
		}
		again := m.must("price", "import", list, "--models", model+"="+c.model, "--yes", "--from", "2026-02-01")
		if !strings.Contains(again, "unchanged") {
			t.Errorf("%s, imported again: got\n%s\nwant \"unchanged\"", name, again)
		}
	}
}

func TestAnImportOfMoreThanTenfoldSetsNothing(t *testing.T) {
	m := newTerminal(t)
	list := m.file("prices.json", litellmList)
	m.must("price", "import", list, "--models", "plain", "--yes", "--from", "2026-01-01")
	stdout, stderr, status := m.run("price", "import", list, "--models", "plain=azure/dear,tiered", "--yes", "--from", "2026-02-01")
	if status != exitFailed || !strings.Contains(stdout, "more than tenfold: prompt changes from 0.55 to 5.6") || !strings.Contains(stderr, "nothing was set") || !strings.Contains(stderr, "--accept-tenfold") {
		t.Errorf("got status %d and\n%s%s\nwant %d, the rate, and how to go on", status, stdout, stderr, exitFailed)
	}
	if _, found := m.priceOf("tiered", "2099-01-01"); found {
		t.Error("tiered: got a price, want nothing set")
	}
	m.must("price", "import", list, "--models", "plain=azure/dear,tiered", "--yes", "--from", "2026-02-01", "--accept-tenfold")
	if got, _ := m.priceOf("plain", "2026-02-01"); got.Prompt != "5.6" {
		t.Errorf("with --accept-tenfold: got %+v, want 5.6", got.Rates)
	}
}

func TestAnImportAsks(t *testing.T) {
	m := newTerminal(t)
	list := m.file("prices.json", litellmList)
	for answer, want := range map[string]int{"": exitFailed, "n\n": exitFailed, "\n": exitFailed, "y\n": exitDone} {
		var out, err bytes.Buffer
		a := &app{getenv: func(name string) string { return m.environment[name] }, stdin: strings.NewReader(answer), stdout: &out, stderr: &err, tables: m.tables}
		model := map[int]string{exitDone: "plain", exitFailed: "tiered"}[want]
		if got := a.execute(t.Context(), []string{"price", "import", list, "--models", model}); got != want || !strings.Contains(err.String(), "Set 1 prices") {
			t.Errorf("answer %q: got status %d and %s, want %d after the question", answer, got, err.String(), want)
		}
	}
	if _, found := m.priceOf("tiered", "2099-01-01"); found {
		t.Error("without a yes: got a price set, want none")
	}
	if _, found := m.priceOf("plain", "2099-01-01"); !found {
		t.Error("after y: got no price, want it set")
	}
}

func TestAnImportConvertsOnlyWithAnExchangeRate(t *testing.T) {
	m := newTerminal(t)
	list := m.file("prices.json", litellmList)
	m.must("price", "currency", "EUR")
	m.fails(exitUsage, []string{"how many EUR a USD is"}, "price", "import", list, "--models", "plain")
	m.fails(exitUsage, []string{`--exchange-rate is "0"`}, "price", "import", list, "--models", "plain", "--exchange-rate", "0")
	m.must("price", "import", list, "--models", "plain", "--exchange-rate", "0.9", "--yes")
	got, _ := m.priceOf("plain", "2099-01-01")
	wantRates(t, "at 0.9", got.Rates, price.Rates{Prompt: "0.495", Cached: "0.2475", Completion: "1.971"})
	if !strings.HasSuffix(got.Source, "× 0.9") {
		t.Errorf("got the source %q, want the rate in it", got.Source)
	}
}

func TestAFaultyImportIsRefused(t *testing.T) {
	m := newTerminal(t)
	list := m.file("prices.json", litellmList)
	m.fails(exitUsage, []string{"no such file"}, "price", "import", "nowhere.json", "--models", "plain")
	m.fails(exitUsage, []string{"is not a JSON object"}, "price", "import", m.file("broken.json", litellmList[:80]), "--models", "plain")
	m.fails(exitUsage, []string{"twice"}, "price", "import", m.file("twice.json", `{"a":{},"a":{}}`), "--models", "a")
	m.fails(exitUsage, []string{"--models is missing"}, "price", "import", list)
	m.fails(exitUsage, []string{"name each model once"}, "price", "import", list, "--models", "plain,plain")
	m.fails(exitUsage, []string{"name each model once"}, "price", "import", list, "--models", "plain=")
	m.fails(exitUsage, []string{"--from is"}, "price", "import", list, "--models", "plain", "--from", "1")
	m.fails(exitUsage, []string{"leave it out"}, "price", "import", list, "--models", "plain", "--exchange-rate", "2")
	stdout, stderr, status := m.run("price", "import", list, "--models", "plain,unknown,none", "--yes")
	if status != exitFailed || !strings.Contains(stdout, "skipped: the list has no entry") || !strings.Contains(stdout, "may mean that it is unknown") || !strings.Contains(stderr, "2 of 3 models were skipped") {
		t.Errorf("got status %d and\n%s%s\nwant %d, and the two models that were skipped", status, stdout, stderr, exitFailed)
	}
	if _, found := m.priceOf("plain", "2099-01-01"); !found {
		t.Error("plain: got no price, want it set beside the skipped ones")
	}
}

func TestTheServedModelsAreImportedAndChecked(t *testing.T) {
	m := newTerminal(t)
	list := m.file("prices.json", litellmList)
	m.must("price", "currency", "USD")
	if _, stderr, status := m.run("price", "check"); status != exitDone || !strings.Contains(stderr, "are unknown here") {
		t.Errorf("without the gateway's settings: got status %d and %s, want %d and that the models are unknown", status, stderr, exitDone)
	}
	m.environment["UPSTREAM_URL"], m.environment["UPSTREAM_API_KEY"], m.environment["MODELS"] = "https://x.services.ai.azure.com", "k", "plain,tiered"
	stdout, stderr, status := m.run("price", "check")
	if status != exitFailed || strings.Count(stdout, "WRONG") != 2 || !strings.Contains(stdout, "tollgate price set plain") || !strings.Contains(stderr, "2 of 2") {
		t.Errorf("before the import: got status %d and\n%s%s\nwant %d and both models", status, stdout, stderr, exitFailed)
	}
	m.must("price", "import", list, "--yes")
	if stdout, _, status := m.run("price", "check"); status != exitFailed || strings.Count(stdout, "WRONG") != 1 || !strings.Contains(stdout, "input_cost_per_token_above_200k_tokens") {
		t.Errorf("after the import: got status %d and\n%s\nwant %d and tiered, whose price leaves something out", status, stdout, exitFailed)
	}
	m.must("price", "set", "tiered", "--accept-partial")
	tomorrow := string(price.DateOf(time.Now().Add(48 * time.Hour)))
	m.must("price", "set", "plain", "--prompt", "0.6", "--completion", "2.19", "--from", tomorrow)
	if shown := m.must("price", "check"); !strings.Contains(shown, "note") || !strings.Contains(shown, "on "+tomorrow+" its price changes") {
		t.Errorf("once accepted: got\n%s\nwant a note of the change alone", shown)
	}
}

func TestAPriceImportPrintsNoControlCharacters(t *testing.T) {
	m := newTerminal(t)
	list := m.file("prices.json", `{"azure/m":{"input_cost_per_token":1e-6,"output_cost_per_token":1e-6,"\u001b[2Jcost":1}}`)
	if shown := m.must("price", "import", list, "--models", "m", "--yes"); strings.Contains(shown, "\x1b") {
		t.Errorf("got %q, want no control characters", shown)
	}
}
