package manage

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/ledger"
)

const day = 24 * time.Hour

// spansBy are the spans of a history by name, with how far back one goes by default, and
// for how long what it sums is kept; 0: as long as days are.
var spansBy = map[string]struct {
	span  ledger.Span
	usual time.Duration
	kept  time.Duration
}{
	"minute": {ledger.Minute, time.Hour, ledger.KeepMinutes},
	"hour":   {ledger.Hour, day, ledger.KeepHours},
	"day":    {ledger.Day, 30 * day, 0},
	"month":  {ledger.Month, 365 * day, 0},
}

// times returns the bounds of a history by spans of a name. Each is a time or how long ago.
func (q *query) times(by string) (from, to time.Time) {
	now, of := time.Now().UTC(), spansBy[by]
	to = q.time("to", now, now)
	from = q.time("from", to.Add(-of.usual), now)
	switch {
	case len(q.faults) > 0:
	case !from.Before(to):
		q.addFault("from", "is not before to", "use an earlier time")
	case of.kept > 0 && from.Before(now.Add(-of.kept)):
		longer := map[string]string{"minute": "hour", "hour": "day"}[by]
		q.addFault("from", fmt.Sprintf("is before what is kept: a %s is, for %d days", by, of.kept/day), "use a later time, or by="+longer)
	}
	return from, to
}

// layouts are the forms of times, from RFC 3339's to a month's.
var layouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01"}

// time returns a parameter that is a time or how long before now.
func (q *query) time(name string, usual, now time.Time) time.Time {
	text := q.param(name)
	if text == "" {
		return usual
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
	return usual
}
