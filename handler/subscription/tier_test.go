package subscription_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tollgate/handler/subscription"
)

func TestValidateNamesEveryFault(t *testing.T) {
	for name, test := range map[string]struct {
		limits subscription.Limits
		fields []string // none: valid
	}{
		"no limit at all":        {subscription.Limits{}, nil},
		"the article's":          {subscription.Limits{TokensPerMinute: 300}, nil},
		"all there is":           {subscription.Limits{TokensPerMinute: 300, TokenQuota: 9000, TokenQuotaPeriod: "Daily", BurstTokens: 10, Reserve: "full", MaxCompletionTokens: 100, MaxWait: subscription.Duration(time.Second), OnStoreDown: "closed", CounterKey: "{model}-{header:X-Team}", Models: []string{"a"}}, nil},
		"negative limits":        {subscription.Limits{TokensPerMinute: -1, TokenQuota: -1, BurstTokens: -1, MaxCompletionTokens: -1, MaxWait: -1}, []string{"tokensPerMinute", "tokenQuota", "burstTokens", "maxCompletionTokens", "maxWait"}},
		"quota without period":   {subscription.Limits{TokenQuota: 5}, []string{"tokenQuotaPeriod"}},
		"period without quota":   {subscription.Limits{TokenQuotaPeriod: "Daily"}, []string{"tokenQuotaPeriod"}},
		"unknown words":          {subscription.Limits{TokensPerMinute: 9, TokenQuota: 9, TokenQuotaPeriod: "daily", Reserve: "all", OnStoreDown: "shut"}, []string{"tokenQuotaPeriod", "reserve", "onStoreDown"}},
		"burst without minute":   {subscription.Limits{BurstTokens: 5}, []string{"burstTokens"}},
		"wait without minute":    {subscription.Limits{MaxWait: 5}, []string{"maxWait"}},
		"wait too long":          {subscription.Limits{TokensPerMinute: 1, MaxWait: subscription.Duration(time.Hour)}, []string{"maxWait"}},
		"minute above quota":     {subscription.Limits{TokensPerMinute: 10, TokenQuota: 9, TokenQuotaPeriod: "Daily"}, []string{"tokensPerMinute"}},
		"full without limit":     {subscription.Limits{Reserve: "full"}, []string{"tokensPerMinute"}},
		"cap as large as limit":  {subscription.Limits{TokensPerMinute: 300, Reserve: "full", MaxCompletionTokens: 300}, []string{"maxCompletionTokens"}},
		"counter key unknown":    {subscription.Limits{CounterKey: "{user}"}, []string{"counterKey"}},
		"counter key unbalanced": {subscription.Limits{CounterKey: "{model"}, []string{"counterKey"}},
		"counter key constant":   {subscription.Limits{CounterKey: "all"}, []string{"counterKey"}},
		"counter key bad header": {subscription.Limits{CounterKey: "{header:a b}"}, []string{"counterKey"}},
		"empty model":            {subscription.Limits{Models: []string{""}}, []string{"models"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.limits.Validate()
			if len(test.fields) == 0 && err != nil {
				t.Errorf("Validate = %v", err)
			}
			for _, field := range test.fields {
				if err == nil || !strings.Contains("\n"+err.Error(), "\n"+field+" ") {
					t.Errorf("Validate = %v; want a fault of %s", err, field)
				}
			}
		})
	}
}

func TestOverridesReplaceSingleValues(t *testing.T) {
	tier := subscription.Tier{ID: "gold", Limits: subscription.Limits{TokensPerMinute: 300, BurstTokens: 50}, Version: 4}
	s := subscription.Subscription{ID: "a", Tier: "gold", Overrides: json.RawMessage(`{"tokensPerMinute":900,"maxWait":"2s"}`), Version: 3}
	got, err := s.Effective(tier)
	if err != nil {
		t.Fatal(err)
	}
	if got.TokensPerMinute != 900 || got.BurstTokens != 50 || time.Duration(got.MaxWait) != 2*time.Second || got.Reserve != subscription.ReservePrompt {
		t.Errorf("Effective = %+v", got)
	}
	tier.Version++
	newer, err := s.Effective(tier)
	if err != nil || newer.Version <= got.Version {
		t.Errorf("a newer tier has version %d after %d, %v", newer.Version, got.Version, err)
	}
	for _, wrong := range []string{`{"tokensPerMinutes":1}`, `{"tokensPerMinute":-1}`, `[]`, `{"burstTokens":5,"tokensPerMinute":0}`} {
		s.Overrides = json.RawMessage(wrong)
		if _, err := s.Effective(tier); err == nil {
			t.Errorf("overrides %s are taken", wrong)
		}
	}
}

func TestFullClosesWhenTheStoreIsDown(t *testing.T) {
	full, prompt := subscription.Limits{Reserve: subscription.ReserveFull}, subscription.Limits{}
	full.Normalize()
	prompt.Normalize()
	if full.OnStoreDown != subscription.Closed || prompt.OnStoreDown != subscription.Degrade {
		t.Errorf("full: %s, prompt: %s", full.OnStoreDown, prompt.OnStoreDown)
	}
}
