package subscription

import (
	"slices"
	"strings"

	"tollgate/handler/limit"
)

// A ShortForm is the short form of one limit in tokens, named tokens. Operators may give
// it in place of the limit; Fold makes it one. What is nil is not given.
type ShortForm struct {
	// TokensPerMinute is the limit's PerMinute.
	TokensPerMinute *int64 `json:"tokensPerMinute,omitempty"`
	// BurstTokens is its Burst.
	BurstTokens *int64 `json:"burstTokens,omitempty"`
	// TokenQuota is its Quota.
	TokenQuota       *int64        `json:"tokenQuota,omitempty"`
	TokenQuotaPeriod *limit.Period `json:"tokenQuotaPeriod,omitempty"`
	CounterKey       *CounterKey   `json:"counterKey,omitempty"`
}

// shortFields maps the short form's fields to those of the limit.
var shortFields = map[string]string{"tokensPerMinute": "perMinute", "burstTokens": "burst", "tokenQuota": "quota", "tokenQuotaPeriod": "period", "counterKey": "counterKey"}

// Fold sets the values given in the short form in the limit named tokens, which it adds
// where there is none, and clears the short form. A limit whose last amount is set to 0
// goes. The error names the short form's wrong fields.
func (r *Rules) Fold() error {
	short := r.ShortForm
	r.ShortForm = ShortForm{}
	if short == (ShortForm{}) {
		return nil
	}
	var f faults
	short.check(&f)
	r.Limits = slices.Clone(r.Limits)
	l := FindLimit(r.Limits, TokensName)
	if l == nil {
		r.Limits = slices.Insert(r.Limits, 0, Limit{Name: TokensName, Unit: limit.Tokens})
		l = &r.Limits[0]
	}
	short.apply(l)
	if zeroed := short.TokensPerMinute != nil || short.TokenQuota != nil; zeroed && l.PerMinute == 0 && l.Quota == 0 && l.Burst == 0 && l.Period == "" {
		r.Limits = slices.DeleteFunc(r.Limits, func(other Limit) bool { return strings.EqualFold(other.Name, TokensName) })
	}
	return f.err()
}

// apply sets the values given in a limit.
func (s ShortForm) apply(l *Limit) {
	set(&l.PerMinute, s.TokensPerMinute)
	set(&l.Burst, s.BurstTokens)
	set(&l.Quota, s.TokenQuota)
	set(&l.Period, s.TokenQuotaPeriod)
	set(&l.CounterKey, s.CounterKey)
	if l.Quota == 0 && s.TokenQuota != nil && s.TokenQuotaPeriod == nil {
		l.Period = ""
	}
}

// check adds a fault for each value that no limit can have.
func (s ShortForm) check(f *faults) {
	for field, n := range map[string]*int64{"tokensPerMinute": s.TokensPerMinute, "burstTokens": s.BurstTokens, "tokenQuota": s.TokenQuota} {
		if n != nil {
			f.checkAmount(field, limit.Tokens, *n)
		}
	}
	if s.TokenQuotaPeriod != nil {
		f.checkPeriod("tokenQuotaPeriod", *s.TokenQuotaPeriod)
	}
	if s.CounterKey != nil {
		f.checkCounterKey("counterKey", *s.CounterKey)
	}
}

// set sets a value if another is given.
func set[T any](value, given *T) {
	if given != nil {
		*value = *given
	}
}
