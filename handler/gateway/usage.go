package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/usage"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// A usageAnswer is the answer to GET /usage: the caller's limits, and what it used.
type usageAnswer struct {
	Subscription string        `json:"subscription"`
	Tier         string        `json:"tier"`
	Counted      *countedCalls `json:"counted,omitempty"` // absent: all of this subscription's calls
	Minute       *limitStatus  `json:"minute,omitempty"`
	Quota        *limitStatus  `json:"quota,omitempty"`
	QuotaPeriod  limit.Period  `json:"quotaPeriod,omitempty"`
	Hours        int64         `json:"hours"`
	Total        amounts       `json:"total"` // sum of Minutes
	Minutes      []minuteUsage `json:"minutes"`
	Problem      string        `json:"problem,omitempty"` // why Minutes is incomplete
}

// countedCalls describes which calls a counter counts, if not simply those of one
// subscription.
type countedCalls struct {
	CounterKey subscription.CounterKey `json:"counterKey"` // the tier's template
	// Shared is true if all of the tier's subscriptions count together.
	Shared bool `json:"shared"`
	// Parts are this call's values of the template's other placeholders, by kind.
	Parts map[string]string `json:"parts,omitempty"`
}

// A limitStatus is the state of one limit, in tokens.
type limitStatus struct {
	Limit int64 `json:"limit"`
	Used  int64 `json:"used"`
	// Owed is the amount used beyond the limit, in tokens. Later minutes pay it; a quota forgets it
	// when its period ends.
	Owed int64 `json:"owed"`
	Left int64 `json:"left"`
	// ResetAt is when the debt is paid and tokens are available again.
	ResetAt time.Time `json:"resetAt"`
}

// A minuteUsage is what was used in a minute.
type minuteUsage struct {
	Minute time.Time `json:"minute"`
	// From is when the count begins, if before Minute.
	From    time.Time `json:"from,omitzero"`
	Running bool      `json:"running,omitempty"` // the minute is not over
	amounts
}

// amounts are in tokens, except Requests and Refused, which count calls.
type amounts struct {
	PromptTokens     int64 `json:"promptTokens"`
	CompletionTokens int64 `json:"completionTokens"`
	TotalTokens      int64 `json:"totalTokens"`
	Requests         int64 `json:"requests"`
	Refused          int64 `json:"refused"`
	Charged          int64 `json:"charged"`   // to the minute's limit
	Forfeited        int64 `json:"forfeited"` // part of Charged: leased by instances that died
}

func (a *amounts) add(c limit.Closed) {
	a.PromptTokens += c.PromptTokens
	a.CompletionTokens += c.CompletionTokens
	a.TotalTokens += c.Total()
	a.Requests += c.Requests
	a.Refused += c.Refused
	a.Charged += c.Charged
	a.Forfeited += c.Forfeited
}

// getUsage answers with the state of the caller's limits and its usage by minute.
func (g *Gateway) getUsage(c *call) error {
	if err := g.usageReads.allow(c.grant.Subscription.ID, time.Now()); err != nil {
		return err
	}
	hours, err := queryHours(c.r)
	if err != nil {
		return err
	}
	model, err := g.queryModel(c)
	if err != nil {
		return err
	}
	key := g.counterKey(c, model)
	recent, err := g.config.Counter.Recent(c.r.Context(), key, terms(c.grant.Tier))
	if err != nil {
		return counterProblem(err)
	}
	answer := usageAnswer{Subscription: c.grant.Subscription.ID, Tier: c.grant.Tier.ID, Counted: g.countedCalls(c, model), Hours: hours}
	answer.setLimits(recent.Standing)
	now := g.config.Counter.Now()
	from := now.Add(-time.Duration(hours) * time.Hour).Truncate(time.Minute)
	rows, err := g.historyCache.rows(c.r.Context(), g.config.History, usage.Query{Counter: key, From: from}, recent, now)
	if err != nil {
		answer.Problem = "The history can't be reached just now: minutes before the last ones are missing."
		c.result.cause = err
	}
	answer.setMinutes(rows, recent, limit.Minute(from), limit.Minute(now))
	g.canonical.setLimits(c.w.Header(), recent.Standing, now)
	return c.answerJSON(answer)
}

const (
	defaultHours = 3
	// maxHours is a week. Operators can read longer spans, as sums.
	maxHours = 7 * 24
)

// queryHours returns the query's hours, or the default.
func queryHours(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("hours")
	if text == "" {
		return defaultHours, nil
	}
	hours, err := strconv.ParseInt(text, 10, 64)
	if err != nil || hours < 1 || hours > maxHours {
		return 0, badRequest("hours", fmt.Sprintf("hours must be a whole number from 1 to %d, or left out for %d.", maxHours, defaultHours))
	}
	return hours, nil
}

// queryModel returns the model that the query names, else the first that the tier
// serves. It matters only where each model has a counter of its own.
func (g *Gateway) queryModel(c *call) (string, error) {
	models := g.modelsOf(c.grant.Tier)
	model := c.r.URL.Query().Get("model")
	switch {
	case slices.Contains(models, model):
		return model, nil
	case model != "":
		return "", g.modelNotFound(c)
	case len(models) == 0:
		return "", nil
	}
	return models[0], nil
}

// setLimits fills in the state of the limits that the tier has.
func (s *usageAnswer) setLimits(at limit.Standing) {
	if at.TokensPerMinute > 0 {
		s.Minute = &limitStatus{at.TokensPerMinute, at.Used, at.Owed, at.Remaining, at.ResetAt}
	}
	if at.Quota > 0 {
		s.Quota, s.QuotaPeriod = &limitStatus{at.Quota, at.QuotaUsed, at.QuotaOwed, at.QuotaRemaining, at.QuotaResetAt}, at.Period
	}
}

// setMinutes joins, by minute, the history with what the counter still has. A minute
// that is in both says the same in both, and counts once.
func (s *usageAnswer) setMinutes(rows []usage.Row, recent counter.Recent, from, running int64) {
	inHistory := make(map[int64]bool)
	sums := make(map[int64]minuteUsage)
	add := func(c limit.Closed) {
		sum := sums[c.Minute]
		sum.Minute, sum.Running = limit.MinuteStart(c.Minute), c.Minute >= running
		if c.From < c.Minute {
			sum.From = limit.MinuteStart(c.From)
		}
		sum.add(c)
		s.Total.add(c)
		sums[c.Minute] = sum
	}
	for _, row := range rows {
		inHistory[row.Minute] = inHistory[row.Minute] || row.Epoch == recent.Epoch
		add(row.Closed)
	}
	for _, closed := range recent.Minutes {
		if closed.Minute >= from && !inHistory[closed.Minute] {
			add(closed)
		}
	}
	s.Minutes = make([]minuteUsage, 0, len(sums))
	for _, sum := range sums {
		s.Minutes = append(s.Minutes, sum)
	}
	slices.SortFunc(s.Minutes, func(a, b minuteUsage) int { return a.Minute.Compare(b.Minute) })
}

// countedCalls describes what the call's counter counts, nil if it is simply the
// subscription's calls.
func (g *Gateway) countedCalls(c *call, model string) *countedCalls {
	template := c.grant.Tier.CounterKey
	said := &countedCalls{CounterKey: template, Shared: template.Shared(), Parts: make(map[string]string)}
	for p := range template.Placeholders() {
		if p != subscription.SubscriptionPart {
			said.Parts[p.Kind()] = g.placeholderValue(c, p, model)
		}
	}
	if !said.Shared && len(said.Parts) == 0 {
		return nil
	}
	return said
}
