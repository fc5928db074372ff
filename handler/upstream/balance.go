package upstream

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// tripAfter is how many failures in a row open an endpoint's breaker;
	// openFor is how long it stays open before one call may try again.
	tripAfter = 5
	openFor   = 10 * time.Second
	// throttledFor is how long an endpoint is left alone after a 429 that says
	// no time; maxPause bounds the time of one that does: Azure has been seen
	// to ask for a day.
	throttledFor = time.Second
	maxPause     = 5 * time.Minute
)

// endpoint is an Endpoint at work.
type endpoint struct {
	Endpoint
	addresses map[string]*url.URL // by the path's name of the model
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}]
	until     atomic.Int64 // it is to be left alone until then, in Unix nanoseconds
}

// newEndpoint makes an endpoint ready, if its configuration is without fault.
func newEndpoint(configured Endpoint) *endpoint {
	e := &endpoint{Endpoint: configured.normal(), addresses: make(map[string]*url.URL)}
	names := []string{e.Deployment}
	for _, own := range e.Models {
		names = append(names, own)
	}
	for _, own := range names {
		address := e.address(own)
		if e.Shape != Deployments {
			own = ""
		}
		e.addresses[own] = address
	}
	e.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      openFor,
		ReadyToTrip:  func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return !failing(err) },
		IsExcluded:   aside,
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				e.leaveAlone(openFor)
			}
		},
	})
	return e
}

// pathName is what the endpoint's path calls a model, empty if it doesn't.
func (e *endpoint) pathName(model string) string {
	if e.Shape != Deployments {
		return ""
	}
	own, _ := e.own(model)
	return own
}

func (e *endpoint) target(call *Call) Target {
	t := Target{Endpoint: e.Name, StreamOptions: *e.StreamOptions}
	if e.Shape != Deployments {
		t.Model, _ = e.own(call.Model)
	}
	return t
}

// leaveAlone keeps calls away from the endpoint for a time, not less than they
// are already.
func (e *endpoint) leaveAlone(d time.Duration) {
	until := time.Now().Add(min(d, maxPause)).UnixNano()
	for {
		old := e.until.Load()
		if old >= until || e.until.CompareAndSwap(old, until) {
			return
		}
	}
}

// pause is for how long the endpoint is still to be left alone.
func (e *endpoint) pause(now time.Time) time.Duration {
	return time.Duration(e.until.Load() - now.UnixNano())
}

// failing is whether an error speaks against the endpoint: it can't be
// reached, fails, or doesn't take our credential, unlike a call that it refuses.
func failing(err error) bool {
	if refused, ok := errors.AsType[*StatusError](err); ok {
		switch refused.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusFailedDependency:
			return true
		}
		return refused.Status >= http.StatusInternalServerError
	}
	return err != nil
}

// aside is whether an error says nothing of the endpoint's health: the caller
// left, it has as much to do as it may, or not this one of its models.
func aside(err error) bool {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.Reason == Left
	}
	return throttled(err) || lacking(err)
}

func throttled(err error) bool { return answered(err, http.StatusTooManyRequests) }

func lacking(err error) bool { return answered(err, http.StatusNotFound) }

func answered(err error, status int) bool {
	refused, ok := errors.AsType[*StatusError](err)
	return ok && refused.Status == status
}

// candidates are the endpoints that could take a call, whatever their state.
func (c *Client) candidates(call *Call) ([]*endpoint, error) {
	switch call.ExtraParameters {
	case "", "error", "drop", PassThrough:
	default:
		return nil, ErrExtraParameters
	}
	var found []*endpoint
	problem := ErrModel
	for _, e := range c.endpoints {
		if _, served := e.own(call.Model); !served {
			continue
		}
		if call.ExtraParameters != "" && call.ExtraParameters != PassThrough && e.Shape != Models {
			problem = ErrExtraParameters
			continue
		}
		found = append(found, e)
	}
	if len(found) == 0 {
		return nil, problem
	}
	return found, nil
}

