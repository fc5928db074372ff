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

// maxTokens bounds limits so that sums of them never overflow. 10¹⁵ tokens is more
// than all models together generate in a year.
const maxTokens = int64(1e15)

// maxWait is below the 230 s after which Azure's front end abandons a silent call.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout
const maxWait = 120 * time.Second

// maxConcurrent is more calls than one instance can have in progress.
const maxConcurrent = 10_000

// periodMinutes holds the length of each period's longest window, in minutes.
var periodMinutes = map[limit.Period]int64{limit.Hourly: 60, limit.Daily: 24 * 60, limit.Weekly: 7 * 24 * 60, limit.Monthly: 31 * 24 * 60, limit.Yearly: 366 * 24 * 60}

// idPattern matches valid ids. An id must work in a row's key, in a counter key and as
// a word on a command line.
var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (f *faults) checkID(field, id string) {
	f.check(idPattern.MatchString(id), field, fmt.Sprintf("%q is not an id", id), "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit")
}

// Validate returns everything that is wrong with the tier. A limit that could never
// take effect is a fault, because operators would rely on it.
func (t *Tier) Validate() error {
	var f faults
	f.checkID("id", t.ID)
	f.checkEachLimitActs(t)
	return errors.Join(f.err(), t.Limits.Validate())
}

// checkEachLimitActs adds a fault if the minute limit or the quota can never be reached
// because the other always is first.
func (f *faults) checkEachLimitActs(t *Tier) {
	if t.TokensPerMinute <= 0 || t.TokenQuota <= 0 {
		return
	}
	f.check(t.TokensPerMinute <= t.TokenQuota, "tokensPerMinute", "is above tokenQuota, so it could never take effect", "lower it or leave it out")
	minutes := periodMinutes[t.TokenQuotaPeriod]
	if minutes == 0 {
		return
	}
	// Debt is never forgiven, so a window admits at most its minutes' limits plus the burst.
	needed := (t.TokenQuota - t.BurstTokens + minutes - 1) / minutes
	f.check(needed <= t.TokensPerMinute, "tokenQuota",
		fmt.Sprintf("is above the %d tokens that tokensPerMinute lets pass in the longest %s window, so it could never take effect", t.TokensPerMinute*minutes+t.BurstTokens, t.TokenQuotaPeriod),
		"lower it, or leave it and tokenQuotaPeriod out")
}

// Validate returns everything that is wrong with the limits, naming fields as in JSON.
// It is less strict than Tier.Validate: an override may make another value of the tier
// ineffective, as a lowered tokensPerMinute does a tokenQuota.
func (l *Limits) Validate() error {
	var f faults
	f.checkTokens("tokensPerMinute", l.TokensPerMinute, "for no limit")
	f.checkTokens("tokenQuota", l.TokenQuota, "for no quota")
	f.checkTokens("burstTokens", l.BurstTokens, "for none")
	f.check(l.MaxCompletionTokens >= 0 && l.MaxCompletionTokens <= 1<<31-1, "maxCompletionTokens", "is out of range", "use 1 to 2147483647 tokens, or 0 for no cap")
	f.check(l.MaxWait >= 0 && time.Duration(l.MaxWait) <= maxWait, "maxWait", "is out of range", "use 0s to 2m")
	f.check(l.Concurrent() >= 0 && l.Concurrent() <= maxConcurrent, "maxConcurrent", "is out of range", "use 1 to 10000 calls, or 0 for any number")
	f.checkOneOf("tokenQuotaPeriod", string(l.TokenQuotaPeriod), string(limit.Hourly), string(limit.Daily), string(limit.Weekly), string(limit.Monthly), string(limit.Yearly))
	f.checkOneOf("reserve", string(l.Reserve), string(ReserveNone), string(ReservePrompt), string(ReserveFull))
	f.checkOneOf("onStoreDown", string(l.OnStoreDown), string(limit.Degrade), string(limit.FailClosed), string(limit.FailOpen))
	f.checkOneOf("storedContent", string(l.StoredContent), string(StoredRefuse), string(StoredAllow))
	f.checkCombination(l)
	f.checkModels(l.Models)
	f.checkCounterKey(l.CounterKey)
	return f.err()
}

func (f *faults) checkTokens(field string, n int64, zero string) {
	f.check(n >= 0 && n <= maxTokens, field, "is out of range", "use 1 to 10^15 tokens, or 0 "+zero)
}

