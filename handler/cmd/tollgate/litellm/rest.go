package litellm

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"tollgate/handler/price"
)

// priceWords are parts of the names of fields that hold prices.
var priceWords = []string{"cost", "pric", "fee", "multiplier", "uplift", "surcharge", "provider_specific_entry"}

// rest lists in Partial the price fields that are not converted to rates, except those that
// can't make a call cost more than the rates.
func (r *reader) rest() error {
	covered, err := r.found.Rates.Filled()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.fields)) {
		switch {
		case slices.Contains([]string{promptField, completionField, cachedField, writeField, longWriteField}, name), !IsPrice(name), isNothing(r.fields[name]):
		case strings.HasSuffix(name, "_batches"):
			r.note(name + " is left out: Tollgate serves no batches")
		case !r.within(name, covered):
			r.found.Partial = append(r.found.Partial, safeName(name))
		}
	}
	const most = 50 // as price.Terms.Partial
	r.found.Partial = r.found.Partial[:min(len(r.found.Partial), most)]
	return nil
}

// IsPrice reports whether a field's name is that of a price. Entry.Partial has no others.
func IsPrice(name string) bool {
	return slices.ContainsFunc(priceWords, func(word string) bool { return strings.Contains(strings.ToLower(name), word) })
}

// isNothing reports whether a value says that there is no price: null, false, 0, "", and
// lists and objects of such values.
func isNothing(value json.RawMessage) bool {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil {
		return !slices.ContainsFunc(list, func(v json.RawMessage) bool { return !isNothing(v) })
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) == nil {
		return !slices.ContainsFunc(slices.Collect(maps.Values(object)), func(v json.RawMessage) bool { return !isNothing(v) })
	}
	if text := string(value); text == "null" || text == "false" || text == `""` {
		return true
	}
	number, err := parse(string(value))
	return err == nil && number.Sign() == 0
}

// byToken matches the names of prices for one token of a kind, under a condition or of a
// medium, such as input_cost_per_token_above_200k_tokens or output_cost_per_audio_token.
var byToken = []struct {
	name *regexp.Regexp
	rate func(price.Rates) price.Decimal
}{
	{regexp.MustCompile(`^input_cost_per_([a-z]+_)*token(_\w+)?$`), func(r price.Rates) price.Decimal { return r.Prompt }},
	{regexp.MustCompile(`^output_cost_per_([a-z]+_)*token(_\w+)?$`), func(r price.Rates) price.Decimal { return r.Completion }},
	{regexp.MustCompile(`^cache_read_input_([a-z]+_)*token_cost(_\w+)?$`), func(r price.Rates) price.Decimal { return r.Cached }},
	{regexp.MustCompile(`^cache_creation_input_([a-z]+_)*token_cost(_\w+)?$`), func(r price.Rates) price.Decimal { return r.CacheWrite }},
}

// within reports whether a field is a price for one token that isn't above the rate of its
// kind.
func (r *reader) within(name string, covered price.Rates) bool {
	for _, kind := range byToken {
		if !kind.name.MatchString(name) {
			continue
		}
		nano, _, err := perMillion(string(r.fields[name]), r.exchange)
		rate, _ := kind.rate(covered).Nano() // Filled has checked it
		return err == nil && nano <= rate
	}
	return false
}

// safeName returns a field's name as price.Terms.Partial takes it.
func safeName(name string) string {
	name = strings.Map(func(c rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", c) {
			return c
		}
		return '_'
	}, name)
	return name[:min(len(name), 100)]
}
