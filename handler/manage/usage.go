package manage

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tollgate/handler/counter"
	"tollgate/handler/ledger"
	"tollgate/handler/subscription"
)

// Counters lists all counters; see counter.Lister.
type Counters interface {
	List(ctx context.Context) iter.Seq2[counter.Entry, error]
}

// Ledger reads what happened; see ledger.Reader.
type Ledger interface {
	Subscription(ctx context.Context, id string, from, to time.Time, by ledger.Span) (ledger.Series, error)
	AllSubscriptions(ctx context.Context, from, to time.Time, by ledger.Span) (ledger.Series, error)
	Days(ctx context.Context, from, to time.Time, by ledger.Span) (ledger.Series, error)
}

// A Span counts what happened in a minute, hour, day or month.
type Span struct {
	From time.Time `json:"from"`
	// Running is true if the span isn't over.
	Running bool `json:"running,omitempty"`
	// Subscription is absent in sums of several subscriptions.
	Subscription string `json:"subscription,omitempty"`
	// Model is absent in sums of several models. Calls that named none of the gateway's
	// models have the model "(none)".
	Model string `json:"model,omitempty"`
	ledger.Counts
}

// noModel stands for the model of calls that named none of the gateway's models.
const noModel = "(none)"

// A History is what happened in whole spans, oldest first.
type History struct {
	From time.Time   `json:"from"`
	To   time.Time   `json:"to"`
	By   ledger.Span `json:"by"`
	// Currency is the code of all costs' currency; absent: none is set.
	Currency string `json:"currency,omitempty"`
	// WrittenAt is when the running day was written last, which gateways do every five
	// minutes; absent where spans aren't sums of days, or no day is running.
	WrittenAt time.Time `json:"writtenAt,omitzero"`
	Items     []Span    `json:"items"`
}

// maxSpans is the largest answer, in spans: a month of 3,000 subscriptions by day.
const maxSpans = 100_000

// listHistory answers with what happened by minute, hour, day or month, oldest first.
func (c *call) listHistory() (*result, error) {
	q := c.query()
	by := q.choice("by", "minute", "hour", "day", "month")
	asked := historyQuery{by: spansBy[by].span, owner: q.owner(), model: q.param("model")}
	asked.eachModel = q.choice("models", "sum", "each") == "each"
	sum := q.choice("sum", "", "subscriptions", "all")
	asked.from, asked.to = q.times(by)
	q.checkHistory(&asked, sum)
	if err := q.err(); err != nil {
		return nil, err
	}
	found, err := c.read(asked)
	if err != nil {
		return nil, err
	}
	currency, err := c.currency()
	if err != nil {
		return nil, err
	}
	items := asked.spans(found.Items, time.Now())
	if len(items) > maxSpans {
		return nil, badRequest(fmt.Sprintf("The answer would have more than %d spans. Ask for a shorter time or longer spans, or use sum=all.", maxSpans))
	}
	return &result{body: History{From: found.From, To: found.To, By: asked.by, Currency: currency, WrittenAt: found.Written, Items: items}}, nil
}

// A historyQuery asks for what happened in whole spans.
type historyQuery struct {
	by       ledger.Span
	from, to time.Time
	owner
	model string // empty: all
	// eachModel and eachSubscription count them apart.
	eachModel, eachSubscription bool
}

// byDays reports whether spans are sums of days.
func (asked historyQuery) byDays() bool { return asked.by == ledger.Day || asked.by == ledger.Month }

// checkHistory completes the query with sum, which tells whether subscriptions are added
// up. By minute and hour it takes the rows of one subscription, of a tier's, or of all
// together: nothing reads minutes of all subscriptions one by one.
func (q *query) checkHistory(asked *historyQuery, sum string) {
	some := asked.owner != owner{}
	asked.eachSubscription = sum == "subscriptions" || sum == "" && (some || asked.byDays())
	if asked.eachSubscription && !some && !asked.byDays() {
		q.addFault("sum", "is of all subscriptions one by one, which are kept by day", "name a subscription, tier or group, or use by=day or sum=all")
	}
}

