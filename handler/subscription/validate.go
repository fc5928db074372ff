package subscription

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// maxWait is the largest MaxWait. It leaves time for the call itself before the 230 s after
// which Azure's front end abandons a request without a response.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout
const maxWait = 120 * time.Second

// maxConcurrent is the largest MaxConcurrent, more calls than one instance can handle at once.
const maxConcurrent = 10_000

// periodMinutes is the length of each period's longest window, in minutes.
var periodMinutes = map[limit.Period]int64{limit.Hourly: 60, limit.Daily: 24 * 60, limit.Weekly: 7 * 24 * 60, limit.Monthly: 31 * 24 * 60, limit.Yearly: 366 * 24 * 60}

// idPattern matches valid ids. An id must be usable in a row key, in a counter key and as a
// word on a command line.
var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (f *faults) checkID(field, id string) {
	f.check(idPattern.MatchString(id), field, fmt.Sprintf("%q is not an id", id), "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit")
}

// Validate returns everything that is wrong with the tier. An amount that could never take
// effect is a fault, because operators would rely on it.
func (t *Tier) Validate() error {
	var f faults
	f.checkID("id", t.ID)
	for i := range t.Limits {
		f.checkReachable(&t.Limits[i])
	}
	return errors.Join(f.err(), t.Rules.Validate())
}

// checkReachable adds a fault if the limit's minute or quota can never be reached, because the
// other is always reached first.
func (f *faults) checkReachable(l *Limit) {
	if l.PerMinute <= 0 || l.Quota <= 0 {
		return
	}
	f.check(l.PerMinute <= l.Quota, limitField(l.Name, "perMinute"), "is above quota, so it could never take effect", "lower it or leave it out")
	minutes := periodMinutes[l.Period]
	if minutes == 0 {
		return
	}
	// Overspending a minute reduces later minutes, so a window admits at most the sum of its minutes and the burst.
	needed := (l.Quota - l.Burst + minutes - 1) / minutes
	f.check(needed <= l.PerMinute, limitField(l.Name, "quota"),
		fmt.Sprintf("is above the %s that perMinute lets pass in the longest %s window, so it could never take effect", describeAmount(l.Unit, l.PerMinute*minutes+l.Burst), l.Period),
		"lower it, or leave it and period out")
}

// describeAmount returns an amount with its unit, for messages.
func describeAmount(unit limit.Unit, amount int64) string {
	if unit == limit.Cost {
		return limit.FormatMoney(amount) + " of cost"
	}
	return fmt.Sprintf("%d %s", amount, strings.ReplaceAll(string(unit), "-", " "))
}

// Validate returns everything that is wrong with the rules. Unlike Tier.Validate it accepts
// amounts that can never take effect, because an override may cause that: a lowered minute
// limit, for example, may make the tier's quota unreachable.
func (r *Rules) Validate() error {
	var f faults
	f.check(r.ShortForm == (ShortForm{}), "limits", "are still in the short form", "call ExpandShortForm first")
	f.check(r.MaxCompletionTokens >= 0 && r.MaxCompletionTokens <= 1<<31-1, "maxCompletionTokens", "is out of range", "use 1 to 2147483647 tokens, or 0 for no cap")
	f.check(r.MaxWait >= 0 && time.Duration(r.MaxWait) <= maxWait, "maxWait", "is out of range", "use 0s to 2m")
	f.check(r.ConcurrencyLimit() >= 0 && r.ConcurrencyLimit() <= maxConcurrent, "maxConcurrent", "is out of range", "use 1 to 10000 calls, or 0 for any number")
	f.checkOneOf("reserve", string(r.Reserve), string(ReserveNone), string(ReservePrompt), string(ReserveFull))
	f.checkOneOf("onStoreDown", string(r.OnStoreDown), string(limit.Degrade), string(limit.FailClosed), string(limit.FailOpen))
	f.checkOneOf("storedContent", string(r.StoredContent), string(StoredRefuse), string(StoredAllow))
	f.checkModels("models", r.Models)
	f.checkLimits(r.Limits)
	if r.Reserve == ReserveFull {
		f.checkCap(r)
	}
	return f.err()
}

// checkCap adds a fault for each limit that a completion of MaxCompletionTokens fills by
// itself, so that no call would fit with its prompt.
func (f *faults) checkCap(r *Rules) {
	for _, l := range r.Limits {
		if l.Unit == limit.Cost {
			continue // it depends on prices
		}
		completion := l.Measure().MaxCharge(0, r.MaxCompletionTokens)
		f.check(r.MaxCompletionTokens == 0 || l.Unit == limit.Calls || leavesRoom(completion, l.PerMinute, l.Burst) && leavesRoom(completion, l.Quota, 0),
			"maxCompletionTokens", fmt.Sprintf("is as large as the whole limit %q", l.Name), "lower it, so that a call with its prompt can fit")
	}
}

func (f *faults) checkName(name string) {
	f.check(len(name) <= 256, "name", "is longer than 256 bytes", "shorten it")
	f.checkText("name", name)
}

func (f *faults) checkOneOf(field, value string, allowed ...string) {
	f.check(value == "" || slices.Contains(allowed, value), field, fmt.Sprintf("%q is unknown", value), "use "+strings.Join(allowed, ", "))
}

// leavesRoom reports whether a completion of the cap's size leaves room for a prompt in an
// amount. An amount of 0 is no limit.
func leavesRoom(completion, limit, burst int64) bool { return limit <= 0 || completion < limit+burst }

func (f *faults) checkModels(field string, models []string) {
	f.checkColumnSize(field, models)
	seen := make(map[string]bool)
	for _, model := range models {
		f.check(strings.TrimSpace(model) == model && model != "", field, fmt.Sprintf("has the name %q", model), "use the names of models, without spaces around them")
		f.checkText(field, model)
		f.check(!seen[model], field, fmt.Sprintf("has %q twice", model), "list it once")
		seen[model] = true
	}
}

// Warnings describes settings that are valid but may surprise the operator.
func (r *Rules) Warnings() []string {
	var all []string
	if len(r.Limits) == 0 {
		all = append(all, "nothing is limited: the tier has no limits")
	}
	if r.StoredContent == StoredAllow {
		all = append(all, "storedContent allow: these subscriptions can use what others store at the same endpoints, such as conversations and files, if they know its id")
	}
	all = append(all, limitWarnings(r.Limits)...)
	if r.Reserve != ReserveFull {
		return all
	}
	if r.OnStoreDown == limit.Degrade || r.OnStoreDown == limit.FailOpen {
		all = append(all, fmt.Sprintf("onStoreDown %s: while the counters can't be reached, the limits can be exceeded although reserve is full", r.OnStoreDown))
	}
	if r.MaxCompletionTokens == 0 {
		all = append(all, "reserve full without maxCompletionTokens: a call that sets no cap reserves everything left until it ends, and gets that as its cap, which a model rejects if it exceeds the model's maximum. Set maxCompletionTokens")
	}
	return all
}
