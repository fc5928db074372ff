package price_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/handler/price"
)

// listOf returns the list of some prices.
func listOf(prices ...price.Price) *price.List {
	return price.NewList(price.Snapshot{Currency: currency, Prices: prices})
}

func cheap(prompt price.Decimal) price.Rates { return price.Rates{Prompt: prompt, Completion: "0"} }

func TestAPriceIsInEffectFromItsDateUntilTheNext(t *testing.T) {
	l := listOf(since("2026-12-01", cheap("3")), since("2026-11-01", cheap("1")), since("2026-11-15", cheap("2")))
	day := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		at    time.Time
		want  price.Decimal
		until time.Time
	}{
		{day(1), "1", day(15)}, {day(15).Add(-1), "1", day(15)}, {day(15), "2", day(31)},
		{time.Date(2026, 12, 1, 1, 0, 0, 0, time.FixedZone("", 3600*2)), "2", day(31)}, // 23:00 UTC of the day before
		{day(31), "3", time.Time{}}, {day(400), "3", time.Time{}},
	} {
		p, until, found := l.At("m", c.at)
		if !found || p.Prompt != c.want || !until.Equal(c.until) {
			t.Errorf("at %v: got %q until %v (%t), want %q until %v", c.at, p.Prompt, until, found, c.want, c.until)
		}
		if q, err := l.Quote("m", nil, c.at); err != nil || !q.Until.Equal(c.until) || q.Currency != "EUR" {
			t.Errorf("the quote at %v: got until %v, currency %q and error %v; want %v in EUR", c.at, q.Until, q.Currency, err, c.until)
		}
	}
	if _, until, found := l.At("m", day(1).Add(-1)); found || !until.Equal(day(1)) {
		t.Errorf("before the first price: got one (%t) until %v, want none until %v", found, until, day(1))
	}
}

