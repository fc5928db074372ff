package manage

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/ledger"
	"tollgate/handler/limit"
)

// Usage reads what callers use: the state of the counters, and the ledger. See
// counter.Lister and ledger.Reader.
type Usage interface {
	List(ctx context.Context) iter.Seq2[counter.Entry, error]
	Subscription(ctx context.Context, id string, from, to time.Time, by ledger.Span) (ledger.Series, error)
	Everyone(ctx context.Context, from, to time.Time, by ledger.Span) (ledger.Series, error)
	Days(ctx context.Context, from, to time.Time, by ledger.Span) (ledger.Days, error)
}

// A Window is the state of one limit in its current window, in tokens.
type Window struct {
	Limit   int64     `json:"limit"`
	Used    int64     `json:"used"` // charged, including reservations of calls in progress
	Owed    int64     `json:"owed"` // used beyond the limit; later minutes pay it
	Left    int64     `json:"left"`
	ResetAt time.Time `json:"resetAt"`
}

// A Standing is the state of a counter.
type Standing struct {
	// Counter is the counter's key: the owner's id and the values it counts by.
	Counter string `json:"counter"`
	// Subscription or Tier is the id of the owner.
	Subscription string  `json:"subscription,omitempty"`
	Tier         string  `json:"tier,omitempty"`
	Minute       *Window `json:"minute,omitempty"`
	Quota        *Window `json:"quota,omitempty"`
	QuotaPeriod  string  `json:"quotaPeriod,omitempty"`
	// Problem says why the counter's row can't be read; usually absent.
	Problem string `json:"problem,omitempty"`
}

// Tokens counts tokens and calls.
type Tokens struct {
	PromptTokens     int64 `json:"promptTokens"`
	CompletionTokens int64 `json:"completionTokens"`
	TotalTokens      int64 `json:"totalTokens"`
	Requests         int64 `json:"requests"`
	Refused          int64 `json:"refused"`
}

func tokensOf(t ledger.Totals) Tokens {
	return Tokens{PromptTokens: t.PromptTokens, CompletionTokens: t.CompletionTokens, TotalTokens: t.Tokens(), Requests: t.Calls, Refused: t.Refused}
}

// listUsage answers with the standings of counters, ordered by key.
func (c *call) listUsage() (*result, error) {
	q := c.query()
	owner, search, after, most := q.owner(), q.param("search"), q.param("after"), q.pageSize()
	if err := q.err(); err != nil {
		return nil, err
	}
	standings, err := c.allStandings()
	if err != nil {
		return nil, err
	}
	var all []Standing
	for _, s := range standings {
		if of := (limit.Owner{Subscription: s.Subscription, Tier: s.Tier}); (owner == limit.Owner{} || of == owner) && matches(search, s.Counter) {
			all = append(all, s)
		}
	}
	return &result{body: paginate(all, func(s Standing) string { return s.Counter }, after, most)}, nil
}

// owner returns the subscription or tier whose counters are asked for; zero: all.
func (q *query) owner() limit.Owner {
	owner := limit.Owner{Subscription: q.param("subscription"), Tier: q.param("tier")}
	if owner.Subscription != "" && owner.Tier != "" {
		q.addFault("tier", "can't be combined with subscription", "use one of the two")
	}
	return owner
}

// A Span counts what happened in a minute, hour, day or month, by model.
type Span struct {
	From time.Time `json:"from"`
	// Subscription is absent in sums over all subscriptions.
	Subscription string `json:"subscription,omitempty"`
	// Model is absent where calls named no model that there is.
	Model string `json:"model,omitempty"`
	Tokens
}

// spans are the lengths of spans by the parameter by, and how far back a history goes by
// default.
var (
	spans          = map[string]ledger.Span{"minute": ledger.Minute, "hour": ledger.Hour, "day": ledger.Day, "month": ledger.Month}
	defaultHistory = map[string]time.Duration{"minute": time.Hour, "hour": 24 * time.Hour, "day": 30 * 24 * time.Hour, "month": 365 * 24 * time.Hour}
)