func (f *faults) checkOneOf(field, value string, allowed ...string) {
	f.check(value == "" || slices.Contains(allowed, value), field, fmt.Sprintf("%q is unknown", value), "use "+strings.Join(allowed, ", "))
}

// checkCombination checks fields that depend on each other.
func (f *faults) checkCombination(l *Limits) {
	f.check(l.TokenQuota <= 0 || l.TokenQuotaPeriod != "", "tokenQuotaPeriod", "is missing", "set the period of tokenQuota: Hourly, Daily, Weekly, Monthly or Yearly")
	f.check(l.TokenQuotaPeriod == "" || l.TokenQuota != 0, "tokenQuotaPeriod", "has no tokenQuota", "set tokenQuota or leave the period out")
	f.check(l.BurstTokens == 0 || l.TokensPerMinute != 0, "burstTokens", "has no tokensPerMinute to carry over", "set tokensPerMinute or leave it out")
	f.check(l.MaxWait == 0 || l.TokensPerMinute != 0, "maxWait", "has no tokensPerMinute to wait for", "set tokensPerMinute or leave it out")
	if l.TokensPerMinute == 0 && l.TokenQuota == 0 {
		f.checkUnlimited(l)
	}
	if l.Reserve == ReserveFull {
		f.check(leavesRoom(l.MaxCompletionTokens, l.TokensPerMinute, l.BurstTokens) && leavesRoom(l.MaxCompletionTokens, l.TokenQuota, 0),
			"maxCompletionTokens", "is as large as a whole limit", "lower it, so that a call with its prompt can fit")
	}
}

// checkUnlimited adds faults for fields that have no effect without a limit. Default
// values pass, because Normalize may have filled them in.
func (f *faults) checkUnlimited(l *Limits) {
	const problem, fix = "has no limit to act on", "set tokensPerMinute or tokenQuota, or leave it out"
	f.check(l.Reserve == "" || l.Reserve == ReservePrompt, "reserve", problem, fix)
	f.check(l.OnStoreDown == "" || l.OnStoreDown == limit.Degrade || l.Reserve == ReserveFull, "onStoreDown", problem, fix)
	f.check(l.CounterKey == "" || l.CounterKey == DefaultCounterKey, "counterKey", problem, fix)
	f.check(!l.Shadow, "shadow", problem, fix)
}

// leavesRoom reports whether a cap leaves room for a prompt in a limit. A limit of 0
// has room for anything.
func leavesRoom(completion, limit, burst int64) bool { return limit <= 0 || completion < limit+burst }

func (f *faults) checkModels(models []string) {
	f.checkColumnSize("models", models)
	seen := make(map[string]bool)
	for _, model := range models {
		f.check(strings.TrimSpace(model) == model && model != "", "models", fmt.Sprintf("has the name %q", model), "use the names of models, without spaces around them")
		f.checkText("models", model)
		f.check(!seen[model], "models", fmt.Sprintf("has %q twice", model), "list it once")
		seen[model] = true
	}
}

// Warnings returns what is allowed but may surprise the operator.
func (l *Limits) Warnings() []string {
	var all []string
	if l.TokensPerMinute == 0 && l.TokenQuota == 0 {
		all = append(all, "nothing is limited: neither tokensPerMinute nor tokenQuota is set")
	}
	if l.StoredContent == StoredAllow {
		all = append(all, "storedContent allow: these subscriptions can name what others keep at the same endpoints, such as conversations and files, if they know its id")
	}
	for _, header := range l.CounterKey.Headers() {
		all = append(all, fmt.Sprintf("counterKey counts by {header:%s}, which callers choose themselves: a caller that sends another value gets another counter. "+
			"Count by a header only if a proxy of yours sets it and callers can't bypass the proxy", header))
	}
	if l.Reserve != ReserveFull {
		return all
	}
	if l.OnStoreDown == limit.Degrade || l.OnStoreDown == limit.FailOpen {
		all = append(all, fmt.Sprintf("with onStoreDown %s the limit can be exceeded while the counters can't be reached, although reserve is full", l.OnStoreDown))
	}
	if l.MaxCompletionTokens == 0 {
		all = append(all, "reserve full without maxCompletionTokens: a call that sets no cap reserves everything left until it ends and gets that as its cap, which a model rejects if it exceeds its maximum: set maxCompletionTokens")
	}
	return all
}