func TestAModelWithoutAPriceIsUnpriced(t *testing.T) {
	unreadable := since("2026-11-20", price.Rates{})
	unreadable.Model, unreadable.Unreadable = "edited", "column multipliers is not JSON"
	before := since("2026-11-01", cheap("1"))
	before.Model = "edited"
	wrong := since("2026-11-01", cheap("one"))
	wrong.Model = "wrong"
	l := listOf(since("2026-12-01", cheap("1")), before, unreadable, wrong)
	for model, part := range map[string]string{"none": `"none"`, "M": `"M"`, "m": `"m"`, "edited": "column multipliers", "wrong": "prompt"} {
		if q, err := l.Quote(model, nil, noon); !errors.Is(err, price.ErrUnpriced) || !strings.Contains(err.Error(), part) {
			t.Errorf("model %s: got %+v and error %v, want ErrUnpriced with %s", model, q, err, part)
		}
	}
	if _, err := l.Quote("edited", nil, time.Date(2026, 11, 19, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Errorf("before the edited row begins: got error %v, want the earlier price", err)
	}
}

func TestAQuoteListsWhatAPartialPriceLeavesOutUntilAccepted(t *testing.T) {
	p := since("2026-11-01", cheap("1"))
	p.Partial = []string{"input_cost_per_token_above_200k_tokens"}
	if got := quote(t, p).Unaccepted; !slices.Equal(got, p.Partial) {
		t.Errorf("not accepted: got %q, want %q", got, p.Partial)
	}
	p.AcceptPartial = true
	if got := quote(t, p).Unaccepted; len(got) != 0 {
		t.Errorf("accepted: got %q, want none", got)
	}
}

func TestADearerTierOfServiceIsCoveredWhereAnOperatorAcceptedThatItCostsMore(t *testing.T) {
	for name, c := range map[string]struct {
		partial         []string
		accepted        bool
		priority, other bool
	}{
		"nothing left out":                 {nil, false, false, false},
		"service_tier":                     {[]string{"service_tier"}, true, true, true},
		"service_tier, not accepted":       {[]string{"service_tier"}, false, false, false},
		"a list's price for priority":      {[]string{"a_cost", "input_cost_per_token_priority"}, true, true, false},
		"the same, not accepted":           {[]string{"input_cost_per_token_priority"}, false, false, false},
		"a price above a number of tokens": {[]string{"input_cost_per_token_above_200k_tokens", "input_cost_per_token_flex"}, true, false, false},
		"a name that has the word in it":   {[]string{"input_cost_per_token_priority_audio", "a_service_tier", "x_other"}, true, false, false},
	} {
		p := since("2026-11-01", cheap("1"))
		p.Partial, p.AcceptPartial = c.partial, c.accepted
		q := quote(t, p)
		for priority, want := range map[bool]bool{true: c.priority, false: c.other} {
			if got := q.Covers("service_tier", priority); got != want {
				t.Errorf("%s, priority %t: got %t, want %t", name, priority, got, want)
			}
		}
	}
}

func TestValidateNamesTheFieldAndTheFix(t *testing.T) {
	valid := since("2026-11-01", price.Rates{Prompt: "1", Completion: "2"})
	if err := valid.Validate(); err != nil {
		t.Errorf("a valid price: got error %v, want none", err)
	}
	for want, change := range map[string]func(*price.Price){
		`model "" can't be`:                    func(p *price.Price) { p.Model = "" },
		`model "(other)" can't be`:             func(p *price.Price) { p.Model = "(other)" },
		`model ".." can't be`:                  func(p *price.Price) { p.Model = ".." },
		"at most 100 bytes":                    func(p *price.Price) { p.Model = strings.Repeat("m", 101) },
		`from "30.11.2026" is not a date: use`: func(p *price.Price) { p.From = "30.11.2026" },
		"prompt is missing: give the price":    func(p *price.Price) { p.Prompt = "" },
		"completion is missing":                func(p *price.Price) { p.Completion = "" },
		`cached "1e3" is not a decimal`:        func(p *price.Price) { p.Cached = "1e3" },
		`cacheWrite "-1" is not`:               func(p *price.Price) { p.CacheWrite = "-1" },
		`cacheWriteLong "x" is not`:            func(p *price.Price) { p.CacheWriteLong = "x" },
		`multipliers.e "1,1" is not`:           func(p *price.Price) { p.Multipliers = map[string]price.Decimal{"e": "1,1"} },
		`multipliers names ""`:                 func(p *price.Price) { p.Multipliers = map[string]price.Decimal{"": "1"} },
		`partial has the name "a\x1b[2J"`:      func(p *price.Price) { p.Partial = []string{"a\x1b[2J"} },
		`partial has the name ""`:              func(p *price.Price) { p.Partial = []string{""} },
		"partial names more than 50":           func(p *price.Price) { p.Partial = make([]string, 51) },
		"acceptPartial is set, but":            func(p *price.Price) { p.AcceptPartial = true },
		"source is too long":                   func(p *price.Price) { p.Source = strings.Repeat("s", 201) },
	} {
		p := valid
		if change(&p); p.Validate() == nil || !strings.Contains(p.Validate().Error(), want) {
			t.Errorf("got error %v, want it to contain %s", p.Validate(), want)
		}
	}
	for code, ok := range map[string]bool{"USD": true, "EUR": true, "": false, "usd": false, "US": false, "USDX": false, "U$D": false} {
		if err := (&price.Currency{Code: code}).Validate(); (err == nil) != ok {
			t.Errorf("currency %q: got error %v, want it valid: %t", code, err, ok)
		}
	}
}

func TestNormalizeWritesTheSameNumberTheSameWay(t *testing.T) {
	p := since("2026-11-01", price.Rates{Prompt: "2.50", Cached: "", CacheWrite: "x", Completion: "10.0"})
	p.Multipliers = map[string]price.Decimal{"e": "1.10"}
	p.Partial = []string{"b", "a", "b"}
	given := p
	p.Normalize()
	if p.Prompt != "2.5" || p.Cached != "" || p.CacheWrite != "x" || p.Completion != "10" || p.Multipliers["e"] != "1.1" || !slices.Equal(p.Partial, []string{"a", "b"}) {
		t.Errorf("got %+v, want prompt 2.5, completion 10, multiplier 1.1, partial a and b, and the rest unchanged", p.Terms)
	}
	if given.Multipliers["e"] != "1.10" {
		t.Errorf("the original price's multiplier: got %q, want 1.10, unchanged", given.Multipliers["e"])
	}
}
