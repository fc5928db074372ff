package manage

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/ledger"
)

const day = 24 * time.Hour

// spanKinds holds the spans of a history by name, how much time a history of them covers by
// default, and how long the ledger keeps what they add up; 0: as long as it keeps days.
var spanKinds = map[string]struct {
	span         ledger.Span
	defaultRange time.Duration
	kept         time.Duration
}{
	"minute": {ledger.Minute, time.Hour, ledger.KeepMinutes},
	"hour":   {ledger.Hour, day, ledger.KeepHours},
	"day":    {ledger.Day, 30 * day, 0},
	"month":  {ledger.Month, 365 * day, 0},
}

// timeRange returns the parameters from and to of a history by the spans of a name.
func (q *query) timeRange(by string) (from, to time.Time) {
	now, kind := time.Now().UTC(), spanKinds[by]
	to = q.time("to", now, now)
	from = q.time("from", to.Add(-kind.defaultRange), now)
	switch {
	case len(q.faults) > 0:
	case !from.Before(to):
		q.addFault("from", "is not before to", "use an earlier time")
	case kind.kept > 0 && from.Before(now.Add(-kind.kept)):
		longer := map[string]string{"minute": "hour", "hour": "day"}[by]
		q.addFault("from", fmt.Sprintf("is too long ago: every %s is kept for %d days", by, kind.kept/day), "use a later time, or by="+longer)
	}
	return from, to
}

// layouts holds the forms of a time, from RFC 3339's to a month's.
var layouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01"}

// time returns a parameter that is a time, or how long before now; fallback if it is missing.
func (q *query) time(name string, fallback, now time.Time) time.Time {
	text := q.param(name)
	if text == "" {
		return fallback
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago)
	}
	if days, found := strings.CutSuffix(text, "d"); found {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.Add(-time.Duration(n) * day)
		}
	}
	q.addFault(name, fmt.Sprintf("%q is not a time", text), "use one such as 2026-01-31T12:00:00Z, 2026-01-31 or 2026-01, or how long ago, such as 90m, 48h or 30d")
	return fallback
}
