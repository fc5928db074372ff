package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tollgate/handler/ledger"
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
	Minute  time.Time `json:"minute"`
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
}

func (a *amounts) add(t ledger.Totals) {
	a.PromptTokens += t.PromptTokens
	a.CompletionTokens += t.CompletionTokens
	a.TotalTokens += t.Tokens()
	a.Requests += t.Calls
	a.Refused += t.Refused
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
	standing, err := g.config.Counter.Standing(c.r.Context(), g.counterKey(c, model), terms(c.grant.Tier))
	if err != nil {
		return counterProblem(err)
	}
	answer := usageAnswer{Subscription: c.grant.Subscription.ID, Tier: c.grant.Tier.ID, Counted: g.countedCalls(c, model), Hours: hours}
	answer.setLimits(standing)
	now := g.config.Counter.Now()
	used, err := g.usage(c.r.Context(), answer.Subscription, now.Add(-time.Duration(hours)*time.Hour).Truncate(time.Minute), now)
	if err != nil {
		answer.Problem = "The ledger can't be reached just now: only what this instance has yet to write is shown."
		c.result.cause = err
	}
	answer.setMinutes(used, limit.Minute(now))
	g.canonical.setLimits(c.w.Header(), standing, now)
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

// setMinutes sums what was used by minute.
func (s *usageAnswer) setMinutes(used []ledger.Usage, running int64) {
	s.Minutes = []minuteUsage{}
	for _, u := range used {
		last := len(s.Minutes) - 1
		if last < 0 || !s.Minutes[last].Minute.Equal(u.Time()) {
			s.Minutes = append(s.Minutes, minuteUsage{Minute: u.Time(), Running: u.Start >= running})
			last++
		}
		s.Minutes[last].add(u.Totals)
		s.Total.add(u.Totals)
	}
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
