package subscriptiontest

import (
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// Limits describe the rules of a tier that has at most one limit, in tokens.
type Limits struct {
	TokensPerMinute, BurstTokens, TokenQuota int64
	TokenQuotaPeriod                         limit.Period
	CounterKey                               subscription.CounterKey
	Reserve                                  subscription.Reserve
	MaxCompletionTokens                      int64
	MaxWait                                  subscription.Duration
	MaxConcurrent                            *int64
	Shadow                                   bool
	OnStoreDown                              limit.StoreDown
	StoredContent                            subscription.StoredContent
	Models                                   []string
}

// Rules returns the rules.
func (l Limits) Rules() subscription.Rules {
	r := subscription.Rules{Reserve: l.Reserve, MaxCompletionTokens: l.MaxCompletionTokens, MaxWait: l.MaxWait, MaxConcurrent: l.MaxConcurrent,
		Shadow: l.Shadow, OnStoreDown: l.OnStoreDown, StoredContent: l.StoredContent, Models: l.Models}
	if l.TokensPerMinute > 0 || l.TokenQuota > 0 {
		r.Limits = []subscription.Limit{{Name: subscription.TokensName, Unit: limit.Tokens, PerMinute: l.TokensPerMinute, Burst: l.BurstTokens,
			Quota: l.TokenQuota, Period: l.TokenQuotaPeriod, CounterKey: l.CounterKey}}
	}
	return r
}

// Tokens returns rules with one limit of tokens a minute.
func Tokens(perMinute int64) subscription.Rules { return Limits{TokensPerMinute: perMinute}.Rules() }
