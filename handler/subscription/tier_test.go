package subscription_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// parse decodes rules in the form that operators write, and validates them.
func parse(text string) (subscription.Rules, error) {
	var r subscription.Rules
	if err := subscription.Decode([]byte(text), &r); err != nil {
		return r, err
	}
	return r, errors.Join(r.ExpandShortForm(), r.Validate())
}

// rules returns valid rules.
func rules(t *testing.T, text string) subscription.Rules {
	t.Helper()
	r, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// overrides returns valid overrides.
func overrides(t *testing.T, text string) (o subscription.Overrides) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestValidateNamesEveryFault(t *testing.T) {
	for name, test := range map[string]struct {
		rules  string
		fields []string // none: valid
	}{
		"no limit at all":         {`{}`, nil},
		"one limit":               {`{"tokensPerMinute":300}`, nil},
		"every field":             {`{"tokensPerMinute":300,"tokenQuota":9000,"tokenQuotaPeriod":"Daily","burstTokens":10,"reserve":"full","maxCompletionTokens":100,"maxWait":"1s","maxConcurrent":20,"onStoreDown":"closed","counterKey":"{model}-{header:X-Team}","models":["a"]}`, nil},
		"negative limits":         {`{"tokensPerMinute":-1,"tokenQuota":-1,"burstTokens":-1,"maxCompletionTokens":-1,"maxWait":"-1ns","maxConcurrent":-1}`, []string{"tokensPerMinute", "tokenQuota", "burstTokens", "limits.tokens.perMinute", "maxCompletionTokens", "maxWait", "maxConcurrent"}},
		"quota without period":    {`{"tokenQuota":5}`, []string{"limits.tokens.period"}},
		"period without quota":    {`{"tokenQuotaPeriod":"Daily"}`, []string{"limits.tokens.period"}},
		"unknown words":           {`{"tokensPerMinute":9,"tokenQuota":9,"tokenQuotaPeriod":"daily","reserve":"all","onStoreDown":"shut"}`, []string{"tokenQuotaPeriod", "reserve", "onStoreDown"}},
		"burst without minute":    {`{"burstTokens":5}`, []string{"limits.tokens.burst"}},
		"wait without a limit":    {`{"maxWait":"5ns"}`, nil},
		"wait too long":           {`{"tokensPerMinute":1,"maxWait":"1h"}`, []string{"maxWait"}},
		"settings without limits": {`{"reserve":"full","shadow":true,"onStoreDown":"closed"}`, nil},
		"key without an amount":   {`{"counterKey":"{model}"}`, []string{"limits.tokens.perMinute"}},
		"cap as large as limit":   {`{"tokensPerMinute":300,"reserve":"full","maxCompletionTokens":300}`, []string{"maxCompletionTokens"}},
		"counter key unknown":     {`{"counterKey":"{user}"}`, []string{"counterKey"}},
		"counter key unbalanced":  {`{"counterKey":"{model"}`, []string{"counterKey"}},
		"counter key constant":    {`{"counterKey":"all"}`, []string{"counterKey"}},
		"counter key bad header":  {`{"counterKey":"{header:a b}"}`, []string{"counterKey"}},
		"counter key of a secret": {`{"tokensPerMinute":1,"counterKey":"{header:API-Key}"}`, []string{"counterKey"}},
		"counter key with a tab":  {`{"tokensPerMinute":1,"counterKey":"{model}\t"}`, []string{"counterKey"}},
		"counter key too long":    {`{"tokensPerMinute":1,"counterKey":"{model}` + strings.Repeat("x", 200) + `"}`, []string{"counterKey"}},
		"empty model":             {`{"models":[""]}`, []string{"models"}},
		"a model twice":           {`{"models":["a", "a"]}`, []string{"models"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(test.rules)
			if len(test.fields) == 0 && err != nil {
				t.Errorf("Validate: got %v, want no fault", err)
			}
			for _, field := range test.fields {
				if err == nil || !strings.Contains("\n"+err.Error(), "\n"+field+" ") {
					t.Errorf("Validate: got %v, want a fault of %s", err, field)
				}
			}
		})
	}
}

func TestAnAmountThatCanNeverTakeEffectIsRejected(t *testing.T) {
	for name, test := range map[string]struct {
		rules string
		field string // empty: valid
	}{
		"both can be reached":       {`{"tokensPerMinute":100,"tokenQuota":5999,"tokenQuotaPeriod":"Hourly"}`, ""},
		"equal amounts":             {`{"tokensPerMinute":100,"tokenQuota":6000,"tokenQuotaPeriod":"Hourly"}`, ""},
		"minute above quota":        {`{"tokensPerMinute":10,"tokenQuota":9,"tokenQuotaPeriod":"Daily"}`, "limits.tokens.perMinute"},
		"quota above its minutes":   {`{"tokensPerMinute":100,"tokenQuota":6001,"tokenQuotaPeriod":"Hourly"}`, "limits.tokens.quota"},
		"quota within minute+burst": {`{"tokensPerMinute":100,"burstTokens":1,"tokenQuota":6001,"tokenQuotaPeriod":"Hourly"}`, ""},
		"a long month":              {`{"tokensPerMinute":1,"tokenQuota":44640,"tokenQuotaPeriod":"Monthly"}`, ""},
		"the largest amounts":       {`{"tokensPerMinute":1000000000000000,"burstTokens":1000000000000000,"tokenQuota":1000000000000000,"tokenQuotaPeriod":"Yearly"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := parse(test.rules)
			if err != nil {
				t.Fatal(err)
			}
			tier := subscription.Tier{ID: "t", Rules: rules}
			err = tier.Validate()
			if test.field == "" && err != nil || test.field != "" && (err == nil || !strings.HasPrefix(err.Error(), test.field+" ")) {
				t.Errorf("Validate: got %v, want a fault of field %q (empty: none)", err, test.field)
			}
		})
	}
}

func TestIDsAreRestrictedToSafeCharacters(t *testing.T) {
	for id, valid := range map[string]bool{"a": true, "team-a.2_b": true, "": false, "A": false, "-a": false, "a/b": false, "a'b": false, strings.Repeat("a", 64): false} {
		tier, sub := subscription.Tier{ID: id}, subscription.Subscription{ID: id, Tier: "t"}
		if (tier.Validate() == nil) != valid || (sub.Validate(time.Now()) == nil) != valid {
			t.Errorf("id %q: got error %v for a tier and %v for a subscription, want valid: %t", id, tier.Validate(), sub.Validate(time.Now()), valid)
		}
	}
}

func TestSurprisingRulesGiveWarnings(t *testing.T) {
	full := rules(t, `{"tokensPerMinute":300,"reserve":"full","maxCompletionTokens":100}`)
	full.Normalize()
	prompt := rules(t, `{"tokensPerMinute":300}`)
	if all := append(full.Warnings(), prompt.Warnings()...); len(all) != 0 {
		t.Errorf("got warnings %q, want none", all)
	}
	if all := (&subscription.Rules{}).Warnings(); len(all) != 1 || !strings.Contains(all[0], "nothing is limited") {
		t.Errorf("without limits: got warnings %q, want \"nothing is limited\" alone", all)
	}
	full.OnStoreDown, full.MaxCompletionTokens = limit.FailOpen, 0
	if all := strings.Join(full.Warnings(), "\n"); !strings.Contains(all, "onStoreDown open") || !strings.Contains(all, "maxCompletionTokens") || !strings.Contains(all, "a model rejects") {
		t.Errorf("got warnings %q, want them to name onStoreDown open and maxCompletionTokens", all)
	}
}

func TestCountingByAHeaderGivesAWarning(t *testing.T) {
	for template, want := range map[string]string{
		"{subscription}": "", "{client-ip}/{model}": "", "{subscription}/{header:X-Team}": "X-Team", "{header:x-a}-{header:X-B}": "x-a X-B",
	} {
		l := rules(t, `{"tokensPerMinute":300,"counterKey":"`+template+`"}`)
		if got := strings.Join(l.Limits[0].CounterKey.Headers(), " "); got != want {
			t.Errorf("%s: got headers %q, want %q", template, got, want)
		}
		all := l.Warnings()
		if said := strings.Contains(strings.Join(all, "\n"), "callers choose themselves"); said != (want != "") || len(all) != len(l.Limits[0].CounterKey.Headers()) {
			t.Errorf("%s: got warnings %q, want one for each of %q", template, all, want)
		}
	}
}

func TestWrongJSONNamesTheField(t *testing.T) {
	for given, want := range map[string]string{
		`{"tokensPerMinute":"9"}`: "tokensPerMinute is a JSON string: use a whole number",
		`{"tokensPerMinute":9.5}`: "tokensPerMinute is a JSON number 9.5: use a whole number",
		`{"shadow":1}`:            "shadow is a JSON number: use true or false",
		`{"models":"a"}`:          "models is a JSON string: use a list",
		`{"reserve":1}`:           "reserve is a JSON number: use a string",
		`{"tokensPerMinutes":9}`:  "tokensPerMinutes is unknown: correct",
		`{"shadow":true,"tokensPerMinute":7,"TokensPerMinute":9}`: "TokensPerMinute appears twice: remove one",
		`{"models":["a"],"models":["b"]}`:                         "models appears twice: remove one",
		`{"maxWait":"5"}`:                                         `"5" is not a duration: use a number with its unit`,
		`{"a`:                                                     "is not JSON: it ends early",
		`{a}`:                                                     "is not JSON: look at byte 2",
		`{} {}`:                                                   "is more than one JSON value",
		`{} ]`:                                                    "is more than one JSON value",
		`{}}`:                                                     "is more than one JSON value",
	} {
		_, err := parse(given)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got error %v, want %s", given, err, want)
		}
	}
}

func TestOverridesReplaceSingleValues(t *testing.T) {
	tier := subscription.Tier{ID: "gold", Rules: rules(t, `{"tokensPerMinute":300,"burstTokens":50}`), Version: 4}
	s := subscription.Subscription{ID: "a", Tier: "gold", Overrides: overrides(t, `{"tokensPerMinute":900,"maxWait":"2s"}`), Version: 3}
	got, err := s.Effective(tier, noon)
	if err != nil {
		t.Fatal(err)
	}
	if l := got.Limits[0]; l.PerMinute != 900 || l.Burst != 50 || tier.Limits[0].PerMinute != 300 || time.Duration(got.MaxWait) != 2*time.Second || got.Reserve != subscription.ReservePrompt {
		t.Errorf("Effective: got %+v, want tokensPerMinute 900, burstTokens 50, maxWait 2s, reserve prompt", got)
	}
	for wrong, want := range map[string]string{
		`{"tokensPerMinutes":1}`:                "overrides.tokensPerMinutes is unknown",
		`{"tokensPerMinute":-1}`:                "limits.tokens.perMinute is out of range",
		`[]`:                                    "overrides is not a JSON object",
		`{"burstTokens":5,"tokensPerMinute":0}`: "limits.tokens.perMinute is missing",
		`{"limits":[{"name":"calls","perMinute":1}]}`:       `overrides.limits has "calls", which is not a limit of the tier: use one of tokens`,
		`{"limits":[{"name":"tokens","unit":"calls"}]}`:     "overrides.limits.tokens.unit can't be overridden",
		`{"limits":[{"name":"tokens"}]}`:                    "overrides.limits.tokens.perMinute is missing, and so is every other value",
		`{"limits":[{"name":"tokens","perMinutes":1}]}`:     "overrides.limits.tokens.perMinutes is unknown",
		`{"limits":[{"name":"tokens","until":"tomorrow"}]}`: "overrides.limits.tokens.until is not a time",
	} {
		err := json.Unmarshal([]byte(wrong), &s.Overrides)
		if err == nil {
			_, err = s.Effective(tier, noon)
		}
		if err == nil {
			err = s.Validate(noon)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("overrides %s: got %v, want %q", wrong, err, want)
		}
	}
}

func TestOverridesDoNotChangeTheTier(t *testing.T) {
	tier := subscription.Tier{ID: "gold", Rules: subscription.Rules{Models: []string{"a", "b"}}}
	s := subscription.Subscription{ID: "s", Tier: "gold", Overrides: overrides(t, `{"models":["c"]}`)}
	got, err := s.Effective(tier, noon)
	if err != nil || !got.AllowsModel("c") || got.AllowsModel("a") || !tier.AllowsModel("a") || tier.AllowsModel("c") {
		t.Errorf("got effective models %v, tier's %v, error %v; want [c], [a b], none", got.Models, tier.Models, err)
	}
}

func TestLimitsOfASharedCounterCannotBeOverridden(t *testing.T) {
	tier := subscription.Tier{ID: "free", Rules: rules(t, `{"tokensPerMinute":300,"counterKey":"{client-ip}"}`), Version: 7}
	for given, right := range map[string]bool{
		`{"tokensPerMinute":9}`: false,
		`{"maxWait":"2s"}`:      true,
		`{"tokensPerMinute":9,"counterKey":"{subscription}"}`:               true,
		`{"tokensPerMinute":300,"reserve":"none","counterKey":"{model}-x"}`: true,
	} {
		s := subscription.Subscription{ID: "a", Tier: "free", Overrides: overrides(t, given), Version: 9}
		_, err := s.Effective(tier, noon)
		if (err == nil) != right {
			t.Errorf("%s: got error %v, want accepted %t", given, err, right)
		}
	}
}

// Counters ignore limits that aren't newer, so even a move to a tier with a lower version must
// raise the version.
func TestEveryChangeRaisesTheVersionOfTheEffectiveLimits(t *testing.T) {
	effective := func(s subscription.Subscription, tier subscription.Tier) int64 {
		t.Helper()
		got, err := s.Effective(tier, noon)
		if err != nil {
			t.Fatal(err)
		}
		return got.Version
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	old, young := subscription.Tier{ID: "old"}, subscription.Tier{ID: "young"}
	for range 1000 {
		old.Version = subscription.NextVersion(old.Version, now)
	}
	young.Version = subscription.NextVersion(0, now)
	s := subscription.Subscription{ID: "a", Tier: "old", Version: subscription.NextVersion(0, now)}
	versions := []int64{effective(s, old)}
	old.Version = subscription.NextVersion(old.Version, now)
	versions = append(versions, effective(s, old))
	s.Version = subscription.NextVersion(s.Version, now)
	versions = append(versions, effective(s, young))
	young.Version = subscription.NextVersion(young.Version, now.Add(-time.Hour)) // on an instance whose clock is behind
	versions = append(versions, effective(s, young))
	s.Version = subscription.NextVersion(0, now.Add(time.Hour)) // deleted by hand and created again
	versions = append(versions, effective(s, young))
	for i := 1; i < len(versions); i++ {
		if versions[i] <= versions[i-1] {
			t.Errorf("change %d: got version %d, want above %d", i, versions[i], versions[i-1])
		}
	}
}

func TestReserveFullDefaultsToClosedWhenTheStoreIsDown(t *testing.T) {
	full, prompt := subscription.Rules{Reserve: subscription.ReserveFull}, subscription.Rules{}
	full.Normalize()
	prompt.Normalize()
	if full.OnStoreDown != limit.FailClosed || prompt.OnStoreDown != limit.Degrade {
		t.Errorf("onStoreDown: got %s with reserve full and %s with reserve prompt, want closed and degrade", full.OnStoreDown, prompt.OnStoreDown)
	}
}

// FuzzTier checks that a valid tier is still valid after Normalize, and is the same after it
// is encoded and decoded.
func FuzzTier(f *testing.F) {
	f.Add([]byte(`{"id":"t","tokensPerMinute":300,"tokenQuota":9000,"tokenQuotaPeriod":"Daily","maxWait":"2s","reserve":"full","models":["a"]}`))
	f.Add([]byte(`{"id":"t","tokensPerMinute":9223372036854775807,"burstTokens":-9223372036854775808,"tokenQuota":1}`))
	f.Add([]byte(`{"id":"t","limits":[{"name":"a","unit":"cost","quota":"0.5","period":"Daily","alertAt":[50]},{"name":"b","unit":"tokens","perMinute":5,"weights":{"cached":0}}]}`))
	f.Add([]byte(`{"id":"t","counterKey":"{header:X}{{"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var tier, again subscription.Tier
		if subscription.Decode(text, &tier) != nil || tier.ExpandShortForm() != nil || tier.Validate() != nil {
			return
		}
		tier.Normalize()
		written, err := json.Marshal(tier)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(tier.Validate(), subscription.Decode(written, &again)); err != nil {
			t.Errorf("%s: got %v, want a valid tier that can be decoded again", text, err)
		}
		if diff := cmp.Diff(tier, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: got another tier when read again, want what was written (-written +read):\n%s", text, diff)
		}
	})
}

// An override that only keeps a value of the tier from taking effect is accepted.
func TestAnOverrideThatCanNeverTakeEffectIsRejected(t *testing.T) {
	tier := subscription.Tier{ID: "growth", Rules: rules(t, `{"tokensPerMinute":50000,"tokenQuota":20000000,"tokenQuotaPeriod":"Daily"}`)}
	for given, want := range map[string]string{
		`{"tokensPerMinute":30000000}`:                           "limits.tokens.perMinute is above quota",
		`{"TokensPerMinute":30000000}`:                           "limits.tokens.perMinute is above quota",
		`{"tokenQuota":40000}`:                                   "",
		`{"tokenQuota":100000000}`:                               "limits.tokens.quota is above the 72000000 tokens",
		`{"tokenQuotaPeriod":"Hourly"}`:                          "limits.tokens.quota is above the 3000000 tokens",
		`{"tokensPerMinute":100}`:                                "",
		`{"tokensPerMinute":100,"tokenQuota":19000000}`:          "limits.tokens.quota is above the 144000 tokens",
		`{"tokenQuota":0,"tokenQuotaPeriod":""}`:                 "",
		`{"tokensPerMinute":0}`:                                  "",
		`{"burstTokens":60000000,"tokenQuota":100000000}`:        "",
		`{"tokenQuota":100000000,"tokenQuotaPeriod":"Monthly"}`:  "",
		`{"tokenQuota":10000000000,"tokenQuotaPeriod":"Weekly"}`: "limits.tokens.quota is above the 504000000 tokens",
		`{"name":"x"}`:                                           "overrides.name is unknown",
	} {
		s := subscription.Subscription{ID: "a", Tier: "growth", Overrides: overrides(t, given)}
		err := s.CheckOverrides(tier, noon)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "overrides")) {
			t.Errorf("%s: got error %v, want %q", given, err, want)
		}
	}
}

// Names appear in lists, logs and terminals.
func TestNamesWithHiddenCharactersAreRejected(t *testing.T) {
	for name, valid := range map[string]bool{"Team A": true, "Équipe d'été": true, "財務部 👩‍💻": true, "تیم \u200cما": true, "": true,
		"a\u202eb": false, "a\u2066b\u2069": false, "a\u200fb": false, "a\u061cb": false, "a\nb": false, "a\tb": false, "\x1b[31mred": false, "a\u0085b": false,
		"a\u009b31m": false, "a\x7f": false, "a\x00": false, "a\u2028b": false, "a\ufeffb": false, "a\ufffdb": false, "a\xffb": false, "a\ufffe": false} {
		for field, err := range map[string]error{
			"name":       (&subscription.Subscription{ID: "a", Tier: "b", Name: name}).Validate(noon),
			"models":     (&subscription.Rules{Models: []string{"m" + name}}).Validate(),
			"counterKey": (&subscription.Rules{Limits: []subscription.Limit{{Name: "tokens", Unit: "tokens", PerMinute: 1, CounterKey: "{model}" + subscription.CounterKey(name)}}}).Validate(),
		} {
			if valid != (err == nil) || err != nil && !strings.Contains(err.Error(), field+" has a control character") {
				t.Errorf("%s %q: got error %v, want valid %t", field, name, err, valid)
			}
		}
	}
}

func TestValuesTooLongForTheirColumnAreRejected(t *testing.T) {
	long := make([]string, 3000)
	for i := range long {
		long[i] = "model-" + strconv.Itoa(i)
	}
	text, err := json.Marshal(map[string]any{"models": long})
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"overrides": (&subscription.Subscription{ID: "a", Tier: "b", Overrides: overrides(t, string(text))}).Validate(noon),
		"models":    (&subscription.Rules{Models: long}).Validate(),
		"escaped":   (&subscription.Rules{Models: []string{strings.Repeat("<", 2001)}}).Validate(), // each is stored as six characters
	} {
		if err == nil || !strings.Contains(err.Error(), "is longer than 12000 characters") {
			t.Errorf("%s: got error %v, want \"is longer than 12000 characters\"", what, err)
		}
	}
	if err := (&subscription.Rules{Models: long[:500]}).Validate(); err != nil {
		t.Errorf("500 models: got error %v, want none", err)
	}
}

func TestAnOverrideOfAllAmountsWithZeroRemovesThatLimit(t *testing.T) {
	tier := subscription.Tier{ID: "gold", Rules: rules(t, `{"tokensPerMinute":300,"limits":[{"name":"calls","unit":"calls","quota":9,"period":"Daily"}]}`)}
	for given, want := range map[string]string{`{"tokensPerMinute":0}`: "calls", `{"limits":[{"name":"calls","quota":0}]}`: "tokens"} {
		s := subscription.Subscription{ID: "a", Tier: "gold", Overrides: overrides(t, given)}
		got, err := s.Effective(tier, noon)
		if err = errors.Join(err, s.CheckOverrides(tier, noon)); err != nil || len(got.Limits) != 1 || got.Limits[0].Name != want {
			t.Errorf("%s: got %+v, %v; want %s alone", given, got.Limits, err, want)
		}
	}
}

// Counters adopt only newer limits, so the version must grow when an override ends.
func TestTheVersionGrowsWhenAnOverrideEnds(t *testing.T) {
	tier := subscription.Tier{ID: "gold", Rules: rules(t, `{"tokensPerMinute":300}`), Version: 7}
	s := subscription.Subscription{ID: "a", Tier: "gold", Version: 9, Overrides: overrides(t, `{"limits":[{"name":"tokens","perMinute":900,"until":"2026-03-02T12:00:30Z"}]}`)}
	before, e1 := s.Effective(tier, noon)
	after, e2 := s.Effective(tier, noon.Add(30*time.Second))
	if err := errors.Join(e1, e2); err != nil || before.Limits[0].PerMinute != 900 || after.Limits[0].PerMinute != 300 || after.Version <= before.Version {
		t.Errorf("got %+v of version %d, then %+v of version %d, %v; want 900 a minute, then 300 of a newer version", before.Limits, before.Version, after.Limits, after.Version, err)
	}
	s.Version++
	if changed, err := s.Effective(tier, noon); err != nil || changed.Version <= after.Version {
		t.Errorf("after a change of the subscription: got version %d, %v; want above %d", changed.Version, err, after.Version)
	}
}
