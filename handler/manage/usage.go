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

// Ledger reads usage; see ledger.Reader.
type Ledger interface {
	Subscription(ctx context.Context, id string, from, to time.Time, by ledger.Span) (ledger.Series, error)
	AllSubscriptions(ctx context.Context, from, to time.Time, by ledger.Span) (ledger.Series, error)
	Days(ctx context.Context, from, to time.Time, by ledger.Span) (ledger.Series, error)
}

// A Span is the usage of a minute, hour, day or month.
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

// noModel is the model shown for calls that named none of the gateway's models.
const noModel = "(none)"

// A History is usage by whole spans, oldest first.
type History struct {
	From time.Time   `json:"from"`
	To   time.Time   `json:"to"`
	By   ledger.Span `json:"by"`
	// Currency is the code of the currency of all costs; absent: none is set.
	Currency string `json:"currency,omitempty"`
	// WrittenAt is when the running day was written last, which gateways do every five
	// minutes; absent where spans aren't sums of days, or no day is running.
	WrittenAt time.Time `json:"writtenAt,omitzero"`
	Items     []Span    `json:"items"`
}

// maxSpans is the largest answer, in spans: a month of 3,000 subscriptions by day.
const maxSpans = 100_000

// listHistory answers with usage by minute, hour, day or month, oldest first.
func (c *call) listHistory() (*result, error) {
	q := c.query()
	by := q.choice("by", "minute", "hour", "day", "month")
	wanted := historyQuery{by: spanKinds[by].span, owner: q.owner(), model: q.param("model")}
	wanted.eachModel = q.choice("models", "sum", "each") == "each"
	sum := q.choice("sum", "", "subscriptions", "all")
	wanted.from, wanted.to = q.timeRange(by)
	q.checkHistory(&wanted, sum)
	if err := q.err(); err != nil {
		return nil, err
	}
	found, err := c.readUsage(wanted)
	if err != nil {
		return nil, err
	}
	currency, err := c.currency()
	if err != nil {
		return nil, err
	}
	items := wanted.addUp(found.Items, time.Now())
	if len(items) > maxSpans {
		return nil, badRequest(fmt.Sprintf("The answer would have more than %d spans. Ask for a shorter time or longer spans, or use sum=all.", maxSpans))
	}
	return &result{body: History{From: found.From, To: found.To, By: wanted.by, Currency: currency, WrittenAt: found.Written, Items: items}}, nil
}

// A historyQuery selects usage by whole spans.
type historyQuery struct {
	by       ledger.Span
	from, to time.Time
	owner
	model string // empty: all
	// eachModel and eachSubscription ask for separate spans, not for sums.
	eachModel, eachSubscription bool
}

// byDays reports whether spans are sums of days.
func (wanted historyQuery) byDays() bool { return wanted.by == ledger.Day || wanted.by == ledger.Month }

// checkHistory sets eachSubscription from the parameter sum. Usage by minute and hour can be of
// one subscription, of the members of a tier or group, or of all subscriptions together: reading
// the minutes of every subscription would scan the whole table.
func (q *query) checkHistory(wanted *historyQuery, sum string) {
	narrowed := wanted.owner != owner{}
	wanted.eachSubscription = sum == "subscriptions" || sum == "" && (narrowed || wanted.byDays())
	if wanted.eachSubscription && !narrowed && !wanted.byDays() {
		q.addFault("sum", "asks for each subscription by itself, which is possible by day and month only", "name a subscription, tier or group, or use by=day or sum=all")
	}
}

// readUsage reads the usage that a query selects.
func (c *call) readUsage(wanted historyQuery) (ledger.Series, error) {
	reader := c.api.config.Ledger
	switch {
	case wanted.subscription != "":
		if _, err := c.registry().Details(c.Context(), wanted.subscription); err != nil {
			return ledger.Series{}, err
		}
		return reader.Subscription(c.Context(), wanted.subscription, wanted.from, wanted.to, wanted.by)
	case wanted.tier != "" || wanted.group != "":
		return c.readMembers(wanted)
	case !wanted.eachSubscription && wanted.from.After(time.Now().Add(day-ledger.KeepHours)):
		return reader.AllSubscriptions(c.Context(), wanted.from, wanted.to, wanted.by)
	}
	return reader.Days(c.Context(), wanted.from, wanted.to, wanted.by)
}

