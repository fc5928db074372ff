package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"tollgate/handler/ledger"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// A usageAnswer is the answer to GET /usage: the caller's limits, and what it used.
type usageAnswer struct {
	Subscription string        `json:"subscription"`
	Tier         string        `json:"tier"`
	Group        string        `json:"group,omitempty"`
	Limits       []limitStatus `json:"limits"`
	// Minute, Quota and QuotaPeriod are those of the tier's limit named tokens.
	Minute      *windowStatus `json:"minute,omitempty"`
	Quota       *windowStatus `json:"quota,omitempty"`
	QuotaPeriod limit.Period  `json:"quotaPeriod,omitempty"`
	Hours       int64         `json:"hours"`
	Currency    string        `json:"currency,omitempty"` // of costs; absent: none is set, or known
	Total       ledger.Counts `json:"total"`              // sum of Minutes
	Models      []modelUsage  `json:"models"`             // the same by model
	Minutes     []minuteUsage `json:"minutes"`
	Problem     string        `json:"problem,omitempty"` // why Minutes is incomplete
}

// A limitStatus is the state of one limit.
type limitStatus struct {
	Name string     `json:"name"`
	Unit limit.Unit `json:"unit"`
	subscription.Owner
	// Counted describes what the limit's counter counts; absent: all of this
	// subscription's calls.
	Counted     *countedCalls `json:"counted,omitempty"`
	Models      []string      `json:"models,omitempty"` // the only models whose calls it applies to
	Shadow      bool          `json:"shadow,omitempty"`
	Minute      *windowStatus `json:"minute,omitempty"`
	Quota       *windowStatus `json:"quota,omitempty"`
	QuotaPeriod limit.Period  `json:"quotaPeriod,omitempty"`
}

// countedCalls describes which calls a counter counts, if not simply those of one
// subscription.
type countedCalls struct {
	CounterKey subscription.CounterKey `json:"counterKey"` // the limit's template
	// Shared is true if other subscriptions count too.
	Shared bool `json:"shared"`
	// Parts are this call's values of the template's other placeholders, by kind.
	Parts map[string]string `json:"parts,omitempty"`
}

// A windowStatus is the state of one of a limit's windows. Amounts are those of the
// limit's unit, money as decimals.
type windowStatus struct {
	Limit limit.Amount `json:"limit"`
	Used  limit.Amount `json:"used"`
	// Owed is the amount used beyond the limit. Later minutes pay it; a quota forgets it
	// when its period ends.
	Owed limit.Amount `json:"owed"`
	// Held is leased to other instances: neither used nor left.
	Held limit.Amount `json:"held"`
	Left limit.Amount `json:"left"`
	// StartedAt is when the quota's period began; absent for minutes.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// ResetAt is when the debt is paid and something is left again.
	ResetAt time.Time `json:"resetAt"`
}

// A minuteUsage counts the usage of one minute.
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
	limits := g.allLimits(c, model)
	standings, err := g.standings(c, limits)
	if err != nil {
		return counterProblem(err)
	}
	answer := usageAnswer{Subscription: c.grant.Subscription.ID, Tier: c.grant.Tier.ID, Group: c.grant.Subscription.Group, Hours: hours, Currency: g.currency(c.r.Context()), Limits: []limitStatus{}}
	for i := range limits {
		answer.addLimit(&limits[i], standings[i], g.countedCalls(c, &limits[i], model))
	}
	now := g.config.Counter.Now()
	used, err := g.usage(c.r.Context(), answer.Subscription, now.Add(-time.Duration(hours)*time.Hour).Truncate(time.Minute), now)
	if err != nil {
		answer.Problem = "The ledger can't be reached just now: only what this instance has yet to write is shown."
		c.result.cause = err
	}
	answer.setUsed(used, limit.Minute(now))
	g.canonical.setLimits(c.w.Header(), limits, standings, now)
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

// allLimits returns all limits of a subscription's calls. Those that don't apply to the
// model are shown for the first that they apply to.
func (g *Gateway) allLimits(c *call, model string) []callLimit {
	all := make([]callLimit, len(c.grant.Limits))
	for i := range c.grant.Limits {
		l, of := &c.grant.Limits[i], model
		if !l.AppliesTo(model) {
			of = l.Models[0]
		}
		all[i] = callLimit{l, g.counterKey(c, l, of)}
	}
	return all
}

// standings asks the limits' counters for their standings, all at the same time.
func (g *Gateway) standings(c *call, limits []callLimit) ([]limit.Standing, error) {
	standings := make([]limit.Standing, len(limits))
	asked, ctx := errgroup.WithContext(c.r.Context())
	for i := range limits {
		asked.Go(func() (err error) {
			standings[i], err = g.config.Counter.Standing(ctx, limits[i].key, c.terms(&limits[i]))
			return err
		})
	}
	return standings, asked.Wait()
}

// addLimit adds the state of a limit.
func (s *usageAnswer) addLimit(l *callLimit, at limit.Standing, counted *countedCalls) {
	status := limitStatus{Name: l.Name, Unit: l.Unit, Owner: l.Owner, Counted: counted, Models: l.Models, Shadow: l.Shadow}
	of := func(n int64) limit.Amount { return limit.Amount{N: n, Unit: l.Unit} }
	if at.PerMinute > 0 {
		status.Minute = &windowStatus{Limit: of(at.PerMinute), Used: of(at.Used), Owed: of(at.Owed), Held: of(at.Held), Left: of(at.Remaining), ResetAt: at.ResetAt}
	}
	if at.Quota > 0 {
		status.Quota = &windowStatus{Limit: of(at.Quota), Used: of(at.QuotaUsed), Owed: of(at.QuotaOwed), Held: of(at.QuotaHeld), Left: of(at.QuotaRemaining), StartedAt: at.QuotaStartedAt, ResetAt: at.QuotaResetAt}
		status.QuotaPeriod = at.Period
	}
	s.Limits = append(s.Limits, status)
	if l.Owner.Tier != "" && strings.EqualFold(l.Name, subscription.TokensName) {
		s.Minute, s.Quota, s.QuotaPeriod = status.Minute, status.Quota, status.QuotaPeriod
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

// addTo adds totals to the sum of a key.
func addTo[K comparable](sums map[K]*ledger.Totals, key K, t ledger.Totals) {
	if sums[key] == nil {
		sums[key] = &ledger.Totals{}
	}
	sums[key].Add(t)
}

// countedCalls describes what a limit's counter counts, nil if it is simply the
// subscription's calls.
func (g *Gateway) countedCalls(c *call, l *callLimit, model string) *countedCalls {
	template := l.Template()
	counted := &countedCalls{CounterKey: template, Shared: l.Shared(), Parts: make(map[string]string)}
	for p := range template.Placeholders() {
		switch p {
		case subscription.SubscriptionPart:
		case subscription.GroupPart:
			counted.Parts[p.Kind()] = cmp.Or(l.Owner.Group, c.grant.Subscription.Group)
		default:
			counted.Parts[p.Kind()] = g.placeholderValue(c, p, model)
		}
	}
	if !counted.Shared && len(counted.Parts) == 0 {
		return nil
	}
	return counted
}
