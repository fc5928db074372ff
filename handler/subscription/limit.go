package subscription

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tollgate/handler/limit"
)

// A Limit is one limit of a tier or group: how much calls may use in a UTC minute, in a
// longer period, or both. Amounts are whole numbers of its Unit; amounts of cost are
// billionths of the currency's unit.
type Limit struct {
	// Name is unique in its tier or group, ignoring case. It appears in refusals, metrics
	// and usage.
	Name string
	// Unit says what the limit counts.
	Unit limit.Unit
	// Weights say how much each kind of token counts if Unit is tokens; nil: each counts
	// as one.
	Weights *Weights
	// PerMinute is the amount allowed in a UTC minute; 0: the minute has no limit.
	PerMinute int64
	// Burst is how much of an unused PerMinute may be carried over to later minutes.
	Burst int64
	// Quota is the amount allowed in a Period; 0: no quota.
	Quota  int64
	Period limit.Period
	// CounterKey is the template of the counter's key. Calls with equal keys share a counter.
	CounterKey CounterKey
	// Models are the models whose calls are charged to the limit; empty: all.
	Models []string
	// Shadow makes the limit count and report calls, but never refuse them.
	Shadow bool
	// AlertAt lists percents of the quota, ascending. An alert is sent once a period when
	// usage reaches each of them.
	AlertAt []int
}

// Weights say how much each kind of token counts, in thousandths. Without a weight of their
// own, cached and cache-write tokens have that of the prompt, and reasoning tokens that of
// the completion. The weights of prompt and completion are 1000 by default.
type Weights struct {
	Prompt     *int64 `json:"prompt,omitempty"`
	Cached     *int64 `json:"cached,omitempty"`
	CacheWrite *int64 `json:"cacheWrite,omitempty"`
	Completion *int64 `json:"completion,omitempty"`
	Reasoning  *int64 `json:"reasoning,omitempty"`
}

// complete returns the weights with those not given filled in.
func (w *Weights) complete() limit.Weights {
	if w == nil {
		return limit.EvenWeights
	}
	or := func(given *int64, otherwise int64) int64 {
		if given == nil {
			return otherwise
		}
		return *given
	}
	prompt, completion := or(w.Prompt, 1000), or(w.Completion, 1000)
	return limit.Weights{Prompt: prompt, Cached: or(w.Cached, prompt), CacheWrite: or(w.CacheWrite, prompt),
		Completion: completion, Reasoning: or(w.Reasoning, completion)}
}

// TokensName is the name of the limit that a ShortForm describes.
const TokensName = "tokens"

// Measure returns the limit's unit and weights, by which calls are measured.
func (l *Limit) Measure() limit.Measure {
	return limit.Measure{Unit: l.Unit, Weights: l.Weights.complete()}
}

// Windows returns the amounts of the limit's minute and period, as its counters hold them.
func (l *Limit) Windows(version int64) limit.Limits {
	return limit.Limits{PerMinute: l.PerMinute, Burst: l.Burst, Quota: l.Quota, Period: l.Period, Version: version}
}

// AppliesTo reports whether calls to a model are charged to the limit.
func (l *Limit) AppliesTo(model string) bool {
	return len(l.Models) == 0 || slices.Contains(l.Models, model)
}

// clone returns a copy that shares nothing with the limit.
func (l Limit) clone() Limit {
	l.Models, l.AlertAt = slices.Clone(l.Models), slices.Clone(l.AlertAt)
	return l
}

// FindLimit returns the limit with a name, ignoring case, or nil.
func FindLimit(limits []Limit, name string) *Limit {
	for i := range limits {
		if strings.EqualFold(limits[i].Name, name) {
			return &limits[i]
		}
	}
	return nil
}

// A limitJSON is the JSON form of a Limit. Its amounts are raw, because they are decoded by
// the unit: cost is a decimal string, all others are whole numbers.
type limitJSON struct {
	Name       string          `json:"name"`
	Unit       limit.Unit      `json:"unit"`
	Weights    *Weights        `json:"weights,omitempty"`
	PerMinute  json.RawMessage `json:"perMinute,omitempty"`
	Burst      json.RawMessage `json:"burst,omitempty"`
	Quota      json.RawMessage `json:"quota,omitempty"`
	Period     limit.Period    `json:"period,omitempty"`
	CounterKey CounterKey      `json:"counterKey,omitempty"`
	Models     []string        `json:"models,omitempty"`
	Shadow     bool            `json:"shadow,omitempty"`
	AlertAt    []int           `json:"alertAt,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (l Limit) MarshalJSON() ([]byte, error) {
	return json.Marshal(limitJSON{Name: l.Name, Unit: l.Unit, Weights: l.Weights,
		PerMinute: formatAmount(l.Unit, l.PerMinute), Burst: formatAmount(l.Unit, l.Burst), Quota: formatAmount(l.Unit, l.Quota),
		Period: l.Period, CounterKey: l.CounterKey, Models: l.Models, Shadow: l.Shadow, AlertAt: l.AlertAt})
}

// UnmarshalJSON implements json.Unmarshaler. Fields that are absent from the JSON keep their
// values. The error is a *FieldError if it concerns one field.
func (l *Limit) UnmarshalJSON(text []byte) error {
	given := limitJSON{Name: l.Name, Unit: l.Unit, Weights: l.Weights, Period: l.Period,
		CounterKey: l.CounterKey, Shadow: l.Shadow}
	if err := Decode(text, &given); err != nil {
		return inLimit(given.Name, err)
	}
	after := Limit{Name: given.Name, Unit: given.Unit, Weights: given.Weights, PerMinute: l.PerMinute, Burst: l.Burst, Quota: l.Quota,
		Period: given.Period, CounterKey: given.CounterKey, Models: l.Models, Shadow: given.Shadow, AlertAt: l.AlertAt}
	if given.Models != nil {
		after.Models = given.Models
	}
	if given.AlertAt != nil {
		after.AlertAt = given.AlertAt
	}
	for _, amount := range []struct {
		field string
		text  json.RawMessage
		into  *int64
	}{{"perMinute", given.PerMinute, &after.PerMinute}, {"burst", given.Burst, &after.Burst}, {"quota", given.Quota, &after.Quota}} {
		if amount.text == nil {
			continue
		}
		n, err := parseAmount(given.Unit, amount.text)
		if err != nil {
			return inLimit(given.Name, newFieldError(amount.field, err.Error(), amountFix(given.Unit)))
		}
		*amount.into = n
	}
	*l = after
	return nil
}

// inLimit adds the limit's name to the field of a *FieldError.
func inLimit(name string, err error) error {
	if wrong, ok := err.(*FieldError); ok {
		return newFieldError(limitField(name, wrong.Field), wrong.Problem, wrong.Fix)
	}
	return err
}

// limitField returns the path to a field of a limit, as errors name it.
func limitField(name, field string) string {
	if name == "" {
		name = "(no name)"
	}
	return fmt.Sprintf("limits.%s.%s", name, field)
}
