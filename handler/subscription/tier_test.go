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

func TestValidateNamesEveryFault(t *testing.T) {
	for name, test := range map[string]struct {
		limits subscription.Limits
		fields []string // none: valid
	}{
		"no limit at all":         {subscription.Limits{}, nil},
		"the article's":           {subscription.Limits{TokensPerMinute: 300}, nil},
		"every field":             {subscription.Limits{TokensPerMinute: 300, TokenQuota: 9000, TokenQuotaPeriod: "Daily", BurstTokens: 10, Reserve: "full", MaxCompletionTokens: 100, MaxWait: subscription.Duration(time.Second), MaxConcurrent: new(int64(20)), OnStoreDown: "closed", CounterKey: "{model}-{header:X-Team}", Models: []string{"a"}}, nil},
		"negative limits":         {subscription.Limits{TokensPerMinute: -1, TokenQuota: -1, BurstTokens: -1, MaxCompletionTokens: -1, MaxWait: -1, MaxConcurrent: new(int64(-1))}, []string{"tokensPerMinute", "tokenQuota", "burstTokens", "maxCompletionTokens", "maxWait", "maxConcurrent"}},
		"quota without period":    {subscription.Limits{TokenQuota: 5}, []string{"tokenQuotaPeriod"}},
		"period without quota":    {subscription.Limits{TokenQuotaPeriod: "Daily"}, []string{"tokenQuotaPeriod"}},
		"unknown words":           {subscription.Limits{TokensPerMinute: 9, TokenQuota: 9, TokenQuotaPeriod: "daily", Reserve: "all", OnStoreDown: "shut"}, []string{"tokenQuotaPeriod", "reserve", "onStoreDown"}},
		"burst without minute":    {subscription.Limits{BurstTokens: 5}, []string{"burstTokens"}},
		"wait without minute":     {subscription.Limits{MaxWait: 5}, []string{"maxWait"}},
		"wait too long":           {subscription.Limits{TokensPerMinute: 1, MaxWait: subscription.Duration(time.Hour)}, []string{"maxWait"}},
		"no limit, with words":    {subscription.Limits{Reserve: "full", Shadow: true, CounterKey: "{model}"}, []string{"reserve", "shadow", "counterKey"}},
		"no limit, closed":        {subscription.Limits{OnStoreDown: "closed"}, []string{"onStoreDown"}},
		"cap as large as limit":   {subscription.Limits{TokensPerMinute: 300, Reserve: "full", MaxCompletionTokens: 300}, []string{"maxCompletionTokens"}},
		"counter key unknown":     {subscription.Limits{CounterKey: "{user}"}, []string{"counterKey"}},
		"counter key unbalanced":  {subscription.Limits{CounterKey: "{model"}, []string{"counterKey"}},
		"counter key constant":    {subscription.Limits{CounterKey: "all"}, []string{"counterKey"}},
		"counter key bad header":  {subscription.Limits{CounterKey: "{header:a b}"}, []string{"counterKey"}},
		"counter key of a secret": {subscription.Limits{TokensPerMinute: 1, CounterKey: "{header:API-Key}"}, []string{"counterKey"}},
		"counter key with a tab":  {subscription.Limits{TokensPerMinute: 1, CounterKey: "{model}\t"}, []string{"counterKey"}},
		"counter key too long":    {subscription.Limits{TokensPerMinute: 1, CounterKey: subscription.CounterKey("{model}" + strings.Repeat("x", 200))}, []string{"counterKey"}},
		"empty model":             {subscription.Limits{Models: []string{""}}, []string{"models"}},
		"a model twice":           {subscription.Limits{Models: []string{"a", "a"}}, []string{"models"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.limits.Validate()
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

func TestALimitThatCanNeverTakeEffectIsRejected(t *testing.T) {
	for name, test := range map[string]struct {
		limits subscription.Limits
		field  string // empty: valid
	}{
		"both act":                  {subscription.Limits{TokensPerMinute: 100, TokenQuota: 5999, TokenQuotaPeriod: "Hourly"}, ""},
		"the same said twice":       {subscription.Limits{TokensPerMinute: 100, TokenQuota: 6000, TokenQuotaPeriod: "Hourly"}, ""},
		"minute above quota":        {subscription.Limits{TokensPerMinute: 10, TokenQuota: 9, TokenQuotaPeriod: "Daily"}, "tokensPerMinute"},
		"quota above its minutes":   {subscription.Limits{TokensPerMinute: 100, TokenQuota: 6001, TokenQuotaPeriod: "Hourly"}, "tokenQuota"},
		"quota within minute+burst": {subscription.Limits{TokensPerMinute: 100, BurstTokens: 1, TokenQuota: 6001, TokenQuotaPeriod: "Hourly"}, ""},
		"a long month":              {subscription.Limits{TokensPerMinute: 1, TokenQuota: 31 * 24 * 60, TokenQuotaPeriod: "Monthly"}, ""},
		"the largest of all":        {subscription.Limits{TokensPerMinute: 1e15, BurstTokens: 1e15, TokenQuota: 1e15, TokenQuotaPeriod: "Yearly"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tier := subscription.Tier{ID: "t", Limits: test.limits}
			err := tier.Validate()
			if test.field == "" && err != nil || test.field != "" && (err == nil || !strings.HasPrefix(err.Error(), test.field+" ")) {
				t.Errorf("Validate: got %v, want a fault of field %q (empty: none)", err, test.field)
			}
		})
	}
}

func TestIDsAreRestrictedToSafeCharacters(t *testing.T) {
	for id, right := range map[string]bool{"a": true, "team-a.2_b": true, "": false, "A": false, "-a": false, "a/b": false, "a'b": false, strings.Repeat("a", 64): false} {
		tier, sub := subscription.Tier{ID: id}, subscription.Subscription{ID: id, Tier: "t"}
		if (tier.Validate() == nil) != right || (sub.Validate() == nil) != right {
			t.Errorf("id %q: got tier fault %v, subscription fault %v; want valid %t", id, tier.Validate(), sub.Validate(), right)
		}
	}
}

func TestSurprisingLimitsGiveWarnings(t *testing.T) {
	full := subscription.Limits{TokensPerMinute: 300, Reserve: "full", MaxCompletionTokens: 100}
	full.Normalize()
	prompt := subscription.Limits{TokensPerMinute: 300}
	if all := append(full.Warnings(), prompt.Warnings()...); len(all) != 0 {
		t.Errorf("got warnings %q, want none", all)
	}
	if all := (&subscription.Limits{}).Warnings(); len(all) != 1 || !strings.Contains(all[0], "nothing is limited") {
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
		l := subscription.Limits{TokensPerMinute: 300, CounterKey: subscription.CounterKey(template)}
		if got := strings.Join(l.CounterKey.Headers(), " "); got != want {
			t.Errorf("%s: got headers %q, want %q", template, got, want)
		}
		all := l.Warnings()
		if said := strings.Contains(strings.Join(all, "\n"), "callers choose themselves"); said != (want != "") || len(all) != len(l.CounterKey.Headers()) {
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
		_, err := subscription.Limits{}.With(json.RawMessage(given))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got error %v, want %s", given, err, want)
		}
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
		t.Errorf("Effective: got %+v, want tokensPerMinute 900, burstTokens 50, maxWait 2s, reserve prompt", got)
	}
	for _, wrong := range []string{`{"tokensPerMinutes":1}`, `{"tokensPerMinute":-1}`, `[]`, `{"burstTokens":5,"tokensPerMinute":0}`} {
		s.Overrides = json.RawMessage(wrong)
		if _, err := s.Effective(tier); err == nil {
			t.Errorf("overrides %s: got them accepted, want an error", wrong)
		}
	}
}

// TestOverridesLeaveTheTierAlone: applying an override of models doesn't change
// the tier's own list.
func TestOverridesLeaveTheTierAlone(t *testing.T) {
	tier := subscription.Tier{ID: "gold", Limits: subscription.Limits{Models: []string{"a", "b"}}}
	s := subscription.Subscription{ID: "s", Tier: "gold", Overrides: json.RawMessage(`{"models":["c"]}`)}
	got, err := s.Effective(tier)
	if err != nil || !got.Serves("c") || got.Serves("a") || !tier.Serves("a") || tier.Serves("c") {
		t.Errorf("got effective models %v, tier's %v, error %v; want [c], [a b], none", got.Models, tier.Models, err)
	}
}

func TestLimitsOfASharedCounterCannotBeOverridden(t *testing.T) {
	tier := subscription.Tier{ID: "free", Limits: subscription.Limits{TokensPerMinute: 300, CounterKey: "{client-ip}"}, Version: 7}
	for overrides, right := range map[string]bool{
		`{"tokensPerMinute":9}`: false,
		`{"maxWait":"2s"}`:      true,
		`{"tokensPerMinute":9,"counterKey":"{subscription}"}`:               true,
		`{"tokensPerMinute":300,"reserve":"none","counterKey":"{model}-x"}`: true,
	} {
		s := subscription.Subscription{ID: "a", Tier: "free", Overrides: json.RawMessage(overrides), Version: 9}
		got, err := s.Effective(tier)
		if (err == nil) != right {
			t.Errorf("%s: got error %v, want accepted %t", overrides, err, right)
		}
		if shared := !strings.Contains(string(got.CounterKey), "{subscription}"); right && shared && got.Version != 7 {
			t.Errorf("%s: got version %d of a shared counter, want the tier's, 7", overrides, got.Version)
		}
	}
}

// TestEveryChangeGivesANewerVersion, also a move to a tier with a lower version,
// because counters ignore limits that aren't newer.
func TestEveryChangeGivesANewerVersion(t *testing.T) {
	effective := func(s subscription.Subscription, tier subscription.Tier) int64 {
		t.Helper()
		got, err := s.Effective(tier)
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
	full, prompt := subscription.Limits{Reserve: subscription.ReserveFull}, subscription.Limits{}
	full.Normalize()
	prompt.Normalize()
	if full.OnStoreDown != limit.FailClosed || prompt.OnStoreDown != limit.Degrade {
		t.Errorf("onStoreDown: got %s with reserve full and %s with prompt, want closed and degrade", full.OnStoreDown, prompt.OnStoreDown)
	}
}

// A valid tier stays valid when defaults are filled in, and survives encoding.
func FuzzTier(f *testing.F) {
	f.Add([]byte(`{"id":"t","tokensPerMinute":300,"tokenQuota":9000,"tokenQuotaPeriod":"Daily","maxWait":"2s","reserve":"full","models":["a"]}`))
	f.Add([]byte(`{"id":"t","tokensPerMinute":9223372036854775807,"burstTokens":-9223372036854775808,"tokenQuota":1}`))
	f.Add([]byte(`{"id":"t","counterKey":"{header:X}{{"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var tier, again subscription.Tier
		if subscription.Decode(text, &tier) != nil || tier.Validate() != nil {
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

// TestAnOverrideThatCanNeverTakeEffectIsRejected, as in a tier. An override that only makes
// a value of the tier ineffective is accepted.
func TestAnOverrideThatCanNeverTakeEffectIsRejected(t *testing.T) {
	tier := subscription.Tier{ID: "growth", Limits: subscription.Limits{TokensPerMinute: 50_000, TokenQuota: 20_000_000, TokenQuotaPeriod: limit.Daily}}
	for overrides, want := range map[string]string{
		`{"tokensPerMinute":30000000}`:                           "tokensPerMinute is above tokenQuota",
		`{"TokensPerMinute":30000000}`:                           "tokensPerMinute is above tokenQuota",
		`{"tokenQuota":40000}`:                                   "",
		`{"tokenQuota":100000000}`:                               "tokenQuota is above the 72000000 tokens",
		`{"tokenQuotaPeriod":"Hourly"}`:                          "tokenQuota is above the 3000000 tokens",
		`{"tokensPerMinute":100}`:                                "",
		`{"tokensPerMinute":100,"tokenQuota":19000000}`:          "tokenQuota is above the 144000 tokens",
		`{"tokenQuota":0,"tokenQuotaPeriod":""}`:                 "",
		`{"tokensPerMinute":0}`:                                  "",
		`{"burstTokens":60000000,"tokenQuota":100000000}`:        "",
		`{"tokenQuota":100000000,"tokenQuotaPeriod":"Monthly"}`:  "",
		`{"tokenQuota":10000000000,"tokenQuotaPeriod":"Weekly"}`: "tokenQuota is above the 504000000 tokens",
		`{"name":"x"}`:                                           "name is unknown",
	} {
		s := subscription.Subscription{ID: "a", Tier: "growth", Overrides: json.RawMessage(overrides)}
		err := s.Check(tier)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "overrides: ")) {
			t.Errorf("%s: got error %v, want %q", overrides, err, want)
		}
	}
}

// TestNamesWithHiddenCharactersAreRejected, because names appear in lists, logs and
// terminals.
func TestNamesWithHiddenCharactersAreRejected(t *testing.T) {
	for name, valid := range map[string]bool{"Team A": true, "Équipe d'été": true, "財務部 👩‍💻": true, "تیم \u200cما": true, "": true,
		"a\u202eb": false, "a\u2066b\u2069": false, "a\u200fb": false, "a\u061cb": false, "a\nb": false, "a\tb": false, "\x1b[31mred": false, "a\u0085b": false,
		"a\u009b31m": false, "a\x7f": false, "a\x00": false, "a\u2028b": false, "a\ufeffb": false, "a\ufffdb": false, "a\xffb": false, "a\ufffe": false} {
		for field, err := range map[string]error{
			"name":       (&subscription.Subscription{ID: "a", Tier: "b", Name: name}).Validate(),
			"models":     (&subscription.Limits{Models: []string{"m" + name}}).Validate(),
			"counterKey": (&subscription.Limits{TokensPerMinute: 1, CounterKey: "{model}" + subscription.CounterKey(name)}).Validate(),
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
		"overrides": (&subscription.Subscription{ID: "a", Tier: "b", Overrides: text}).Validate(),
		"models":    (&subscription.Limits{Models: long}).Validate(),
		"escaped":   (&subscription.Limits{Models: []string{strings.Repeat("<", 2001)}}).Validate(), // each is stored as six characters
	} {
		if err == nil || !strings.Contains(err.Error(), "is longer than 12000 characters") {
			t.Errorf("%s: got error %v, want \"is longer than 12000 characters\"", what, err)
		}
	}
	if err := (&subscription.Limits{Models: long[:500]}).Validate(); err != nil {
		t.Errorf("500 models: got error %v, want none", err)
	}
}
