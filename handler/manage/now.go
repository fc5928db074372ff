package manage

import (
	"time"

	"tollgate/handler/ledger"
)

// An Activity is the usage of all subscriptions in the running minute, and the state of their
// limits.
type Activity struct {
	// Minute is the running minute, some seconds behind the calls. Last is the minute before.
	Minute Span `json:"minute"`
	Last   Span `json:"last"`
	// Currency is the code of the currency of all costs; absent: none is set.
	Currency string `json:"currency,omitempty"`
	// Counters is the number of counters. Full is the number of those that have at most 2% left
	// of their minute or quota.
	Counters int `json:"counters"`
	Full     int `json:"full"`
}

// readNow answers with the present activity.
func (c *call) readNow() (*result, error) {
	q := c.query()
	if err := q.err(); err != nil {
		return nil, err
	}
	standings, err := c.allStandings()
	if err != nil {
		return nil, err
	}
	running := time.Now().UTC().Truncate(time.Minute)
	used, err := c.api.config.Ledger.AllSubscriptions(c.Context(), running.Add(-time.Minute), running.Add(time.Minute), ledger.Minute)
	if err != nil {
		return nil, err
	}
	currency, err := c.currency()
	if err != nil {
		return nil, err
	}
	var minute, last ledger.Totals
	for _, u := range used.Items {
		if u.Time().Before(running) {
			last.Add(u.Totals)
		} else {
			minute.Add(u.Totals)
		}
	}
	activity := Activity{Minute: Span{From: running, Running: true, Counts: minute.Counts()}, Last: Span{From: running.Add(-time.Minute), Counts: last.Counts()}, Currency: currency, Counters: len(standings)}
	for _, s := range standings {
		if s.Minute.full() || s.Quota.full() {
			activity.Full++
		}
	}
	return &result{body: activity}, nil
}

// full reports whether at most 2% is left: too little for most calls.
func (w *Window) full() bool { return w != nil && w.Left.N <= w.Limit.N/50 }
