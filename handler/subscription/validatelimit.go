package subscription

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"tollgate/handler/limit"
)

// The largest amounts. They are far above any use, and small enough that sums never overflow:
// 10¹⁵ tokens is more than all models together generate in a year.
const (
	maxAmount = int64(1e15)
	maxMoney  = int64(1e17) // 10⁸ of the currency
)

// maxWeight is the largest weight, in thousandths: a token may count as a thousand.
const maxWeight = int64(1e6)

// namePattern matches valid names of limits. A name must be usable in a row key and as a word
// on a command line.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

// units lists the units, in the order used by error messages.
var units = []string{string(limit.Tokens), string(limit.PromptTokens), string(limit.CompletionTokens), string(limit.Calls), string(limit.Cost)}

// checkLimits adds the faults of the limits of a tier or group.
func (f *faults) checkLimits(limits []Limit) {
	f.check(len(limits) <= MaxLimits, "limits", fmt.Sprintf("has %d limits", len(limits)), fmt.Sprintf("use at most %d", MaxLimits))
	f.checkColumnSize("limits", limits)
	seen := make(map[string]string)
	for i := range limits {
		l := &limits[i]
		folded := strings.ToLower(l.Name)
		switch other, twice := seen[folded]; {
		case twice && other == l.Name:
			*f = append(*f, newFieldError(limitField(l.Name, "name"), "is used by two limits", "give each a name of its own"))
		case twice:
			*f = append(*f, newFieldError(limitField(l.Name, "name"), fmt.Sprintf("differs from %q by case only", other), "give each a name of its own"))
		}
		seen[folded] = l.Name
		f.checkLimit(l)
	}
}

// checkLimit adds the faults of one limit.
func (f *faults) checkLimit(l *Limit) {
	in := func(field string) string { return limitField(l.Name, field) }
	f.check(l.Name != "", in("name"), "is missing", "give the limit a name")
	f.check(l.Name == "" || namePattern.MatchString(l.Name), in("name"), "is not a limit's name", "use 1 to 32 letters, digits, '_' and '-', beginning with a letter or digit")
	if l.Unit == "" {
		*f = append(*f, newFieldError(in("unit"), "is missing", "use "+strings.Join(units, ", ")))
		return
	}
	f.checkOneOf(in("unit"), string(l.Unit), units...)
	f.check(!strings.EqualFold(l.Name, TokensName) || l.Unit == limit.Tokens, in("unit"), "isn't tokens, although its name is", "give the limit another name")
	f.checkAmount(in("perMinute"), l.Unit, l.PerMinute)
	f.checkAmount(in("burst"), l.Unit, l.Burst)
	f.checkAmount(in("quota"), l.Unit, l.Quota)
	f.checkPeriod(in("period"), l.Period)
	f.checkWindows(l, in)
	f.checkWeights(l, in)
	f.checkCounterKey(in("counterKey"), l.CounterKey)
	f.checkModels(in("models"), l.Models)
	f.checkAlerts(l, in("alertAt"))
}

func (f *faults) checkAmount(field string, unit limit.Unit, n int64) {
	if unit == limit.Cost {
		f.check(n >= 0 && n <= maxMoney, field, "is out of range", `use "0.000000001" to "100000000", or "0" for none`)
		return
	}
	f.check(n >= 0 && n <= maxAmount, field, "is out of range", "use 1 to 10^15, or 0 for none")
}

func (f *faults) checkPeriod(field string, p limit.Period) {
	f.checkOneOf(field, string(p), string(limit.Hourly), string(limit.Daily), string(limit.Weekly), string(limit.Monthly), string(limit.Yearly))
}

// checkWindows adds faults unless the limit has an amount, a quota has its period and a burst
// its minute.
func (f *faults) checkWindows(l *Limit, in func(field string) string) {
	f.check(l.PerMinute != 0 || l.Quota != 0, in("perMinute"), "is missing, and so is quota", "set one of the two, or both")
	f.check(l.Quota <= 0 || l.Period != "", in("period"), "is missing", "set the period of the quota: Hourly, Daily, Weekly, Monthly or Yearly")
	f.check(l.Period == "" || l.Quota != 0, in("period"), "is set without a quota", "set quota, or leave period out")
	f.check(l.Burst == 0 || l.PerMinute != 0, in("burst"), "is set without perMinute", "set perMinute, or leave burst out")
}

func (f *faults) checkWeights(l *Limit, in func(field string) string) {
	if l.Weights == nil {
		return
	}
	f.check(l.Unit == limit.Tokens, in("weights"), fmt.Sprintf("are for tokens, and the unit is %s", l.Unit), "leave them out")
	given := reflect.ValueOf(*l.Weights)
	for i := range given.NumField() {
		if weight, ok := given.Field(i).Interface().(*int64); ok && weight != nil {
			name, _, _ := strings.Cut(given.Type().Field(i).Tag.Get("json"), ",")
			f.check(*weight >= 0 && *weight <= maxWeight, in("weights."+name), "is out of range", "use thousandths from 0 to 1000000; 1000 counts a token as one")
		}
	}
	f.check(l.Weights.complete() != limit.Weights{}, in("weights"), "are all 0, so nothing would count", "use a weight above 0")
}

func (f *faults) checkAlerts(l *Limit, field string) {
	f.check(len(l.AlertAt) == 0 || l.Quota > 0, field, "is set without a quota", "set quota, or leave alertAt out")
	f.check(len(l.AlertAt) <= 10, field, "has more than 10 percents", "use fewer")
	f.check(slices.IsSorted(l.AlertAt) && len(slices.Compact(slices.Clone(l.AlertAt))) == len(l.AlertAt), field, "is not ascending", "list the percents in ascending order, each once")
	for _, percent := range l.AlertAt {
		f.check(percent >= 1 && percent <= 100, field, fmt.Sprintf("has %d", percent), "use percents from 1 to 100")
	}
}

// limitWarnings describes limits that are valid but may surprise the operator.
func limitWarnings(limits []Limit) (all []string) {
	for i := range limits {
		for _, header := range limits[i].CounterKey.Headers() {
			all = append(all, fmt.Sprintf("limit %q counts by {header:%s}, which callers choose themselves: a caller that sends another value gets another counter. "+
				"Count by a header only if a proxy of yours sets it and callers can't bypass the proxy", limits[i].Name, header))
		}
		for j := range i {
			if sameLimit(limits[i], limits[j]) {
				all = append(all, fmt.Sprintf("limits %q and %q say the same: one of them is enough", limits[j].Name, limits[i].Name))
			}
		}
	}
	return all
}

// sameLimit reports whether two limits differ only in their names.
func sameLimit(a, b Limit) bool {
	a.Name, b.Name = "", ""
	return reflect.DeepEqual(a, b)
}