// Bounds of reading a tier's or group's usage by minute and hour.
const (
	maxMembers         = 100 // subscriptions
	maxConcurrentReads = 8
)

// readMembers reads the usage of the subscriptions that have a tier, or are below a group, now.
func (c *call) readMembers(wanted historyQuery) (ledger.Series, error) {
	members, err := c.membersOf(wanted.owner)
	if err != nil {
		return ledger.Series{}, err
	}
	if wanted.byDays() {
		all, err := c.api.config.Ledger.Days(c.Context(), wanted.from, wanted.to, wanted.by)
		all.Items = slices.DeleteFunc(all.Items, func(u ledger.Usage) bool { return !slices.Contains(members, u.Subscription) })
		return all, err
	}
	if len(members) > maxMembers {
		return ledger.Series{}, badRequest(fmt.Sprintf("It has %d subscriptions. Usage by minute and hour can be of at most %d. Use by=day, or name a subscription.", len(members), maxMembers))
	}
	each := make([]ledger.Series, len(members))
	reads, ctx := errgroup.WithContext(c.Context())
	reads.SetLimit(maxConcurrentReads)
	for i, id := range members {
		reads.Go(func() (err error) {
			each[i], err = c.api.config.Ledger.Subscription(ctx, id, wanted.from, wanted.to, wanted.by)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return ledger.Series{}, err
	}
	all := ledger.Series{From: wanted.by.Floor(wanted.from), To: wanted.by.Next(wanted.to.Add(-1))}
	for _, one := range each {
		all.From, all.To, all.Items = one.From, one.To, append(all.Items, one.Items...)
	}
	return all, nil
}

// membersOf returns the ids of the subscriptions of a tier or below a group, in order.
func (c *call) membersOf(wanted owner) (ids []string, err error) {
	isMember := func(s subscription.Subscription) bool { return s.Tier == wanted.tier }
	if wanted.tier != "" {
		_, err = c.registry().Tier(c.Context(), wanted.tier)
	} else {
		isMember, err = c.belowGroup(wanted.group)
	}
	if err != nil {
		return nil, err
	}
	all, err := c.api.config.Store.Subscriptions(c.Context())
	for _, s := range all {
		if isMember(s) {
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

// addUp returns the sums of usage by the query's spans, ordered by time, subscription and model.
func (wanted historyQuery) addUp(used []ledger.Usage, now time.Time) []Span {
	type spanKey struct {
		from                time.Time
		subscription, model string
	}
	sums := make(map[spanKey]*ledger.Totals)
	for _, u := range used {
		model := modelName(u.Model)
		if wanted.model != "" && model != wanted.model {
			continue
		}
		key := spanKey{from: u.Time()}
		if wanted.eachSubscription {
			key.subscription = u.Subscription
		}
		if wanted.eachModel {
			key.model = model
		}
		if sums[key] == nil {
			sums[key] = &ledger.Totals{}
		}
		sums[key].Add(u.Totals)
	}
	all := make([]Span, 0, len(sums))
	for key, t := range sums {
		all = append(all, Span{From: key.from, Running: wanted.by.Next(key.from).After(now), Subscription: key.subscription, Model: key.model, Counts: t.Counts()})
	}
	slices.SortFunc(all, func(a, b Span) int {
		if by := a.From.Compare(b.From); by != 0 {
			return by
		}
		return strings.Compare(a.Subscription+"\x00"+a.Model, b.Subscription+"\x00"+b.Model)
	})
	return all
}

// modelName returns the name under which usage of a model is shown.
func modelName(model string) string {
	if model == "" {
		return noModel
	}
	return model
}
