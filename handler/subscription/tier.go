package subscription

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// Reserve is how much a call takes from its limits before it is made.
type Reserve string

// The ways of reserving.
const (
	ReserveNone   Reserve = "none"   // one token; APIM's estimate-prompt-tokens="false"
	ReservePrompt Reserve = "prompt" // the prompt's tokens; APIM's "true". The default
	ReserveFull   Reserve = "full"   // prompt and completion cap: nothing can pass the limit
)

// StoredContent says whether calls may name content that endpoints keep and of which
// nobody can tell whose it is: conversations, prompts, files, containers, vector stores,
// items of answers. Responses are not among it: whose they are is known.
type StoredContent string

// What a tier may do about such content.
const (
	StoredRefuse StoredContent = "refuse" // refuse the call. The default
	StoredAllow  StoredContent = "allow"  // pass it on: callers share what the account has
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

// Rules are the limits of a tier, and how its calls are decided. A subscription may
// override each of them.
type Rules struct {
	ShortForm
	// Limits all apply to each call; at most MaxLimits.
	Limits []Limit `json:"limits,omitempty"`
	// Reserve is how much a call takes before it is made.
	Reserve Reserve `json:"reserve,omitempty"`
	// MaxCompletionTokens is the cap for calls that set none, in tokens; 0: no cap.
	MaxCompletionTokens int64 `json:"maxCompletionTokens,omitempty"`
	// MaxWait is how long a call may queue for its limits rather than be refused.
	MaxWait Duration `json:"maxWait,omitzero"`
	// MaxConcurrent is the most calls a subscription may have in progress on one
	// instance; 0: unlimited; nil: 100.
	MaxConcurrent *int64 `json:"maxConcurrent,omitempty"`
	// Shadow makes all limits decide and report, but never refuse.
	Shadow bool `json:"shadow,omitempty"`
	// OnStoreDown is how to decide calls while the counter store is unreachable. The
	// default is closed with ReserveFull, else degrade.
	OnStoreDown limit.StoreDown `json:"onStoreDown,omitempty"`
	// StoredContent says whether calls may name stored content whose owner nobody knows.
	StoredContent StoredContent `json:"storedContent,omitempty"`
	// Models are the models that calls may use; empty: all that the gateway serves.
	Models []string `json:"models,omitempty"`
}

// LimitsCost reports whether a limit in money applies to calls of a model that the rules
// allow.
func (r *Rules) LimitsCost(model string) bool {
	return (len(r.Models) == 0 || slices.Contains(r.Models, model)) &&
		slices.ContainsFunc(r.Limits, func(l Limit) bool { return l.Unit == limit.Cost && l.AppliesTo(model) })
}

// A Tier is a named set of limits and rules that subscriptions share.
type Tier struct {
	ID string `json:"id"`
	Rules
	// Version grows with every change; counters adopt only newer ones.
	Version int64 `json:"version,omitempty"`
}

// Serves reports whether calls may use a model.
func (t *Tier) Serves(model string) bool {
	return len(t.Models) == 0 || slices.Contains(t.Models, model)
}

// Normalize fills in defaults for empty fields.
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

// defaultConcurrent is the most calls a subscription may have in progress on one
// instance if its tier doesn't set maxConcurrent.
const defaultConcurrent = 100

// Concurrent returns the most calls a subscription may have in progress on one
// instance; 0: unlimited.
func (r *Rules) Concurrent() int64 {
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
	r.Models = slices.Clone(r.Models) // the decoder would overwrite the slice's array and the pointer's target
	if r.MaxConcurrent != nil {
		r.MaxConcurrent = new(*r.MaxConcurrent)
	}
	err := Decode(values, &r)
	return r, err
}
