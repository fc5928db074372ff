package manage

import (
	"fmt"
	"strconv"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/subscription"
)

// A Top lists the subscriptions that used most in whole days.
type Top struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Currency is the code of all costs' currency; absent: none is set.
	Currency string `json:"currency,omitempty"`
	// WrittenAt is when the running day was written last, which gateways do every five
	// minutes; absent without a running day.
	WrittenAt time.Time `json:"writtenAt,omitzero"`
	// Active is the number of subscriptions with any call, Total what they used.
	Active int           `json:"active"`
	Total  ledger.Counts `json:"total"`
	Items  []User        `json:"items"`
}

// A User is what a subscription used.
type User struct {
	Subscription string `json:"subscription"`
	ledger.Counts
	// Limits are the subscription's own counters, at most maxOwn.
	Limits []Standing `json:"limits,omitempty"`
}

// orders are the totals by which subscriptions can be ordered.
var orders = map[string]func(ledger.Totals) int64{
	"tokens":  ledger.Totals.Tokens,
	"cost":    func(t ledger.Totals) int64 { return t.Cost },
	"calls":   func(t ledger.Totals) int64 { return t.Calls },
	"refused": func(t ledger.Totals) int64 { return t.Refused },
}

// Numbers of subscriptions that a top lists.
const (
	defaultTop = 10
	maxTop     = 100
)

// listTop answers with the subscriptions that used most.
func (c *call) listTop() (*result, error) {
	q := c.query()
	from, to := q.times("day")
	order, n := q.choice("sort", "tokens", "cost", "calls", "refused"), q.top()
	if err := q.err(); err != nil {
		return nil, err
	}
	days, err := c.api.config.Ledger.Days(c.Context(), from, to, ledger.Day)
	if err != nil {
		return nil, err
	}
	top := topOf(days, orders[order], n)
	if top.Currency, err = c.currency(); err != nil {
		return nil, err
	}
	standings, err := c.allStandings()
	if err != nil {
		return nil, err
	}
	top.addLimits(standings)
	return &result{body: top}, nil
}

// maxOwn is the most of a subscription's own counters that a top lists: a counter key with
// {model} or a header gives it many.
const maxOwn = subscription.MaxCallLimits

// addLimits adds to each subscription its own counters.
func (t *Top) addLimits(standings []Standing) {
	at := make(map[string]int, len(t.Items))
	for i, user := range t.Items {
		at[user.Subscription] = i
	}
	for _, s := range standings {
		if i, listed := at[s.Subscription]; listed && len(t.Items[i].Limits) < maxOwn {
			t.Items[i].Limits = append(t.Items[i].Limits, s)
		}
	}
}

// top returns how many subscriptions to list.
func (q *query) top() int {
	text := q.param("n")
	if text == "" {
		return defaultTop
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxTop {
		q.addFault("n", fmt.Sprintf("%q is out of range", text), fmt.Sprintf("use 1 to %d", maxTop))
	}
	return n
}

// topOf returns the n subscriptions with most of a total, of those that have any of it.
func topOf(days ledger.Series, of func(ledger.Totals) int64, n int) Top {
	ranked, _ := ledger.Top(days.Items, func(k ledger.Key) string { return k.Subscription }, of, len(days.Items))
	top := Top{From: days.From, To: days.To, WrittenAt: days.Written, Active: len(ranked), Items: []User{}}
	var total ledger.Totals
	for i, r := range ranked {
		total.Add(r.Totals)
		if i < n && of(r.Totals) > 0 {
			top.Items = append(top.Items, User{Subscription: r.Name, Counts: r.Counts()})
		}
	}
	top.Total = total.Counts()
	return top
}
