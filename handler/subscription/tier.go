package subscription

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Reserve is what is taken from the limits before a call.
type Reserve string

// The ways of reserving.
const (
	ReserveNone   Reserve = "none"   // one token; APIM's estimate-prompt-tokens="false"
	ReservePrompt Reserve = "prompt" // the prompt's tokens; APIM's "true". The default
	ReserveFull   Reserve = "full"   // prompt and completion cap: nothing can pass the limit
)

// Period is the length of a quota's window. Windows are fixed, in UTC; weeks
// start on Monday.
type Period string

// The periods that APIM's token-quota-period knows.
const (
	Hourly  Period = "Hourly"
	Daily   Period = "Daily"
	Weekly  Period = "Weekly"
	Monthly Period = "Monthly"
	Yearly  Period = "Yearly"
)

// StoreDown is what becomes of calls while the counters can't be reached.
type StoreDown string

// The ways of going on without the counters.
const (
	Degrade StoreDown = "degrade" // an instance's share of the limit
	Closed  StoreDown = "closed"  // refuse
	Open    StoreDown = "open"    // let pass
)

// Duration is a time that reads and writes as text: "2s".
type Duration time.Duration

// MarshalText writes the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Limits are the values of a tier, which a subscription may override one by one.
type Limits struct {
	// TokensPerMinute is the limit of a UTC minute, in tokens; 0: none.
	TokensPerMinute int64 `json:"tokensPerMinute,omitempty"`
	// TokenQuota is the limit of a TokenQuotaPeriod, in tokens; 0: none.
	TokenQuota       int64  `json:"tokenQuota,omitempty"`
	TokenQuotaPeriod Period `json:"tokenQuotaPeriod,omitempty"`
	// BurstTokens is how many unused tokens of past minutes may be carried over.
	BurstTokens int64 `json:"burstTokens,omitempty"`
	// Reserve is what a call takes before it is made.
	Reserve Reserve `json:"reserve,omitempty"`
	// MaxCompletionTokens is the cap put on calls that name none, in tokens; 0: none.
	MaxCompletionTokens int64 `json:"maxCompletionTokens,omitempty"`
	// MaxWait is how long a call may queue for tokens rather than be refused.
	MaxWait Duration `json:"maxWait,omitzero"`
	// Shadow has limits decided and reported, but never refuse.
	Shadow bool `json:"shadow,omitempty"`
	// OnStoreDown is what becomes of calls while the counters can't be reached;
	// by default closed with ReserveFull, else degrade.
	OnStoreDown StoreDown `json:"onStoreDown,omitempty"`
	// CounterKey says what is counted together: {subscription} (the default),
	// {client-ip}, {model} and {header:NAME}, joined at will.
	CounterKey string `json:"counterKey,omitempty"`
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
		l.CounterKey = "{subscription}"
	}
	if l.OnStoreDown == "" {
		l.OnStoreDown = Degrade
		if l.Reserve == ReserveFull {
			l.OnStoreDown = Closed
		}
	}
}

// maxTokens bounds limits so that sums of them never overflow: 10¹⁵ tokens are
// beyond what all models together answer in a year.
const maxTokens = int64(1e15)

// maxWait stays below the 230 s after which Azure's front end gives a silent call up.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout
const maxWait = 120 * time.Second

