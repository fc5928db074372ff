package litellm

import (
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tollgate/handler/price"
)

// example returns the list in testdata.
func example(t testing.TB) *List {
	t.Helper()
	text, err := os.ReadFile("testdata/prices.json")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAnEntryBecomesAPrice(t *testing.T) {
	for name, want := range map[string]Entry{
		"azure/plain-1": {Rates: price.Rates{Prompt: "0.55", Cached: "0.275", Completion: "2.19"}, Notes: []string{"input_cost_per_token_batches is left out: Tollgate serves no batches"}},
		"azure_ai/tiered-2": {Rates: price.Rates{Prompt: "3", Cached: "0.3", CacheWrite: "3.75", CacheWriteLong: "6", Completion: "15"},
			Partial: []string{"cache_creation_input_token_cost_above_200k_tokens", "cache_read_input_token_cost_above_200k_tokens",
				"input_cost_per_token_above_200k_tokens", "output_cost_per_token_above_200k_tokens", "search_context_cost_per_query"}},
		"azure/small-embed": {Rates: price.Rates{Prompt: "0.02", Completion: "0"}},
	} {
		got, err := example(t).Price(name, "1")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: got error %v and an entry that differs (-want +got):\n%s", name, err, diff)
		}
	}
	got, err := example(t).Price("azure/plain-1", "0.9")
	if want := (price.Rates{Prompt: "0.495", Cached: "0.2475", Completion: "1.971"}); err != nil || got.Rates != want {
		t.Errorf("at 0.9 to the dollar: got %+v and error %v, want %+v", got.Rates, err, want)
	}
}

