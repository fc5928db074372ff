package manage

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tollgate/handler/ledger"
)

// A Top lists the subscriptions that used most in whole days.
type Top struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
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
	// Standing is the subscription's own counter; absent if it has none.
	Standing *Standing `json:"standing,omitempty"`
}

// orders are the totals by which subscriptions can be ordered.
var orders = map[string]func(ledger.Totals) int64{
	"tokens":  ledger.Totals.Tokens,
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
	order, n := q.choice("sort", "tokens", "calls", "refused"), q.top()
	if err := q.err(); err != nil {
		return nil, err
	}
	days, err := c.api.config.Ledger.Days(c.Context(), from, to, ledger.Day)
	if err != nil {
		return nil, err
	}
	top := topOf(days, orders[order], n)
	standings, err := c.allStandings()
	if err != nil {
		return nil, err
	}
	for i := range top.Items {
		id := top.Items[i].Subscription
		if at, found := slices.BinarySearchFunc(standings, id, func(s Standing, id string) int { return cmp.Compare(s.Counter, id) }); found {
			top.Items[i].Standing = &standings[at]
		}
	}
	return &result{body: top}, nil
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
