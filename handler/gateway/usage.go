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

// standing is what a caller is told of its limits and of what it used.
type standing struct {
	Subscription string       `json:"subscription"`
	Tier         string       `json:"tier"`
	Counted      *counted     `json:"counted,omitempty"` // absent: this subscription's calls, all of them
	Minute       *window      `json:"minute,omitempty"`
	Quota        *window      `json:"quota,omitempty"`
	QuotaPeriod  limit.Period `json:"quotaPeriod,omitempty"`
	Hours        int64        `json:"hours"`
	Total        amounts      `json:"total"` // of Minutes
	Minutes      []spent      `json:"minutes"`
	Problem      string       `json:"problem,omitempty"` // with Minutes
}

// counted says what a counter counts that isn't simply a subscription's.
type counted struct {
	CounterKey subscription.CounterKey `json:"counterKey"` // the tier's template
	// Shared says that all of the tier's subscriptions count together.
	Shared bool `json:"shared"`
	// Parts are this call's own values of the template's other parts.
	Parts map[string]string `json:"parts,omitempty"`
}

// window is where one limit stands, in tokens.
type window struct {
	Limit int64 `json:"limit"`
	Used  int64 `json:"used"`
	// Owed is what was used beyond the limit. Later minutes pay it; a quota's ends
	// with its period.
	Owed int64 `json:"owed"`
	Left int64 `json:"left"`
	// ResetAt is when something is left again, what is owed paid.
	ResetAt time.Time `json:"resetAt"`
}

// spent is what happened in a minute.
type spent struct {
	Minute time.Time `json:"minute"`
	// From is when the count begins, where that is before Minute.
	From    time.Time `json:"from,omitzero"`
	Running bool      `json:"running,omitempty"` // the minute is not over
	amounts
}

// amounts are tokens, but for Requests and Refused, which are calls.
type amounts struct {
	PromptTokens     int64 `json:"promptTokens"`
	CompletionTokens int64 `json:"completionTokens"`
	TotalTokens      int64 `json:"totalTokens"`
	Requests         int64 `json:"requests"`
	Refused          int64 `json:"refused"`
	Charged          int64 `json:"charged"`   // to the minute's limit
	Forfeited        int64 `json:"forfeited"` // of that, leased by instances that died
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

// usage answers with where the limits stand that a call of this key would be
// counted under, and with what was used, by minute.
func (g *Gateway) usage(c *call) error {
	if err := g.asking.allow(c.grant.Subscription.ID, time.Now()); err != nil {
		return err
	}
	hours, err := hoursAsked(c.r)
	if err != nil {
		return err
	}
	model, err := g.modelAsked(c)
	if err != nil {
		return err
	}
	key := g.counterKey(c, model)
	recent, err := g.Counter.Recent(c.r.Context(), key, terms(c.grant.Tier))
	if err != nil {
		return g.undecided(err)
	}
	answer := standing{Subscription: c.grant.Subscription.ID, Tier: c.grant.Tier.ID, Counted: g.counted(c, model), Hours: hours}
	answer.windows(recent.Standing)
	now := time.Now()
	from := now.Add(-time.Duration(hours) * time.Hour).Truncate(time.Minute)
	rows, err := g.history.rows(c.r.Context(), g.History, usage.Query{Counter: key, From: from}, recent, now)
	if err != nil {
		answer.Problem = "The history can't be reached just now: minutes before the last ones are missing."
		c.cause = err
	}
	answer.minutes(rows, recent, limit.Minute(from), limit.Minute(now))
	g.names.standing(c.w.Header(), recent.Standing, now)
	return c.answerJSON(answer)
}

const (
	usualHours = 3
	// mostHours is a week: longer spans are for operators, who have sums.
	mostHours = 7 * 24
)

func hoursAsked(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("hours")
	if text == "" {
		return usualHours, nil
	}
	hours, err := strconv.ParseInt(text, 10, 64)
	if err != nil || hours < 1 || hours > mostHours {
		return 0, badRequest("hours", fmt.Sprintf("hours must be a whole number from 1 to %d, or left out for %d.", mostHours, usualHours))
	}
	return hours, nil
}

// modelAsked is the model that is asked about, where models are counted apart:
// the one that the query names, else the first.
func (g *Gateway) modelAsked(c *call) (string, error) {
	served := g.served(c.grant.Tier)
	model := c.r.URL.Query().Get("model")
	switch {
	case slices.Contains(served, model):
		return model, nil
	case model != "":
		return "", g.noModel(c)
	case len(served) == 0:
		return "", nil
	}
	return served[0], nil
}

func (s *standing) windows(at limit.Standing) {
	if at.TokensPerMinute > 0 {
		s.Minute = &window{at.TokensPerMinute, at.Used, at.Owed, at.Remaining, at.ResetAt}
	}
	if at.Quota > 0 {
		s.Quota, s.QuotaPeriod = &window{at.Quota, at.QuotaUsed, at.QuotaOwed, at.QuotaRemaining, at.QuotaResetAt}, at.Period
	}
}

// minutes joins the history with what it may not have yet, by minute. A minute
// may be in both: then they say the same.
func (s *standing) minutes(rows []usage.Row, recent counter.Recent, from, running int64) {
	known := make(map[int64]bool)
	sums := make(map[int64]spent)
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
		known[row.Minute] = known[row.Minute] || row.Epoch == recent.Epoch
		add(row.Closed)
	}
	for _, closed := range recent.Minutes {
		if closed.Minute >= from && !known[closed.Minute] {
			add(closed)
		}
	}
	s.Minutes = make([]spent, 0, len(sums))
	for _, sum := range sums {
		s.Minutes = append(s.Minutes, sum)
	}
	slices.SortFunc(s.Minutes, func(a, b spent) int { return a.Minute.Compare(b.Minute) })
}

// counted says what else than a subscription's calls is counted, if it is.
func (g *Gateway) counted(c *call, model string) *counted {
	template := c.grant.Tier.CounterKey
	said := &counted{CounterKey: template, Shared: template.Shared(), Parts: make(map[string]string)}
	for p := range template.Placeholders() {
		if p != subscription.SubscriptionPart {
			said.Parts[p.Kind()] = g.partValue(c, p, model)
		}
	}
	if !said.Shared && len(said.Parts) == 0 {
		return nil
	}
	return said
}
