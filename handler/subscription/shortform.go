package subscription

import (
	"slices"
	"strings"

	"tollgate/handler/limit"
)

// A ShortForm is a shorter way to write one limit: the limit named tokens, in tokens.
// Operators may use it instead of Limits; ExpandShortForm turns it into that limit. A nil
// field is not given.
type ShortForm struct {
	TokensPerMinute  *int64        `json:"tokensPerMinute,omitempty"`  // the limit's PerMinute
	BurstTokens      *int64        `json:"burstTokens,omitempty"`      // its Burst
	TokenQuota       *int64        `json:"tokenQuota,omitempty"`       // its Quota
	TokenQuotaPeriod *limit.Period `json:"tokenQuotaPeriod,omitempty"` // its Period
	CounterKey       *CounterKey   `json:"counterKey,omitempty"`       // its CounterKey
}

// shortFields maps the JSON names of the short form's fields to those of a limit.
var shortFields = map[string]string{"tokensPerMinute": "perMinute", "burstTokens": "burst", "tokenQuota": "quota", "tokenQuotaPeriod": "period", "counterKey": "counterKey"}

// ExpandShortForm moves the values of the short form to the limit named tokens, which it adds
// if there is none, and clears the short form. If they set the limit's last amount to 0, it
// removes the limit. The error names each invalid field of the short form.
func (r *Rules) ExpandShortForm() error {
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

// apply copies the given values to a limit.
func (s ShortForm) apply(l *Limit) {
	setIfGiven(&l.PerMinute, s.TokensPerMinute)
	setIfGiven(&l.Burst, s.BurstTokens)
	setIfGiven(&l.Quota, s.TokenQuota)
	setIfGiven(&l.Period, s.TokenQuotaPeriod)
	setIfGiven(&l.CounterKey, s.CounterKey)
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

// setIfGiven sets a value to the given one, unless that is nil.
func setIfGiven[T any](value, given *T) {
	if given != nil {
		*value = *given
	}
}
