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

// maxTokens bounds limits so that sums of them never overflow: 10¹⁵ tokens are
// beyond what all models together answer in a year.
const maxTokens = int64(1e15)

// maxWait stays below the 230 s after which Azure's front end gives a silent call up.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout
const maxWait = 120 * time.Second

// maxConcurrent is more calls than an instance has under way at once.
const maxConcurrent = 10_000

// periodMinutes is how many minutes the longest window of each period has.
var periodMinutes = map[limit.Period]int64{limit.Hourly: 60, limit.Daily: 24 * 60, limit.Weekly: 7 * 24 * 60, limit.Monthly: 31 * 24 * 60, limit.Yearly: 366 * 24 * 60}

// idPattern is what tiers and subscriptions may be called: it is a row's key,
// part of counter keys and a command line's word.
var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (f *faults) id(field, id string) {
	f.check(idPattern.MatchString(id), field, fmt.Sprintf("%q is not an id", id), "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit")
}

// Validate names everything that is wrong with the tier. A limit that could
// never act is a fault: it would look like a limit and be none.
func (t *Tier) Validate() error {
	var f faults
	f.id("id", t.ID)
	f.dominated(t)
	return errors.Join(f.err(), t.Limits.Validate())
}

// dominated names the limit of the two that the other always comes before.
func (f *faults) dominated(t *Tier) {
	if t.TokensPerMinute <= 0 || t.TokenQuota <= 0 {
		return
	}
	f.check(t.TokensPerMinute <= t.TokenQuota, "tokensPerMinute", "is above tokenQuota, so it could never act", "lower it or leave it out")
	minutes := periodMinutes[t.TokenQuotaPeriod]
	if minutes == 0 {
		return
	}
	// Debt is never forgiven, so a window lets no more pass than its minutes' limits and the burst.
	needed := (t.TokenQuota - t.BurstTokens + minutes - 1) / minutes
	f.check(needed <= t.TokensPerMinute, "tokenQuota",
		fmt.Sprintf("is above the %d tokens that tokensPerMinute lets pass in the longest %s window, so it could never act", t.TokensPerMinute*minutes+t.BurstTokens, t.TokenQuotaPeriod),
		"lower it, or leave it and tokenQuotaPeriod out")
}

// Validate names everything that is wrong with the values together, fields by
// their JSON names. It is less strict than a tier's: an override may leave
// another value of the tier without effect, as a lowered tokensPerMinute does
// a tokenQuota.
func (l *Limits) Validate() error {
	var f faults
	f.tokens("tokensPerMinute", l.TokensPerMinute, "for no limit")
	f.tokens("tokenQuota", l.TokenQuota, "for no quota")
	f.tokens("burstTokens", l.BurstTokens, "for none")
	f.check(l.MaxCompletionTokens >= 0 && l.MaxCompletionTokens <= 1<<31-1, "maxCompletionTokens", "is out of range", "use 1 to 2147483647 tokens, or 0 for no cap")
	f.check(l.MaxWait >= 0 && time.Duration(l.MaxWait) <= maxWait, "maxWait", "is out of range", "use 0s to 2m")
	f.check(l.Concurrent() >= 0 && l.Concurrent() <= maxConcurrent, "maxConcurrent", "is out of range", "use 1 to 10000 calls, or 0 for any number")
	f.oneOf("tokenQuotaPeriod", string(l.TokenQuotaPeriod), string(limit.Hourly), string(limit.Daily), string(limit.Weekly), string(limit.Monthly), string(limit.Yearly))
	f.oneOf("reserve", string(l.Reserve), string(ReserveNone), string(ReservePrompt), string(ReserveFull))
	f.oneOf("onStoreDown", string(l.OnStoreDown), string(limit.Degrade), string(limit.FailClosed), string(limit.FailOpen))
	f.together(l)
	f.models(l.Models)
	f.counterKey(l.CounterKey)
	return f.err()
}

func (f *faults) tokens(field string, n int64, zero string) {
	f.check(n >= 0 && n <= maxTokens, field, "is out of range", "use 1 to 10^15 tokens, or 0 "+zero)
}

