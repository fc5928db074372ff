package gateway

import (
	"fmt"
	"maps"
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
	Total        ledger.Counts `json:"total"`  // sum of Minutes
	Models       []modelUsage  `json:"models"` // the same by model
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
	// Held is leased to other instances: neither used nor left.
	Held int64 `json:"held"`
	Left int64 `json:"left"`
	// StartedAt is when the quota's period began; absent for minutes.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// ResetAt is when the debt is paid and tokens are available again.
	ResetAt time.Time `json:"resetAt"`
}

// A minuteUsage is what was used in a minute.
type minuteUsage struct {
	Minute  time.Time `json:"minute"`
	Running bool      `json:"running,omitempty"` // the minute is not over
	ledger.Counts
}

// A modelUsage counts the usage of one model.
type modelUsage struct {
	Model string `json:"model"` // empty for calls that named none of the gateway's models
	ledger.Counts
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
	answer.setUsed(used, limit.Minute(now))
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
	if at.PerMinute > 0 {
		s.Minute = &limitStatus{Limit: at.PerMinute, Used: at.Used, Owed: at.Owed, Held: at.Held, Left: at.Remaining, ResetAt: at.ResetAt}
	}
	if at.Quota > 0 {
		s.Quota = &limitStatus{Limit: at.Quota, Used: at.QuotaUsed, Owed: at.QuotaOwed, Held: at.QuotaHeld, Left: at.QuotaRemaining, StartedAt: at.QuotaStartedAt, ResetAt: at.QuotaResetAt}
		s.QuotaPeriod = at.Period
	}
}

// setUsed fills in what was used: in all, by model and by minute.
func (s *usageAnswer) setUsed(used []ledger.Usage, running int64) {
	var total ledger.Totals
	models, minutes := make(map[string]*ledger.Totals), make(map[int64]*ledger.Totals)
	for _, u := range used {
		total.Add(u.Totals)
		addTo(models, u.Model, u.Totals)
		addTo(minutes, u.Start, u.Totals)
	}
	s.Total, s.Models, s.Minutes = total.Counts(), []modelUsage{}, []minuteUsage{}
	for _, model := range slices.Sorted(maps.Keys(models)) {
		s.Models = append(s.Models, modelUsage{model, models[model].Counts()})
	}
	for _, minute := range slices.Sorted(maps.Keys(minutes)) {
		s.Minutes = append(s.Minutes, minuteUsage{limit.MinuteStart(minute), minute >= running, minutes[minute].Counts()})
	}
}

func addTo[K comparable](sums map[K]*ledger.Totals, key K, t ledger.Totals) {
	if sums[key] == nil {
		sums[key] = &ledger.Totals{}
	}
	sums[key].Add(t)
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
