package subscription

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// Reserve is what is taken from the limits before a call.
type Reserve string

// The ways of reserving.
const (
	ReserveNone   Reserve = "none"   // one token; APIM's estimate-prompt-tokens="false"
	ReservePrompt Reserve = "prompt" // the prompt's tokens; APIM's "true". The default
	ReserveFull   Reserve = "full"   // prompt and completion cap: nothing can pass the limit
)

// Duration is a time that reads and writes as text: "2s".
type Duration time.Duration

// MarshalText writes the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a time: use one with its unit, such as 2s", text)
	}
	*d = Duration(parsed)
	return nil
}

// Limits are the values of a tier, which a subscription may override one by one.
type Limits struct {
	// TokensPerMinute is the limit of a UTC minute, in tokens; 0: none.
	TokensPerMinute int64 `json:"tokensPerMinute,omitempty"`
	// TokenQuota is the limit of a TokenQuotaPeriod, in tokens; 0: none.
	TokenQuota       int64        `json:"tokenQuota,omitempty"`
	TokenQuotaPeriod limit.Period `json:"tokenQuotaPeriod,omitempty"`
	// BurstTokens is how many unused tokens of past minutes may be carried over.
	BurstTokens int64 `json:"burstTokens,omitempty"`
	// Reserve is what a call takes before it is made.
	Reserve Reserve `json:"reserve,omitempty"`
	// MaxCompletionTokens is the cap put on calls that name none, in tokens; 0: none.
	MaxCompletionTokens int64 `json:"maxCompletionTokens,omitempty"`
	// MaxWait is how long a call may queue for tokens rather than be refused.
	MaxWait Duration `json:"maxWait,omitzero"`
	// MaxConcurrent is how many calls a subscription may have under way on one
	// instance; 0: any number; nil: DefaultConcurrent.
	MaxConcurrent *int64 `json:"maxConcurrent,omitempty"`
	// Shadow has limits decided and reported, but never refuse.
	Shadow bool `json:"shadow,omitempty"`
	// OnStoreDown is what becomes of calls while the counters can't be reached;
	// by default closed with ReserveFull, else degrade.
	OnStoreDown limit.StoreDown `json:"onStoreDown,omitempty"`
	// CounterKey says what is counted together.
	CounterKey CounterKey `json:"counterKey,omitempty"`
	// Models are those that calls may name; none: all that the gateway serves.
	Models []string `json:"models,omitempty"`
}

// Tier is a named set of limits that subscriptions share.
type Tier struct {
	ID string `json:"id"`
	Limits
	// Version grows with every change; counters take only newer ones.
	Version int64 `json:"version,omitempty"`
}

// Counted returns the limits as the tier's counters hold them.
func (t *Tier) Counted() limit.Limits {
	return limit.Limits{TokensPerMinute: t.TokensPerMinute, Burst: t.BurstTokens, Quota: t.TokenQuota, Period: t.TokenQuotaPeriod, Version: t.Version}
}

// Serves says whether calls may name a model.
func (t *Tier) Serves(model string) bool {
	return len(t.Models) == 0 || slices.Contains(t.Models, model)
}

// Normalize fills in what an empty field means.
func (l *Limits) Normalize() {
	if l.Reserve == "" {
		l.Reserve = ReservePrompt
	}
	if l.CounterKey == "" {
		l.CounterKey = DefaultCounterKey
	}
	if l.OnStoreDown == "" {
		l.OnStoreDown = limit.Degrade
		if l.Reserve == ReserveFull {
			l.OnStoreDown = limit.FailClosed
		}
	}
}

// DefaultConcurrent is how many calls a subscription may have under way on one
// instance where its tier doesn't say.
const DefaultConcurrent = 100

// Concurrent is how many calls a subscription may have under way on one
// instance, 0 for any number.
func (l *Limits) Concurrent() int64 {
	if l.MaxConcurrent == nil {
		return DefaultConcurrent
	}
	return *l.MaxConcurrent
}

// counted are the values that a counter itself holds.
func (l *Limits) counted() [4]any {
	return [...]any{l.TokensPerMinute, l.BurstTokens, l.TokenQuota, l.TokenQuotaPeriod}
}

// With replaces those values that a JSON object names, by the fields' JSON
// names; what is wrong with the object is a *FieldError.
func (l Limits) With(values json.RawMessage) (Limits, error) {
	if len(values) == 0 {
		return l, nil
	}
	l.Models = slices.Clone(l.Models) // the decoder writes over what a slice has room for, and what a pointer has
	if l.MaxConcurrent != nil {
		l.MaxConcurrent = new(*l.MaxConcurrent)
	}
	err := Decode(values, &l)
	return l, err
}
