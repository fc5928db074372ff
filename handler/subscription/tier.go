package subscription

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// Reserve says how much a call takes from its limits before it is forwarded.
type Reserve string

// The values of Reserve.
const (
	ReserveNone   Reserve = "none"   // one token; APIM's estimate-prompt-tokens="false"
	ReservePrompt Reserve = "prompt" // the prompt's tokens; APIM's "true". The default
	ReserveFull   Reserve = "full"   // the prompt's tokens and the completion cap, so that no call can exceed a limit
)

// StoredContent says how to treat calls that refer to content stored at an endpoint whose
// owner Tollgate doesn't know: conversations, prompts, files, containers, vector stores and
// items of answers. Stored responses are not included: Tollgate records their owners.
type StoredContent string

// The values of StoredContent.
const (
	StoredRefuse StoredContent = "refuse" // refuse the call. The default
	StoredAllow  StoredContent = "allow"  // forward the call: callers share the content of the endpoint's account
)

// A Duration is a time.Duration that encodes as text, such as "2s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler with time.Duration's format.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: use a number with its unit, such as 2s", text)
	}
	*d = Duration(parsed)
	return nil
}

// Rules are the limits of a tier, and the settings for deciding its calls. A subscription
// may override each of them.
type Rules struct {
	ShortForm
	// Limits are the tier's limits, at most MaxLimits. A call must pass all of them.
	Limits []Limit `json:"limits,omitempty"`
	// Reserve says how much a call takes from its limits before it is forwarded.
	Reserve Reserve `json:"reserve,omitempty"`
	// MaxCompletionTokens is the cap for calls that set none, in tokens; 0: no cap.
	MaxCompletionTokens int64 `json:"maxCompletionTokens,omitempty"`
	// MaxWait is how long a call that doesn't fit its limits may queue before it is refused.
	MaxWait Duration `json:"maxWait,omitzero"`
	// MaxConcurrent is the most calls that a subscription may have in progress on one
	// instance; 0: unlimited; nil: 100.
	MaxConcurrent *int64 `json:"maxConcurrent,omitempty"`
	// Shadow makes all limits count and report calls, but never refuse them.
	Shadow bool `json:"shadow,omitempty"`
	// OnStoreDown is how to decide calls while the counter store is unreachable. The
	// default is closed with ReserveFull, else degrade.
	OnStoreDown limit.StoreDown `json:"onStoreDown,omitempty"`
	// StoredContent says how to treat calls that refer to stored content of unknown owners.
	StoredContent StoredContent `json:"storedContent,omitempty"`
	// Models are the models that calls may use; empty: all that the gateway serves.
	Models []string `json:"models,omitempty"`
}

// LimitsCost reports whether the rules allow a model and have a limit in cost that applies to
// its calls.
func (r *Rules) LimitsCost(model string) bool {
	return (len(r.Models) == 0 || slices.Contains(r.Models, model)) &&
		slices.ContainsFunc(r.Limits, func(l Limit) bool { return l.Unit == limit.Cost && l.AppliesTo(model) })
}

// A Tier is a named set of limits and rules that subscriptions share.
type Tier struct {
	ID string `json:"id"`
	Rules
	// Version grows with every change; 0: not stored yet. Counters adopt only newer ones.
	Version int64 `json:"version,omitempty"`
}

// AllowsModel reports whether calls may use a model.
func (t *Tier) AllowsModel(model string) bool {
	return len(t.Models) == 0 || slices.Contains(t.Models, model)
}

// Normalize sets empty fields to their defaults.
func (r *Rules) Normalize() {
	if r.Reserve == "" {
		r.Reserve = ReservePrompt
	}
	if r.StoredContent == "" {
		r.StoredContent = StoredRefuse
	}
	if r.OnStoreDown == "" {
		r.OnStoreDown = limit.Degrade
		if r.Reserve == ReserveFull {
			r.OnStoreDown = limit.FailClosed
		}
	}
}

// defaultConcurrent is the default of MaxConcurrent.
const defaultConcurrent = 100

// ConcurrencyLimit returns MaxConcurrent, or its default: the most calls that a subscription
// may have in progress on one instance; 0: unlimited.
func (r *Rules) ConcurrencyLimit() int64 {
	if r.MaxConcurrent == nil {
		return defaultConcurrent
	}
	return *r.MaxConcurrent
}

// with returns the rules with the fields of a JSON object replaced. If a field of the
// object is wrong, the error is a *FieldError.
func (r Rules) with(values json.RawMessage) (Rules, error) {
	if len(values) == 0 {
		return r, nil
	}
	r.Models = slices.Clone(r.Models) // the decoder would write into the old slice and the old pointer's target
	if r.MaxConcurrent != nil {
		r.MaxConcurrent = new(*r.MaxConcurrent)
	}
	err := Decode(values, &r)
	return r, err
}
