package manage

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/recent"
	"tollgate/handler/subscription"
)

// A Window is the state of one limit in its current window, in tokens.
type Window struct {
	Limit int64 `json:"limit"`
	Used  int64 `json:"used"` // charged, including reservations of calls in progress
	Owed  int64 `json:"owed"` // used beyond the limit; later minutes pay it
	Held  int64 `json:"held"` // leased to gateways: neither used nor left
	Left  int64 `json:"left"`
	// StartedAt is when the quota's period began; absent for minutes.
	StartedAt time.Time `json:"startedAt,omitzero"`
	ResetAt   time.Time `json:"resetAt"`
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

// listUsage answers with the standings of counters, ordered by key.
func (c *call) listUsage() (*result, error) {
	q := c.query()
	id, tier, search, after, most := q.param("subscription"), q.param("tier"), q.param("search"), q.param("after"), q.pageSize()
	q.checkOwner(id, tier)
	if err := q.err(); err != nil {
		return nil, err
	}
	var members []string
	if tier != "" {
		var err error
		if members, err = c.membersOf(tier); err != nil {
			return nil, err
		}
	}
	standings, err := c.allStandings()
	if err != nil {
		return nil, err
	}
	var all []Standing
	for _, s := range standings {
		ofTier := tier == "" || s.Tier == tier || slices.Contains(members, s.Subscription)
		if (id == "" || s.Subscription == id) && ofTier && matches(search, s.Counter) {
			all = append(all, s)
		}
	}
	return &result{body: paginate(all, func(s Standing) string { return s.Counter }, after, most)}, nil
}

// checkOwner checks that at most one of two filters is there.
func (q *query) checkOwner(subscription, tier string) {
	if subscription != "" && tier != "" {
		q.addFault("tier", "can't be combined with subscription", "use one of the two")
	}
}

// standingsTimeout bounds one reading of all counters: the time after which Azure's front
// end has given up on a request. Source:
// https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout
const standingsTimeout = 230 * time.Second

// recentStandings returns what all requests read the standings of all counters from: each
// open console asks every few seconds, and each reading reads every counter.
func (c Config) recentStandings() *recent.Readings[struct{}, []Standing] {
	return &recent.Readings[struct{}, []Standing]{
		Read:    func(ctx context.Context, _ struct{}) ([]Standing, error) { return c.readStandings(ctx) },
		MaxAge:  c.StandingsMaxAge,
		Timeout: standingsTimeout,
		MaxKeys: 1,
	}
}

// allStandings returns the standings of all counters, ordered by key. They are shared:
// don't change them.
func (c *call) allStandings() ([]Standing, error) {
	return c.api.standings.Get(c.Context(), struct{}{})
}

// readStandings reads the standings of all counters, ordered by key.
func (c Config) readStandings(ctx context.Context) ([]Standing, error) {
	limits, err := effectiveLimits(ctx, c.Store)
	if err != nil {
		return nil, err
	}
	var all []Standing
	now := time.Now()
	for stored, err := range c.Counters.List(ctx) {
		if err != nil && stored.Key == "" {
			return nil, err
		}
		all = append(all, standingOf(stored, err, limits[limit.OwnerOf(stored.Key)], now))
	}
	slices.SortFunc(all, func(a, b Standing) int { return strings.Compare(a.Counter, b.Counter) })
	return all, nil
}

// standingOf returns the standing of a stored counter at a time, under its owner's
// current limits if they are newer than the counter's.
func standingOf(stored counter.Entry, unreadable error, newest limit.Limits, now time.Time) Standing {
	of := limit.OwnerOf(stored.Key)
	s := Standing{Counter: stored.Key, Subscription: of.Subscription, Tier: of.Tier}
	if unreadable != nil {
		s.Problem = unreadable.Error()
		return s
	}
	state := stored.Row
	state.Advance(newest, now) // ignores older limits
	at := state.Standing(now)
	if at.PerMinute > 0 {
		s.Minute = &Window{Limit: at.PerMinute, Used: at.Used, Owed: at.Owed, Held: at.Held, Left: at.Remaining, ResetAt: at.ResetAt}
	}
	if at.Quota > 0 {
		s.Quota, s.QuotaPeriod = &Window{Limit: at.Quota, Used: at.QuotaUsed, Owed: at.QuotaOwed, Held: at.QuotaHeld, Left: at.QuotaRemaining, StartedAt: at.QuotaStartedAt, ResetAt: at.QuotaResetAt}, string(at.Period)
	}
	return s
}

// effectiveLimits returns the current limits of every tier and subscription. Counters
// adopt a change only with their next call.
func effectiveLimits(ctx context.Context, store subscription.Store) (map[limit.Owner]limit.Limits, error) {
	tiers, err := store.Tiers(ctx)
	if err != nil {
		return nil, err
	}
	subs, err := store.Subscriptions(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[limit.Owner]limit.Limits, len(tiers)+len(subs))
	byID := make(map[string]subscription.Tier, len(tiers))
	for _, t := range tiers {
		byID[t.ID] = t
		all[limit.Owner{Tier: t.ID}] = t.Counted()
	}
	for _, s := range subs {
		if effective, err := s.Effective(byID[s.Tier]); err == nil { // the checks report invalid subscriptions
			all[limit.Owner{Subscription: s.ID}] = effective.Counted()
		}
	}
	return all, nil
}
