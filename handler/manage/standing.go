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

// A Window is the state of one limit in its current window.
type Window struct {
	Limit limit.Amount `json:"limit"`
	Used  limit.Amount `json:"used"` // charged, including reservations of calls in progress
	Owed  limit.Amount `json:"owed"` // used beyond the limit; later minutes pay it
	Held  limit.Amount `json:"held"` // leased to gateways: neither used nor left
	Left  limit.Amount `json:"left"`
	// StartedAt is when the quota's period began; absent for minutes.
	StartedAt time.Time `json:"startedAt,omitzero"`
	ResetAt   time.Time `json:"resetAt"`
}

// A Standing is the state of a counter.
type Standing struct {
	// Counter is the counter's key: the owner's id, the limit and the values it counts by.
	Counter string `json:"counter"`
	// Subscription, Tier or Group is the id of the owner.
	Subscription string `json:"subscription,omitempty"`
	Tier         string `json:"tier,omitempty"`
	Group        string `json:"group,omitempty"`
	// Limit is the limit's name, Unit what it counts.
	Limit       string     `json:"limit"`
	Unit        limit.Unit `json:"unit"`
	Minute      *Window    `json:"minute,omitempty"`
	Quota       *Window    `json:"quota,omitempty"`
	QuotaPeriod string     `json:"quotaPeriod,omitempty"`
	// Gone is true if the owner no longer has such a limit: no call is charged to the counter.
	Gone bool `json:"gone,omitempty"`
	// Problem says why the counter's row can't be read; usually absent.
	Problem string `json:"problem,omitempty"`
}

// listUsage answers with the standings of counters, ordered by key.
func (c *call) listUsage() (*result, error) {
	q := c.query()
	wanted, search, after, limit := q.owner(), q.param("search"), q.param("after"), q.pageSize()
	if err := q.err(); err != nil {
		return nil, err
	}
	included, err := c.countersOf(wanted)
	if err != nil {
		return nil, err
	}
	standings, err := c.allStandings()
	if err != nil {
		return nil, err
	}
	var all []Standing
	for _, s := range standings {
		if included(s) && matches(search, s.Counter) {
			all = append(all, s)
		}
	}
	return &result{body: paginate(all, func(s Standing) string { return s.Counter }, after, limit)}, nil
}

// countersOf returns a function that reports whether a counter belongs to an owner, or to what
// is below it.
func (c *call) countersOf(wanted owner) (func(Standing) bool, error) {
	switch {
	case wanted == (owner{}):
		return func(Standing) bool { return true }, nil
	case wanted.subscription != "":
		return func(s Standing) bool { return s.Subscription == wanted.subscription }, nil
	}
	members, err := c.membersOf(wanted)
	if err != nil {
		return nil, err
	}
	below := func(group string) bool { return false }
	if wanted.group != "" {
		groups, err := c.api.config.Store.Groups(c.Context())
		if err != nil {
			return nil, err
		}
		below = subscription.WithinGroup(groups, wanted.group)
	}
	return func(s Standing) bool {
		_, member := slices.BinarySearch(members, s.Subscription)
		return member || s.Tier != "" && s.Tier == wanted.tier || below(s.Group)
	}, nil
}

// An owner is the subscription, tier or group whose usage a request asks for; the zero owner
// stands for all.
type owner struct{ subscription, tier, group string }

// owner returns the parameters subscription, tier and group, of which at most one may be given.
func (q *query) owner() owner {
	o := owner{q.param("subscription"), q.param("tier"), q.param("group")}
	if o.subscription != "" && o.tier != "" {
		q.addFault("tier", "can't be combined with subscription", "use one of the two")
	}
	if o.group != "" && (o.subscription != "" || o.tier != "") {
		q.addFault("group", "can't be combined with subscription or tier", "use one of them")
	}
	return o
}

// standingsTimeout bounds one reading of all counters. After that time Azure's front end gives
// up on the request anyway. Source:
// https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout
const standingsTimeout = 230 * time.Second

// recentStandings returns a cache of the standings of all counters. Each open console asks for
// them every few seconds, and each reading reads every counter.
func (c Config) recentStandings() *recent.Cache[struct{}, []Standing] {
	return &recent.Cache[struct{}, []Standing]{
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
	limits, err := subscription.CounterLimits(ctx, c.Store)
	if err != nil {
		return nil, err
	}
	var all []Standing
	now := time.Now()
	for stored, err := range c.Counters.List(ctx) {
		if err != nil && stored.Key == "" {
			return nil, err
		}
		all = append(all, standingOf(stored, err, limits, now))
	}
	slices.SortFunc(all, func(a, b Standing) int { return strings.Compare(a.Counter, b.Counter) })
	return all, nil
}

// standingOf returns the standing of a stored counter at a time, under its limit's
// current values if they are newer than the counter's.
func standingOf(stored counter.Entry, unreadable error, limits map[subscription.CounterName]subscription.OwnedLimit, now time.Time) Standing {
	of := subscription.CounterNameOf(stored.Key)
	s := Standing{Counter: stored.Key, Subscription: of.Subscription, Tier: of.Tier, Group: of.Group}
	s.Limit, s.Unit = of.LimitName()
	current, known := limits[of]
	s.Gone = !known
	if unreadable != nil {
		s.Problem = unreadable.Error()
		return s
	}
	state := stored.Row
	if known {
		state.Advance(current.Windows(), now) // ignores older limits
	} else {
		state.Advance(state.Limits, now)
	}
	at := state.Standing(now)
	amount := func(n int64) limit.Amount { return limit.Amount{N: n, Unit: s.Unit} }
	if at.PerMinute > 0 {
		s.Minute = &Window{Limit: amount(at.PerMinute), Used: amount(at.Used), Owed: amount(at.Owed), Held: amount(at.Held), Left: amount(at.Remaining), ResetAt: at.ResetAt}
	}
	if at.Quota > 0 {
		s.Quota = &Window{Limit: amount(at.Quota), Used: amount(at.QuotaUsed), Owed: amount(at.QuotaOwed), Held: amount(at.QuotaHeld), Left: amount(at.QuotaRemaining),
			StartedAt: at.QuotaStartedAt, ResetAt: at.QuotaResetAt}
		s.QuotaPeriod = string(at.Period)
	}
	return s
}
