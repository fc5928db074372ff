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

// Usage reads what callers use: counters as they stand, and their history.
type Usage interface {
	// Stored goes through all counters; see counter.Keeper.
	Stored(ctx context.Context) iter.Seq2[counter.Stored, error]
	usage.Reader
}

// Window is where one limit stands, in tokens.
type Window struct {
	Limit   int64     `json:"limit"`
	Used    int64     `json:"used"` // charged, reservations of calls under way included
	Owed    int64     `json:"owed"` // used beyond the limit: what later minutes pay
	Left    int64     `json:"left"`
	ResetAt time.Time `json:"resetAt"`
}

// Standing is where a counter stands.
type Standing struct {
	// Counter is its key: a subscription's id, and what sets it apart.
	Counter string `json:"counter"`
	// Subscription or Tier is whose it is.
	Subscription string  `json:"subscription,omitempty"`
	Tier         string  `json:"tier,omitempty"`
	Minute       *Window `json:"minute,omitempty"`
	Quota        *Window `json:"quota,omitempty"`
	QuotaPeriod  string  `json:"quotaPeriod,omitempty"`
	// Happened in this minute, as far as instances have reported.
	Happened Tokens `json:"happened"`
	// Problem is there where the counter's row can't be read.
	Problem string `json:"problem,omitempty"`
}

// Tokens are counts of what happened: tokens, and calls.
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

// usageNow answers with where counters stand, by key.
func (c *call) usageNow() (*result, error) {
	q := c.query()
	owner, search, after, most := q.owner(), q.text("search"), q.text("after"), q.limit()
	if err := q.err(); err != nil {
		return nil, err
	}
	standings, err := c.standings()
	if err != nil {
		return nil, err
	}
	var all []Standing
	for _, s := range standings {
		if of := (limit.Owner{Subscription: s.Subscription, Tier: s.Tier}); (owner == limit.Owner{} || of == owner) && found(search, s.Counter) {
			all = append(all, s)
		}
	}
	return &result{body: cut(all, func(s Standing) string { return s.Counter }, after, most)}, nil
}

// owner is whose counters are meant: one subscription's or tier's, or all.
func (q *query) owner() limit.Owner {
	owner := limit.Owner{Subscription: q.text("subscription"), Tier: q.text("tier")}
	if owner.Subscription != "" && owner.Tier != "" {
		q.fault("tier", "is beside subscription", "name one of the two")
	}
	return owner
}

// Span is what happened from a time on, for the length that was asked for.
type Span struct {
	From time.Time `json:"from"`
	// Counter is whose; absent in sums over all.
	Counter string `json:"counter,omitempty"`
	Tokens
}

// The lengths of spans, and how far back a question goes where it doesn't say.
var (
	lengths = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	usually = map[string]time.Duration{"minute": time.Hour, "hour": 24 * time.Hour, "day": 30 * 24 * time.Hour}
)

// largestHistory bounds an answer, in spans.
const largestHistory = 50_000

// usageHistory answers with what happened, by minute, hour or day, oldest first.
func (c *call) usageHistory() (*result, error) {
	q := c.query()
	by := q.oneOf("by", "minute", "hour", "day")
	key, owner := q.text("counter"), q.owner()
	from, to := q.times(usually[by])
	each := q.oneOf("sum", "counters", "all") == "counters"
	if err := q.err(); err != nil {
		return nil, err
	}
	sums := make(map[Span]*Tokens)
	for row, err := range c.rows(usage.Query{Counter: key, Owner: owner, From: from, To: to}) {
		if err != nil {
			return nil, err
		}
		at := Span{From: limit.MinuteStart(row.Minute).Truncate(lengths[by])}
		if each {
			at.Counter = row.Counter
		}
		if sums[at] == nil {
			if len(sums) == largestHistory {
				return nil, badRequest(fmt.Sprintf("The answer would have more than %d spans. Ask for a shorter time, for longer spans, or with sum=all.", largestHistory))
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
	}{from, to, by, ordered(sums)}}, nil
}

// rows are the history's, and before them the minutes that are over and still
// wait in counters to be written to it. Those are read first: a minute that is
// written meanwhile is in both then, and told once.
func (c *call) rows(q usage.Query) iter.Seq2[usage.Row, error] {
	return func(yield func(usage.Row, error) bool) {
		told := make(map[usage.Row]bool) // by counter, epoch and minute
		first, last := q.Minutes()
		now := time.Now()
		for stored, err := range c.api.Usage.Stored(c.Context()) {
			if err != nil && stored.Key == "" {
				yield(usage.Row{}, err)
				return
			}
			if err != nil || !meant(q, stored.Key) { // one that can't be read is for usageNow and the checks to tell
				continue
			}
			stored.State.Advance(stored.State.Limits, now)
			for _, closed := range stored.State.Outbox {
				row := waiting(stored, closed)
				told[which(row)] = true
				if closed.Minute >= first && closed.Minute < last && !yield(row, nil) {
					return
				}
			}
		}
		for row, err := range c.api.Usage.Rows(c.Context(), q) {
			if err == nil && told[which(row)] {
				continue
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// meant says whether a query means a counter.
func meant(q usage.Query, key string) bool {
	if q.Counter != "" {
		return key == q.Counter
	}
	return q.Owner == (limit.Owner{}) || limit.OwnerOf(key) == q.Owner
}

// which is a row without its counts.
func which(row usage.Row) usage.Row {
	identity := usage.Row{Counter: row.Counter, Epoch: row.Epoch}
	identity.Minute = row.Minute
	return identity
}

// waiting is a counter's closed minute as the history will have it.
func waiting(stored counter.Stored, closed limit.Closed) usage.Row {
	row := usage.Row{Counter: stored.Key, Epoch: stored.State.Epoch}
	row.Minute, row.From = closed.Minute, closed.From
	row.PromptTokens, row.CompletionTokens, row.Requests, row.Refused = closed.PromptTokens, closed.CompletionTokens, closed.Requests, closed.Refused
	return row
}

func ordered(sums map[Span]*Tokens) []Span {
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

// times are the bounds of a history: RFC 3339 times, or how long ago.
func (q *query) times(usual time.Duration) (from, to time.Time) {
	now := time.Now().UTC()
	to = q.time("to", now, now)
	from = q.time("from", to.Add(-usual), now)
	if len(q.faults) == 0 && !from.Before(to) {
		q.fault("from", "is not before to", "use an earlier time")
	}
	return from, to
}

// time is a time, or how long before now.
func (q *query) time(name string, usual, now time.Time) time.Time {
	text := q.text(name)
	if text == "" {
		return usual
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC()
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago)
	}
	q.fault(name, fmt.Sprintf("%q is no time", text), "use one such as 2026-01-31T12:00:00Z, or how long ago, such as 90m or 48h")
	return usual
}
