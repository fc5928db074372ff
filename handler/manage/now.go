package manage

import (
	"time"

	"tollgate/handler/ledger"
)

// A Now is what all subscriptions do now.
type Now struct {
	// Minute is the running minute, some seconds behind the calls; Last is the one before.
	Minute Span `json:"minute"`
	Last   Span `json:"last"`
	// Currency is the code of all costs' currency; absent: none is set.
	Currency string `json:"currency,omitempty"`
	// Counters is the number of counters, Full of those that have at most 2% left of a
	// limit.
	Counters int `json:"counters"`
	Full     int `json:"full"`
}

// readNow answers with what happens now.
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
	now := Now{Minute: Span{From: running, Running: true, Counts: minute.Counts()}, Last: Span{From: running.Add(-time.Minute), Counts: last.Counts()}, Currency: currency, Counters: len(standings)}
	for _, s := range standings {
		if s.Minute.full() || s.Quota.full() {
			now.Full++
		}
	}
	return &result{body: now}, nil
}

// full reports whether at most 2% is left: too little for most calls.
func (w *Window) full() bool { return w != nil && w.Left.N <= w.Limit.N/50 }