// maxSpans is the largest answer, in spans.
const maxSpans = 50_000

// A history is what happened in whole spans.
type history struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	By    string    `json:"by"`
	Items []Span    `json:"items"`
}

// listHistory answers with what happened by minute, hour, day or month, oldest first.
func (c *call) listHistory() (*result, error) {
	q := c.query()
	by := q.choice("by", "day", "hour", "minute", "month")
	owner := q.owner()
	from, to := q.times(defaultHistory[by])
	all := q.choice("sum", "subscriptions", "all") == "all"
	if owner.Subscription == "" && !all && (by == "minute" || by == "hour") {
		q.addFault("by", fmt.Sprintf("is %s for each of all subscriptions, which days and months are kept for", by), "name a subscription, or use sum=all, or day or month")
	}
	if owner.Tier != "" && all {
		q.addFault("sum", "can't be combined with tier", "remove one of the two")
	}
	if err := q.err(); err != nil {
		return nil, err
	}
	found, err := c.history(owner, all, from, to, spans[by])
	switch {
	case err != nil:
		return nil, err
	case len(found.Items) > maxSpans:
		return nil, badRequest(fmt.Sprintf("The answer would have more than %d spans. Ask for a shorter time or longer spans, or use sum=all.", maxSpans))
	}
	return &result{body: found}, nil
}

// history reads the usage of a subscription, of all together, or of each, by model.
func (c *call) history(owner limit.Owner, all bool, from, to time.Time, by ledger.Span) (history, error) {
	reader := c.api.config.Usage
	switch {
	case owner.Subscription != "":
		series, err := reader.Subscription(c.Context(), owner.Subscription, from, to, by)
		return historyOf(series.From, series.To, by, series.Items), err
	case all:
		series, err := reader.Everyone(c.Context(), from, to, by)
		return historyOf(series.From, series.To, by, series.Items), err
	}
	days, err := reader.Days(c.Context(), from, to, by)
	if err == nil && owner.Tier != "" {
		days.Items, err = c.ofTier(days.Items, owner.Tier)
	}
	return historyOf(days.From, days.To, by, days.Items), err
}

// ofTier returns the usage of a tier's subscriptions.
func (c *call) ofTier(used []ledger.Usage, tier string) ([]ledger.Usage, error) {
	subscriptions, err := c.api.config.Store.Subscriptions(c.Context())
	if err != nil {
		return nil, err
	}
	in := make(map[string]bool)
	for _, s := range subscriptions {
		in[s.ID] = s.Tier == tier
	}
	return slices.DeleteFunc(used, func(u ledger.Usage) bool { return !in[u.Subscription] }), nil
}

func historyOf(from, to time.Time, by ledger.Span, used []ledger.Usage) history {
	h := history{From: from, To: to, By: string(by), Items: make([]Span, len(used))}
	for i, u := range used {
		h.Items[i] = Span{From: u.Time(), Subscription: u.Subscription, Model: u.Model, Tokens: tokensOf(u.Totals)}
	}
	return h
}

// times returns the bounds of a history. Each is an RFC 3339 time or how long ago.
func (q *query) times(usual time.Duration) (from, to time.Time) {
	now := time.Now().UTC()
	to = q.time("to", now, now)
	from = q.time("from", to.Add(-usual), now)
	if len(q.faults) == 0 && !from.Before(to) {
		q.addFault("from", "is not before to", "use an earlier time")
	}
	return from, to
}

// time returns a parameter that is a time or how long before now.
func (q *query) time(name string, usual, now time.Time) time.Time {
	text := q.param(name)
	if text == "" {
		return usual
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC()
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago)
	}
	q.addFault(name, fmt.Sprintf("%q is not a time", text), "use one such as 2026-01-31T12:00:00Z, or how long ago, such as 90m or 48h")
	return usual
}