// read reads what a query needs.
func (c *call) read(asked historyQuery) (ledger.Series, error) {
	reader := c.api.config.Ledger
	switch {
	case asked.subscription != "":
		if _, err := c.registry().Details(c.Context(), asked.subscription); err != nil {
			return ledger.Series{}, err
		}
		return reader.Subscription(c.Context(), asked.subscription, asked.from, asked.to, asked.by)
	case asked.tier != "" || asked.group != "":
		return c.readMembers(asked)
	case !asked.eachSubscription && asked.from.After(time.Now().Add(day-ledger.KeepHours)):
		return reader.AllSubscriptions(c.Context(), asked.from, asked.to, asked.by)
	}
	return reader.Days(c.Context(), asked.from, asked.to, asked.by)
}

// Bounds of what a tier's or group's usage reads by minute and hour.
const (
	maxMembers   = 100 // subscriptions
	readsAtATime = 8
)

// readMembers reads what the present subscriptions of a tier or below a group used.
func (c *call) readMembers(asked historyQuery) (ledger.Series, error) {
	members, err := c.membersOf(asked.owner)
	if err != nil {
		return ledger.Series{}, err
	}
	if asked.byDays() {
		all, err := c.api.config.Ledger.Days(c.Context(), asked.from, asked.to, asked.by)
		all.Items = slices.DeleteFunc(all.Items, func(u ledger.Usage) bool { return !slices.Contains(members, u.Subscription) })
		return all, err
	}
	if len(members) > maxMembers {
		return ledger.Series{}, badRequest(fmt.Sprintf("It has %d subscriptions, and by minute and hour at most %d are read. Use by=day, or name a subscription.", len(members), maxMembers))
	}
	each := make([]ledger.Series, len(members))
	reads, ctx := errgroup.WithContext(c.Context())
	reads.SetLimit(readsAtATime)
	for i, id := range members {
		reads.Go(func() (err error) {
			each[i], err = c.api.config.Ledger.Subscription(ctx, id, asked.from, asked.to, asked.by)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return ledger.Series{}, err
	}
	all := ledger.Series{From: asked.by.Floor(asked.from), To: asked.by.Next(asked.to.Add(-1))}
	for _, of := range each {
		all.From, all.To, all.Items = of.From, of.To, append(all.Items, of.Items...)
	}
	return all, nil
}

// membersOf returns the ids of the subscriptions of a tier or below a group, in order.
func (c *call) membersOf(asked owner) (ids []string, err error) {
	is := func(s subscription.Subscription) bool { return s.Tier == asked.tier }
	if asked.tier != "" {
		_, err = c.registry().Tier(c.Context(), asked.tier)
	} else {
		is, err = c.belowGroup(asked.group)
	}
	if err != nil {
		return nil, err
	}
	all, err := c.api.config.Store.Subscriptions(c.Context())
	for _, s := range all {
		if is(s) {
			ids = append(ids, s.ID)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// belowGroup returns a function that reports whether a subscription is below a group.
func (c *call) belowGroup(id string) (func(subscription.Subscription) bool, error) {
	if _, err := c.registry().Group(c.Context(), id); err != nil {
		return nil, err
	}
	groups, err := c.api.config.Store.Groups(c.Context())
	below := subscription.WithinGroup(groups, id)
	return func(s subscription.Subscription) bool { return below(s.Group) }, err
}

// spans adds up usage by the query's spans, ordered by time, subscription and model.
func (asked historyQuery) spans(used []ledger.Usage, now time.Time) []Span {
	type place struct {
		from                time.Time
		subscription, model string
	}
	sums := make(map[place]*ledger.Totals)
	for _, u := range used {
		model := modelName(u.Model)
		if asked.model != "" && model != asked.model {
			continue
		}
		at := place{from: u.Time()}
		if asked.eachSubscription {
			at.subscription = u.Subscription
		}
		if asked.eachModel {
			at.model = model
		}
		if sums[at] == nil {
			sums[at] = &ledger.Totals{}
		}
		sums[at].Add(u.Totals)
	}
	all := make([]Span, 0, len(sums))
	for at, t := range sums {
		all = append(all, Span{From: at.from, Running: asked.by.Next(at.from).After(now), Subscription: at.subscription, Model: at.model, Counts: t.Counts()})
	}
	slices.SortFunc(all, func(a, b Span) int {
		if by := a.From.Compare(b.From); by != 0 {
			return by
		}
		return strings.Compare(a.Subscription+"\x00"+a.Model, b.Subscription+"\x00"+b.Model)
	})
	return all
}

func modelName(model string) string {
	if model == "" {
		return noModel
	}
	return model
}
