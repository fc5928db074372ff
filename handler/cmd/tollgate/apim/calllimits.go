package apim

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// callLimit converts a rate-limit or a quota, by subscription or by key.
// Source: https://learn.microsoft.com/azure/api-management/rate-limit-by-key-policy and
// https://learn.microsoft.com/azure/api-management/quota-by-key-policy
func (r *reading) callLimit(e element) {
	if bandwidth := e.attributes["bandwidth"]; bandwidth != "" {
		r.lose("%s's bandwidth of %s kilobytes: Tollgate doesn't limit bytes", e.name, bandwidth)
		if e.attributes["calls"] == "" {
			return
		}
	}
	l := subscription.Limit{Unit: limit.Calls}
	seconds := strings.TrimSpace(e.attributes["renewal-period"])
	calls := r.amount(e, "calls", limit.Calls)
	switch l.Period = periods[seconds]; {
	case calls == 0:
		r.loseLimit(e, "its number of calls is unknown")
		return
	case seconds == "60":
		l.PerMinute = r.increments(e, calls)
	case seconds == "0":
		r.loseLimit(e, "it is never renewed, as quotas here are: add one of a period to the tier")
		return
	case l.Period == "":
		r.loseLimit(e, "limits of calls are for 60 s, 3600 s, 86400 s or 604800 s: add the nearest to the tier")
		return
	default:
		l.Quota = r.increments(e, calls)
		r.reportQuotaDifferences(e, seconds)
	}
	l.CounterKey = subscription.DefaultCounterKey
	counts := string(l.CounterKey)
	if strings.HasSuffix(e.name, "-by-key") {
		l.CounterKey, counts = r.counterKey(e)
	}
	r.add(e, policyLimit{l, counts})
}

// periods holds the periods of quotas by their length in seconds. Months and years have no
// fixed one.
var periods = map[string]limit.Period{"3600": limit.Hourly, "86400": limit.Daily, "604800": limit.Weekly}

// periodStarts describes when periods begin.
var periodStarts = map[limit.Period]string{
	limit.Hourly: "with each hour of UTC", limit.Daily: "at 00:00 UTC", limit.Weekly: "on Mondays at 00:00 UTC",
}

// reportQuotaDifferences reports how a quota counts differently from its element. A
// quota-by-key without first-period-start counts the same: its periods are counted from
// Monday, the first day of the year 1.
func (p *Policy) reportQuotaDifferences(e element, seconds string) {
	starts := periodStarts[periods[seconds]]
	switch first := strings.TrimSpace(e.attributes["first-period-start"]); {
	case strings.HasPrefix(e.name, "rate-limit"):
		p.lose("%s %s: it becomes a quota, which refuses with 403 rather than 429, and whose periods begin %s", e.name, described(e), starts)
	case e.name == "quota":
		p.lose("%s %s: its periods begin with the subscription's start; here %s", e.name, described(e), starts)
	case first != "" && !aligned(first, seconds):
		p.lose("first-period-start is %s: periods begin %s", first, starts)
	}
}

// aligned reports whether periods that are counted from a time begin at the same times as those
// that are counted from the year 1.
func aligned(first, seconds string) bool {
	start, err := time.Parse(time.RFC3339, first)
	length, wrong := strconv.ParseInt(seconds, 10, 64)
	return err == nil && wrong == nil && start.Nanosecond() == 0 && (start.Unix()-time.Time{}.Unix())%length == 0
}

// increments returns a limit's number of calls, divided by the increment-count: here each call
// counts as one. It reports what is lost.
func (p *Policy) increments(e element, calls int64) int64 {
	if condition := e.attributes["increment-condition"]; condition != "" {
		p.lose("%s %s: its increment-condition; here every call that reaches an endpoint counts", e.name, described(e))
	}
	text := cmp.Or(strings.TrimSpace(e.attributes["increment-count"]), "1")
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 && calls%n == 0 {
		return calls / n
	}
	p.lose("%s %s: its increment-count %s; here every call counts as one", e.name, described(e), text)
	return calls
}