// entry returns the result of an entry with prices of 1 and 2 dollars and the given fields.
func entry(t *testing.T, fields string) (Entry, error) {
	t.Helper()
	l, err := Read([]byte(`{"m":{"input_cost_per_token":1e-6,"output_cost_per_token":2e-6` + fields + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return l.Price("m", "1")
}

func TestWhatMakesCallsDearerIsNamed(t *testing.T) {
	for fields, partial := range map[string]bool{
		`,"input_cost_per_token_above_128k_tokens":1.0e-6`:         false,
		`,"input_cost_per_token_above_128k_tokens":1.1e-6`:         true,
		`,"input_cost_per_token_priority":2e-6`:                    true,
		`,"output_cost_per_token_flex":1e-6`:                       false,
		`,"input_cost_per_audio_token":4e-5`:                       true,
		`,"output_cost_per_reasoning_token":3e-6`:                  true,
		`,"output_cost_per_reasoning_token":2e-6`:                  false,
		`,"input_cost_per_token_cache_hit":1e-7`:                   false,
		`,"cache_read_input_token_cost_priority":1e-6`:             false, // without a rate of its own, a cached token costs as much as any
		`,"input_cost_per_image":0.001`:                            true,
		`,"input_cost_per_image":0`:                                false,
		`,"input_cost_per_1k_tokens":1e-7`:                         true,
		`,"tiered_pricing":[{"range":[0,1]}]`:                      true,
		`,"tiered_pricing":[]`:                                     false,
		`,"search_context_cost_per_query":{"low":0.0,"high":null}`: false,
		`,"search_context_cost_per_query":{"low":0.01}`:            true,
		`,"provider_specific_entry":{"us":1.1}`:                    true,
		`,"file_search_cost_per_1k_calls":"2.5"`:                   true,
		`,"code_interpreter_cost_per_session":1e-400`:              true, // can't be read: it may be anything
		`,"supports_vision":true,"max_tokens":5`:                   false,
	} {
		if got, err := entry(t, fields); err != nil || (len(got.Partial) > 0) != partial {
			t.Errorf("%s: got %+v and error %v, want a field named: %t", fields, got, err, partial)
		}
	}
}

func TestAnEntryWithoutAUsablePriceIsRefused(t *testing.T) {
	l := example(t)
	for name, part := range map[string]string{"azure/unknown-3": "may mean that it is unknown", "azure/picture-4": "input_cost_per_token is missing", "sample_spec": "no entry", "none": "no entry"} {
		if got, err := l.Price(name, "1"); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %+v and error %v, want %s", name, got, err, part)
		}
	}
	for _, text := range []string{`{"m":[]}`, `{"m":null}`, `{"m":5}`,
		`{"m":{"input_cost_per_token":"1e-6","output_cost_per_token":2e-6}}`, `{"m":{"input_cost_per_token":-1e-6,"output_cost_per_token":2e-6}}`,
		`{"m":{"input_cost_per_token":1e999999999,"output_cost_per_token":2e-6}}`, `{"m":{"input_cost_per_token":1e9,"output_cost_per_token":2e-6}}`,
		`{"m":{"input_cost_per_token":1e-6}}`, `{"m":{"input_cost_per_token":1e-6,"output_cost_per_token":null}}`, `{"m":{"input_cost_per_token":1e-6,"output_cost_per_token":{}}}`,
		`{"m":{"input_cost_per_token":0.` + strings.Repeat("1", 100) + `,"output_cost_per_token":2e-6}}`} {
		l, err := Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.Price("m", "1"); err == nil {
			t.Errorf("%s: got %+v, want an error", text, got)
		}
	}
	for _, text := range []string{"", "[]", "null", "{", `{"a":{}} {}`, `{"a":{},"a":{}}`, `{"a":{"input_cost_per_token":1,"input_cost_per_token":2}}`, "\x00", `{"a":` + strings.Repeat("[", 1000)} {
		if _, err := Read([]byte(text)); err == nil {
			t.Errorf("%.60q: got no error, want one", text)
		}
	}
	if got, err := entry(t, `,"cache_read_input_token_cost":0`); err != nil || got.Rates.Cached != "" || len(got.Notes) != 1 {
		t.Errorf("cached tokens for 0: got %+v and error %v, want the rate left out, with a note", got, err)
	}
}

func TestOfAModelsEntriesAzuresComeFirst(t *testing.T) {
	l := example(t)
	for model, want := range map[string][]string{"plain-1": {"azure/plain-1", "plain-1"}, "PLAIN-1": {"azure/plain-1", "plain-1"}, "cased": {"azure_ai/Cased"}, "tiered-2": {"azure_ai/tiered-2"}} {
		if got, err := l.Find(model); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q and error %v, want %q", model, got, err, want)
		}
	}
	if _, err := l.Find("none"); err == nil || !strings.Contains(err.Error(), "--models none=ENTRY") {
		t.Errorf("a model without an entry: got error %v, want one that says how to name one", err)
	}
	two, err := Read([]byte(`{"azure/M":{},"azure/m":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := two.Find("m"); err != nil || got[0] != "azure/m" {
		t.Errorf("an exact name beside one in another case: got %q and error %v, want azure/m", got, err)
	}
	upper, err := Read([]byte(`{"azure/mM":{},"azure/Mm":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := upper.Find("m" + "m"); err == nil || !strings.Contains(err.Error(), "azure/Mm and azure/mM") {
		t.Errorf("two names in other cases: got %q and error %v, want both named", got, err)
	}
}

func TestNumbersAreReadExactly(t *testing.T) {
	for text, want := range map[string]struct {
		nano  int64
		exact bool
	}{
		"5.5e-07": {550_000_000, true}, "5.5E-7": {550_000_000, true}, "0.00000055": {550_000_000, true}, "1e-15": {1, true}, "1e-16": {1, false},
		"1.0000000000000001e-06": {1_000_000_001, false}, "0": {0, true}, "0.0": {0, true}, "0e5": {0, true}, "3": {3_000_000_000_000_000, true},
	} {
		if nano, exact, err := perMillion(text, "1"); nano != want.nano || exact != want.exact || err != nil {
			t.Errorf("%s: got %d (exact: %t) and error %v, want %d (%t)", text, nano, exact, err, want.nano, want.exact)
		}
	}
}

func FuzzPerMillion(f *testing.F) {
	for _, seed := range []string{"5.5e-07", "1e-15", "0", "1e64", "-1", "1.0000000000000001e-06", "9e99", "01", `"1"`, "1e+3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		nano, exact, err := perMillion(text, "1")
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q: got %d, want an error", text, nano)
		}
		want.Mul(want, big.NewRat(1e15, 1))
		if c := new(big.Rat).SetInt64(nano).Cmp(want); c < 0 || exact != (c == 0) || new(big.Rat).SetInt64(nano-1).Cmp(want) >= 0 {
			t.Fatalf("%q: got %d (exact: %t), want %v rounded up", text, nano, exact, want)
		}
	})
}

func FuzzRead(f *testing.F) {
	text, err := os.ReadFile("testdata/prices.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, "plain-1")
	f.Add([]byte(`{"m":{"input_cost_per_token":1e-6,"output_cost_per_token":2e-6,"x_cost":{"a":[1,{}]}}}`), "m")
	f.Add([]byte(`{"m":{"input_cost_per_token":1e-6,"output_cost_per_token":2e-6,"cost\u001b":1}}`), "m")
	f.Fuzz(func(t *testing.T, text []byte, model string) {
		l, err := Read(text)
		if err != nil {
			return
		}
		names, err := l.Find(model)
		if err != nil {
			return
		}
		for _, name := range names {
			got, err := l.Price(name, "1")
			if err != nil {
				continue
			}
			p := price.Price{Model: "m", From: "2026-11-01", Terms: price.Terms{Rates: got.Rates, Partial: got.Partial}}
			if err := p.Validate(); err != nil {
				t.Fatalf("%s: got %+v, which is no valid price: %v", name, got, err)
			}
		}
	})
}

func TestErrorsNameTheEntryAndTheField(t *testing.T) {
	l, err := Read([]byte(`{"m":{"input_cost_per_token":"free","output_cost_per_token":2e-6}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Price("m", "1"); !errors.Is(err, errNumber) || fmt.Sprint(err) != `the entry "m": input_cost_per_token is not a price for one token: repair the file` {
		t.Errorf("got error %v, want the entry, the field and the fix", err)
	}
}