func (f *faults) oneOf(field, value string, allowed ...string) {
	f.check(value == "" || slices.Contains(allowed, value), field, fmt.Sprintf("%q is unknown", value), "use "+strings.Join(allowed, ", "))
}

// together checks what values need of each other.
func (f *faults) together(l *Limits) {
	f.check(l.TokenQuota <= 0 || l.TokenQuotaPeriod != "", "tokenQuotaPeriod", "is missing", "say what tokenQuota is for: Hourly, Daily, Weekly, Monthly or Yearly")
	f.check(l.TokenQuotaPeriod == "" || l.TokenQuota != 0, "tokenQuotaPeriod", "has no tokenQuota", "set tokenQuota or leave the period out")
	f.check(l.BurstTokens == 0 || l.TokensPerMinute != 0, "burstTokens", "has no tokensPerMinute to carry over", "set tokensPerMinute or leave it out")
	f.check(l.MaxWait == 0 || l.TokensPerMinute != 0, "maxWait", "has no tokensPerMinute to wait for", "set tokensPerMinute or leave it out")
	if l.TokensPerMinute == 0 && l.TokenQuota == 0 {
		f.idle(l)
	}
	if l.Reserve == ReserveFull {
		f.check(below(l.MaxCompletionTokens, l.TokensPerMinute, l.BurstTokens) && below(l.MaxCompletionTokens, l.TokenQuota, 0),
			"maxCompletionTokens", "is as large as a whole limit", "lower it, so that a call with its prompt can fit")
	}
}

// idle names what could never act because there is no limit at all. The
// defaults are no faults: they may be what Normalize filled in.
func (f *faults) idle(l *Limits) {
	const problem, fix = "has no limit to act on", "set tokensPerMinute or tokenQuota, or leave it out"
	f.check(l.Reserve == "" || l.Reserve == ReservePrompt, "reserve", problem, fix)
	f.check(l.OnStoreDown == "" || l.OnStoreDown == limit.Degrade || l.Reserve == ReserveFull, "onStoreDown", problem, fix)
	f.check(l.CounterKey == "" || l.CounterKey == DefaultCounterKey, "counterKey", problem, fix)
	f.check(!l.Shadow, "shadow", problem, fix)
}

// below says whether a cap leaves room for a prompt in a limit, where there is one.
func below(completion, limit, burst int64) bool { return limit <= 0 || completion < limit+burst }

func (f *faults) models(models []string) {
	f.column("models", models)
	seen := make(map[string]bool)
	for _, model := range models {
		f.check(strings.TrimSpace(model) == model && model != "", "models", fmt.Sprintf("has the name %q", model), "list models' names, without blanks around them")
		f.text("models", model)
		f.check(!seen[model], "models", fmt.Sprintf("has %q twice", model), "list it once")
		seen[model] = true
	}
}

// Warnings says what is allowed and may yet surprise.
func (l *Limits) Warnings() []string {
	var all []string
	if l.TokensPerMinute == 0 && l.TokenQuota == 0 {
		all = append(all, "nothing is limited: neither tokensPerMinute nor tokenQuota is set")
	}
	for _, header := range l.CounterKey.Headers() {
		all = append(all, fmt.Sprintf("counterKey counts by {header:%s}, which is the caller's own word: whoever sends another value gets a limit of its own. "+
			"Count by a header only where a proxy of yours sets it and nobody gets around that proxy", header))
	}
	if l.Reserve != ReserveFull {
		return all
	}
	if l.OnStoreDown == limit.Degrade || l.OnStoreDown == limit.FailOpen {
		all = append(all, fmt.Sprintf("with onStoreDown %s the limit can be passed while the counters can't be reached, although reserve is full", l.OnStoreDown))
	}
	if l.MaxCompletionTokens == 0 {
		all = append(all, "reserve full without maxCompletionTokens: a call that names no cap of its own reserves all that is left until it ends, and that is its cap, which a model refuses if it is more than it can answer")
	}
	return all
}