// first returns the first answer that candidates give. An endpoint without an
// alternative is always tried: its own answer tells more than ours.
//
// Going on after a 429 takes nothing from the budget: an endpoint that has as
// much to do as it may is left alone for a while, so that this amplifies
// nothing, and is how a provisioned deployment overflows into another. Nor does
// it after a 404, which costs the endpoint nothing.
func (c *Client) first(ctx context.Context, candidates []*endpoint, call *Call) (*http.Response, *endpoint, error) {
	if len(candidates) == 1 {
		answer, err := c.try(ctx, candidates[0], call)
		return answer, candidates[0], err
	}
	c.retries.earn()
	var last, failed error // failed is the last that isn't a 404, if there is one
	var tried *endpoint    // by another call: its breaker lets no second one pass
	var paused []*endpoint
	for _, e := range shuffle(candidates) {
		if e.pause(time.Now()) > 0 {
			paused = append(paused, e)
			continue
		}
		done, err := e.breaker.Allow()
		if err != nil {
			tried = cmp.Or(tried, e)
			continue
		}
		if last != nil && !aside(last) && !c.retries.spend() {
			done(&Error{Endpoint: e.Name, Reason: Left, Err: errors.New("not asked")})
			break
		}
		answer, err := c.try(ctx, e, call)
		e.note(err)
		done(err)
		if err == nil || !failing(err) && !aside(err) || ctx.Err() != nil {
			return answer, e, err
		}
		if last = err; failed == nil || !lacking(err) {
			failed = err
		}
	}
	if lacking(failed) && (tried != nil || paused != nil) {
		failed = nil // the model is elsewhere
	}
	switch {
	case failed != nil:
		return nil, nil, failed
	case tried != nil: // for as long as a model thinks, and there is no other
		answer, err := c.try(ctx, tried, call)
		tried.note(err)
		return answer, tried, err
	}
	return nil, nil, unavailable(paused, time.Now())
}

// note heeds upstream's wish to be left alone.
func (e *endpoint) note(err error) {
	refused, ok := errors.AsType[*StatusError](err)
	switch {
	case !ok:
	case refused.RetryAfter > 0 && (throttled(err) || refused.Status == http.StatusServiceUnavailable):
		e.leaveAlone(refused.RetryAfter)
	case throttled(err):
		e.leaveAlone(throttledFor)
	}
}

func unavailable(paused []*endpoint, now time.Time) *UnavailableError {
	soonest := maxPause
	for _, e := range paused {
		soonest = min(soonest, e.pause(now))
	}
	return &UnavailableError{max(soonest, time.Second)}
}

// shuffle orders endpoints by priority, and within one at random by weight: of
// exponential lots, each divided by its weight, any is the smallest with a
// probability in proportion to its weight.
func shuffle(candidates []*endpoint) []*endpoint {
	type drawn struct {
		*endpoint
		lot float64
	}
	draws := make([]drawn, len(candidates))
	for i, e := range candidates {
		draws[i] = drawn{e, rand.ExpFloat64() / float64(e.Weight)}
	}
	slices.SortFunc(draws, func(a, b drawn) int {
		if a.Priority != b.Priority || a.lot == b.lot {
			return a.Priority - b.Priority
		}
		if a.lot < b.lot {
			return -1
		}
		return 1
	})
	ordered := make([]*endpoint, len(draws))
	for i, d := range draws {
		ordered[i] = d.endpoint
	}
	return ordered
}

// budget bounds retries to a tenth of the calls, ten at once, so that failing
// endpoints aren't called far oftener than working ones, as gRPC's retry
// throttling does.
// Source: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
type budget struct {
	mu    sync.Mutex
	tenth int // of a retry
}

const (
	fullBudget = 100
	aRetry     = 10
)

func newBudget() budget { return budget{tenth: fullBudget} }

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenth = min(b.tenth+1, fullBudget)
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tenth < aRetry {
		return false
	}
	b.tenth -= aRetry
	return true
}