// Validate names everything that is wrong with the limits, fields by their
// JSON names. A limit that could never act is a fault: it would look like a
// limit and be none.
func (l *Limits) Validate() error {
	var v faults
	v.check(l.TokensPerMinute >= 0 && l.TokensPerMinute <= maxTokens, "tokensPerMinute", "is out of range", "use 1 to 10^15 tokens, or 0 for no limit")
	v.check(l.TokenQuota >= 0 && l.TokenQuota <= maxTokens, "tokenQuota", "is out of range", "use 1 to 10^15 tokens, or 0 for no quota")
	v.check((l.TokenQuota > 0) == (l.TokenQuotaPeriod != ""), "tokenQuotaPeriod", "and tokenQuota go together", "set both or neither")
	v.check(oneOf(l.TokenQuotaPeriod, "", Hourly, Daily, Weekly, Monthly, Yearly), "tokenQuotaPeriod", "is unknown", "use Hourly, Daily, Weekly, Monthly or Yearly")
	v.check(l.BurstTokens >= 0 && l.BurstTokens <= maxTokens, "burstTokens", "is out of range", "use 0 to 10^15 tokens")
	v.check(l.BurstTokens == 0 || l.TokensPerMinute > 0, "burstTokens", "has no tokensPerMinute to carry over", "set tokensPerMinute or leave it out")
	v.check(oneOf(l.Reserve, "", ReserveNone, ReservePrompt, ReserveFull), "reserve", "is unknown", "use none, prompt or full")
	v.check(l.MaxCompletionTokens >= 0 && l.MaxCompletionTokens <= 1<<31-1, "maxCompletionTokens", "is out of range", "use 1 to 2147483647 tokens, or 0 for no cap")
	v.check(l.MaxWait >= 0 && time.Duration(l.MaxWait) <= maxWait, "maxWait", "is out of range", "use 0s to 2m")
	v.check(l.MaxWait == 0 || l.TokensPerMinute > 0, "maxWait", "has no tokensPerMinute to wait for", "set tokensPerMinute or leave it out")
	v.check(oneOf(l.OnStoreDown, "", Degrade, Closed, Open), "onStoreDown", "is unknown", "use degrade, closed or open")
	v.check(l.TokenQuota == 0 || l.TokensPerMinute <= l.TokenQuota, "tokensPerMinute", "is above the tokenQuota, so it could never act", "lower it or leave it out")
	v.check(l.limited() || !l.limitsOnly(), "tokensPerMinute", "and tokenQuota are both missing, so reserve, shadow and onStoreDown could never act", "set a limit or leave these out")
	v.check(l.Reserve != ReserveFull || below(l.MaxCompletionTokens, l.TokensPerMinute, l.BurstTokens) && below(l.MaxCompletionTokens, l.TokenQuota, 0),
		"maxCompletionTokens", "is as large as a whole limit", "lower it, so that a call with its prompt can fit")
	for _, model := range l.Models {
		v.check(strings.TrimSpace(model) == model && model != "", "models", "has an empty name", "list models' names")
	}
	v.counterKey(l.CounterKey)
	return v.err()
}

func (l *Limits) limited() bool { return l.TokensPerMinute > 0 || l.TokenQuota > 0 }

func (l *Limits) limitsOnly() bool {
	return l.Reserve == ReserveFull || l.Shadow || l.OnStoreDown == Open
}

// below says whether a cap leaves room for a prompt in a limit, where there is one.
func below(completion, limit, burst int64) bool { return limit == 0 || completion < limit+burst }

func oneOf[T comparable](value T, allowed ...T) bool { return slices.Contains(allowed, value) }

// part is a placeholder of a counter key's template.
var part = regexp.MustCompile(`\{[^{}]*\}`)

var headerName = regexp.MustCompile(`^\{header:[!#$%&'*+.^_|~0-9A-Za-z-]+\}$`)

func (v *faults) counterKey(template string) {
	const right = "join {subscription}, {client-ip}, {model} and {header:NAME}"
	for _, p := range part.FindAllString(template, -1) {
		v.check(oneOf(p, "{subscription}", "{client-ip}", "{model}") || headerName.MatchString(p), "counterKey", "has the unknown part "+p, right)
	}
	rest := part.ReplaceAllString(template, "")
	v.check(!strings.ContainsAny(rest, "{}"), "counterKey", "has a brace without its other", right)
	v.check(template == "" || part.MatchString(template), "counterKey", "has no part, so all subscriptions of the tier would share one counter", right)
	v.check(len(template) <= 200, "counterKey", "is longer than 200 characters", right)
}

// faults collects what is wrong.
type faults []error

func (v *faults) check(right bool, field, wrong, fix string) {
	if !right {
		*v = append(*v, fmt.Errorf("%s %s: %s", field, wrong, fix))
	}
}

func (v *faults) err() error { return errors.Join(*v...) }

// id is what tiers and subscriptions may be called: it is a row's key, part of
// counter keys and a command line's word.
var id = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Validate names everything that is wrong with the tier.
func (t *Tier) Validate() error {
	var v faults
	v.check(id.MatchString(t.ID), "id", "is not an id", "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit")
	return errors.Join(v.err(), t.Limits.Validate())
}

// override replaces those values of the limits that the JSON object names.
func (l Limits) override(values json.RawMessage) (Limits, error) {
	if len(values) == 0 {
		return l, nil
	}
	err := strict(values, &l)
	return l, err
}
