package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

func TestALimitIsReadAsItIsPrinted(t *testing.T) {
	for text, want := range map[string]subscription.Limit{
		"calls 60/minute": {Name: "calls", Unit: limit.Calls, PerMinute: 60},
		"tokens 1,000/minute burst 500 2,000,000/day": {Name: "tokens", Unit: limit.Tokens, PerMinute: 1000, Burst: 500, Quota: 2_000_000, Period: limit.Daily},
		"team: cost 12.5/minute 1000/month by {group} alert 50,80,95": {Name: "team", Unit: limit.Cost, PerMinute: 12.5e9, Quota: 1000e9, Period: limit.Monthly,
			CounterKey: "{group}", AlertAt: []int{50, 80, 95}},
		"fast: completion-tokens 5/minute models gpt-4o,r1 shadow": {Name: "fast", Unit: limit.CompletionTokens, PerMinute: 5, Models: []string{"gpt-4o", "r1"}, Shadow: true},
		"tokens 7/hour weights prompt=1000,cached=100,reasoning=0": {Name: "tokens", Unit: limit.Tokens, Quota: 7, Period: limit.Hourly,
			Weights: &subscription.Weights{Prompt: new(int64(1000)), Cached: new(int64(100)), Reasoning: new(int64(0))}},
		"prompt-tokens 7/week by {subscription}/{header:X-Team}": {Name: "prompt-tokens", Unit: limit.PromptTokens, Quota: 7, Period: limit.Weekly, CounterKey: "{subscription}/{header:X-Team}"},
		"calls 9/year": {Name: "calls", Unit: limit.Calls, Quota: 9, Period: limit.Yearly},
	} {
		got, err := parseLimit(text)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: got error %v and (-want +got)\n%s", text, err, diff)
		}
		printed := strings.Replace(formatLimit(want), "1,000/month", "1000/month", 1)
		if printed != text {
			t.Errorf("printed: got %q, want %q", printed, text)
		}
	}
}

// TestEachFaultOfALimitHasItsOwnSentence, and each sentence names the fix.
func TestEachFaultOfALimitHasItsOwnSentence(t *testing.T) {
	for text, want := range map[string]string{
		"":                                          "it has no unit: use tokens, prompt-tokens, completion-tokens, calls or cost before the amount",
		"60/minute":                                 "it has no unit",
		"x: 60/minute":                              "it has no unit",
		"x: shadow":                                 "it has no unit",
		"token 60/minute":                           `"token" is not a unit: use tokens`,
		"calls":                                     "it has no amount: add one, such as 60/minute or 1000/day",
		"calls burst 5":                             "it has no amount",
		"calls 60/minute 70/minute":                 "it has two amounts a minute, 60 and 70: give one",
		"calls 60/day 70/month":                     "it has two quotas, 60 and 70: give one, or make two limits",
		"calls 60/second":                           `"60/second" has the window "second": use minute, hour`,
		"calls 1.5/minute":                          `"1.5" is not an amount: use a whole number`,
		"calls -1/minute":                           `"-1" is not an amount`,
		"calls 1,00/minute":                         `"1,00" is not an amount`,
		"calls 9223372036854775808/minute":          "is too large: use at most 10^15",
		"calls 9000000000000000/minute":             "limits.calls.perMinute is out of range",
		"cost 1.1234567891/minute":                  "is not an amount of money: use a decimal with at most 9 decimals",
		"calls 60/minute burst":                     "burst has no value: add it",
		"calls 60/minute burst 1 burst 2":           "it has burst twice: give it once",
		"calls 60/minute shadow shadow":             "it has shadow twice",
		"calls 60/minute fast":                      `"fast" is not understood: use AMOUNT/minute`,
		"calls 60/minute until 2099-01-01":          `"until" is not understood`,
		"calls 60/minute weights prompt=1":          "limits.calls.weights are for tokens, and the unit is calls: leave them out",
		"tokens 60/minute weights pro=1":            `weights have "pro": use prompt, cached`,
		"tokens 60/minute weights prompt":           `the weight "prompt" is not a number: use thousandths`,
		"tokens 6/minute weights cached=1,cached=2": "weights have cached twice",
		"calls 60/minute by {user}":                 "limits.calls.counterKey has the unknown part {user}: join {subscription}",
		"calls 60/minute alert 50":                  "limits.calls.alertAt is set without a quota",
		"calls 60/day alert half":                   `alert is "half": use percents`,
		"calls 60/day alert 95,50":                  "limits.calls.alertAt is not ascending",
		"a b: calls 60/minute":                      `"a" is not a unit`,
		"-x: calls 60/minute":                       "limits.-x.name is not a limit's name",
	} {
		if l, err := parseLimit(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v and error %v, want %q", text, l, err, want)
		}
	}
}

func TestAnOverrideTakesItsAmountsUnitFromTheTier(t *testing.T) {
	limits := []subscription.Limit{{Name: "tokens", Unit: limit.Tokens, PerMinute: 1}, {Name: "spend", Unit: limit.Cost, Quota: 1, Period: limit.Daily}}
	for text, want := range map[string]string{
		"tokens 5000/minute until 2099-12-01T00:00:00Z": `{"name":"tokens","perMinute":5000,"until":"2099-12-01T00:00:00Z"}`,
		"spend 12.50/day shadow":                        `{"name":"spend","period":"Daily","quota":"12.50","shadow":true}`,
		"spend: 12/day":                                 `{"name":"spend","period":"Daily","quota":"12"}`,
		"other 5/minute burst 0":                        `{"burst":0,"name":"other","perMinute":5}`,
	} {
		o, err := parseOverride(text, limits)
		if got, _ := json.Marshal(o); err != nil || string(got) != want {
			t.Errorf("%s: got %s and error %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "it is empty", "tokens": "it replaces nothing of tokens", "tokens until 2099-12-01T00:00:00Z": "it replaces nothing of tokens",
		"tokens 5/minute until tomorrow": `until is "tomorrow": use a time`, "tokens 5/minute weights prompt=1": `"weights" is not understood`, "tokens 1.5/minute": "use a whole number",
	} {
		if o, err := parseOverride(text, limits); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v and error %v, want %q", text, o, err, want)
		}
	}
}

// FuzzALimitsText: what can be read is printed so that it is read again as the same.
func FuzzALimitsText(f *testing.F) {
	f.Add("fast: tokens 1,000/minute burst 5 9/day by {model} models a,b alert 50,80 shadow weights prompt=1,cached=2")
	f.Add("cost 12.50/month")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseLimit(text)
		if err != nil {
			return
		}
		again, err := parseLimit(formatLimit(l))
		if diff := cmp.Diff(l, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%q: printed as %q, got error %v and (-first +again)\n%s", text, formatLimit(l), err, diff)
		}
	})
}
