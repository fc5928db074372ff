package manage

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
)

// Usage reads what callers use: the counters and their history.
type Usage interface {
	// Stored lists all counters; see counter.Lister.
	List(ctx context.Context) iter.Seq2[counter.Entry, error]
	usage.Reader
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
	// Happened counts what happened this minute, as far as instances have reported.
	Happened Tokens `json:"happened"`
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

func (t *Tokens) add(prompt, completion, requests, refused int64) {
	t.PromptTokens += prompt
	t.CompletionTokens += completion
	t.TotalTokens += prompt + completion
	t.Requests += requests
	t.Refused += refused
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

// A Span counts what happened in a minute, hour or day.
type Span struct {
	From time.Time `json:"from"`
	// Counter is the counter's key; absent in sums over all counters.
	Counter string `json:"counter,omitempty"`
	Tokens
}

// Lengths of spans, and how far back a history goes by default, by the parameter by.
var (
	spanLengths    = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	defaultHistory = map[string]time.Duration{"minute": time.Hour, "hour": 24 * time.Hour, "day": 30 * 24 * time.Hour}
)

// maxSpans is the largest answer, in spans.
const maxSpans = 50_000

// listHistory answers with what happened by minute, hour or day, oldest first.
func (c *call) listHistory() (*result, error) {
	q := c.query()
	by := q.choice("by", "minute", "hour", "day")
	key, owner := q.param("counter"), q.owner()
	from, to := q.times(defaultHistory[by])
	each := q.choice("sum", "counters", "all") == "counters"
	if err := q.err(); err != nil {
		return nil, err
	}
	sums := make(map[Span]*Tokens)
	for row, err := range c.rows(usage.Query{Counter: key, Owner: owner, From: from, To: to}) {
		if err != nil {
			return nil, err
		}
		at := Span{From: limit.MinuteStart(row.Minute).Truncate(spanLengths[by])}
		if each {
			at.Counter = row.Counter
		}
		if sums[at] == nil {
			if len(sums) == maxSpans {
				return nil, badRequest(fmt.Sprintf("The answer would have more than %d spans. Ask for a shorter time or longer spans, or use sum=all.", maxSpans))
			}
			sums[at] = &Tokens{}
		}
		sums[at].add(row.PromptTokens, row.CompletionTokens, row.Requests, row.Refused)
	}
	return &result{body: struct {
		From  time.Time `json:"from"`
		To    time.Time `json:"to"`
		By    string    `json:"by"`
		Items []Span    `json:"items"`
	}{from, to, by, sortedSpans(sums)}}, nil
}

// rows returns the rows of the history, after the closed minutes that counters have not
// yet written to it. It reads the counters first, so that a minute written in between is
// seen twice rather than missed, and skips the second.
func (c *call) rows(q usage.Query) iter.Seq2[usage.Row, error] {
	return func(yield func(usage.Row, error) bool) {
		seen := make(map[rowID]bool)
		first, last := q.Minutes()
		now := time.Now()
		for stored, err := range c.api.config.Usage.List(c.Context()) {
			if err != nil && stored.Key == "" {
				yield(usage.Row{}, err)
				return
			}
			if err != nil || !selects(q, stored.Key) { // GET /usage and the checks report counters that can't be read
				continue
			}
			stored.State.Advance(stored.State.Limits, now)
			for _, closed := range stored.State.Outbox {
				row := usage.Row{Counter: stored.Key, Epoch: stored.State.Epoch, Closed: closed}
				seen[idOf(row)] = true
				if closed.Minute >= first && closed.Minute < last && !yield(row, nil) {
					return
				}
			}
		}
		for row, err := range c.api.config.Usage.Rows(c.Context(), q) {
			if err == nil && seen[idOf(row)] {
				continue
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// selects reports whether a query selects a counter.
func selects(q usage.Query, key string) bool {
	if q.Counter != "" {
		return key == q.Counter
	}
	return q.Owner == (limit.Owner{}) || limit.OwnerOf(key) == q.Owner
}

// A rowID identifies a row of the history.
type rowID struct {
	counter, epoch string
	minute         int64
}

func idOf(row usage.Row) rowID { return rowID{row.Counter, row.Epoch, row.Minute} }

// sortedSpans returns sums as spans, ordered by time and counter.
func sortedSpans(sums map[Span]*Tokens) []Span {
	all := make([]Span, 0, len(sums))
	for at, tokens := range sums {
		at.Tokens = *tokens
		all = append(all, at)
	}
	slices.SortFunc(all, func(a, b Span) int {
		if by := a.From.Compare(b.From); by != 0 {
			return by
		}
		return strings.Compare(a.Counter, b.Counter)
	})
	return all
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
