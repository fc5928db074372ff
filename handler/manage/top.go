package manage

import (
	"fmt"
	"strconv"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/subscription"
)

// A Ranking lists the subscriptions that used most in whole days.
type Ranking struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Currency is the code of the currency of all costs; absent: none is set.
	Currency string `json:"currency,omitempty"`
	// WrittenAt is when the running day was written last, which gateways do every five
	// minutes; absent without a running day.
	WrittenAt time.Time `json:"writtenAt,omitzero"`
	// Active is the number of subscriptions with any call. Total is what they used.
	Active int                  `json:"active"`
	Total  ledger.Counts        `json:"total"`
	Items  []RankedSubscription `json:"items"`
}

// A RankedSubscription is the usage of one subscription, and the state of its limits.
type RankedSubscription struct {
	Subscription string `json:"subscription"`
	ledger.Counts
	// Limits are the subscription's own counters, at most maxRankedLimits.
	Limits []Standing `json:"limits,omitempty"`
}

// orders are the totals by which subscriptions can be ordered.
var orders = map[string]func(ledger.Totals) int64{
	"tokens":  ledger.Totals.Tokens,
	"cost":    func(t ledger.Totals) int64 { return t.Cost },
	"calls":   func(t ledger.Totals) int64 { return t.Calls },
	"refused": func(t ledger.Totals) int64 { return t.Refused },
}

// Numbers of subscriptions that a ranking lists.
const (
	defaultRanked = 10
	maxRanked     = 100
)

// listTop answers with the subscriptions that used most.
func (c *call) listTop() (*result, error) {
	q := c.query()
	from, to := q.timeRange("day")
	order, n := q.choice("sort", "tokens", "cost", "calls", "refused"), q.ranked()
	if err := q.err(); err != nil {
		return nil, err
	}
	days, err := c.api.config.Ledger.Days(c.Context(), from, to, ledger.Day)
	if err != nil {
		return nil, err
	}
	ranking := rank(days, orders[order], n)
	if ranking.Currency, err = c.currency(); err != nil {
		return nil, err
	}
	standings, err := c.allStandings()
	if err != nil {
		return nil, err
	}
	ranking.addLimits(standings)
	return &result{body: ranking}, nil
}

// maxRankedLimits is the most counters that a ranking lists for a subscription. A counter key
// with {model} or a header can give it any number.
const maxRankedLimits = subscription.MaxCallLimits

// addLimits adds each subscription's own counters.
func (t *Ranking) addLimits(standings []Standing) {
	at := make(map[string]int, len(t.Items))
	for i, user := range t.Items {
		at[user.Subscription] = i
	}
	for _, s := range standings {
		if i, listed := at[s.Subscription]; listed && len(t.Items[i].Limits) < maxRankedLimits {
			t.Items[i].Limits = append(t.Items[i].Limits, s)
		}
	}
}

// ranked returns the number of subscriptions to list.
func (q *query) ranked() int {
	text := q.param("n")
	if text == "" {
		return defaultRanked
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxRanked {
		q.addFault("n", fmt.Sprintf("%q is out of range", text), fmt.Sprintf("use 1 to %d", maxRanked))
	}
	return n
}

// rank returns the n subscriptions with most of a total, of those that have any of it.
func rank(days ledger.Series, of func(ledger.Totals) int64, n int) Ranking {
	ranked, _ := ledger.Top(days.Items, func(k ledger.Key) string { return k.Subscription }, of, len(days.Items))
	top := Ranking{From: days.From, To: days.To, WrittenAt: days.Written, Active: len(ranked), Items: []RankedSubscription{}}
	var total ledger.Totals
	for i, r := range ranked {
		total.Add(r.Totals)
		if i < n && of(r.Totals) > 0 {
			top.Items = append(top.Items, RankedSubscription{Subscription: r.Name, Counts: r.Counts()})
		}
	}
	top.Total = total.Counts()
	return top
}
