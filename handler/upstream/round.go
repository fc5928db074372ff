package upstream

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// round tries the deployments that serve a call one after the other.
type round struct {
	client  *Client
	ctx     context.Context // the caller's
	call    *Call
	untried []*deployment // not asked yet, in order
	only    bool          // there is only one deployment: it is asked even if it is paused, as its answer says more than ours

	last      failure
	callerErr error       // to return if none answers; a 404 only if there is nothing else
	probed    *deployment // another call is testing whether it works again
	paused    []*deployment
	stopped   bool // Call.Failed said not to ask another endpoint
}

// failure is the last error of a round, and the deployment it came from.
type failure struct {
	of  *deployment
	err error
}

// next asks deployments until one answers.
//
// A retry after a 429 takes nothing from the budget: the throttled deployment is paused,
// so retries don't multiply, and this is how a provisioned deployment overflows into
// another. Neither does a retry after a 404, which costs the deployment nothing.
func (r *round) next(ctx context.Context) (*answer, error) {
	for len(r.untried) > 0 {
		bounded := r.last.err != nil && !neutral(r.last.err)
		if bounded && !r.last.of.retries.hasRetry() {
			break
		}
		d := r.untried[0]
		r.untried = r.untried[1:]
		if !r.admits(d) {
			continue
		}
		if bounded {
			r.last.of.retries.spend()
		}
		got, err := r.ask(ctx, d)
		if err == nil || r.stopped || !failing(err) && !neutral(err) || ctx.Err() != nil {
			return got, err
		}
	}
	return r.giveUp(ctx)
}

// admits reports whether the call may go to a deployment. If not, it keeps the deployment
// in probed or paused.
func (r *round) admits(d *deployment) bool {
	if r.only {
		return true
	}
	switch d.admit(time.Now()) {
	case beingProbed:
		r.probed = cmp.Or(r.probed, d)
		return false
	case paused:
		r.paused = append(r.paused, d)
		return false
	}
	return true
}

// ask sends the call to a deployment and records a failure. A success is recorded once
// the answer has been read.
func (r *round) ask(ctx context.Context, d *deployment) (*answer, error) {
	d.retries.earn()
	askedAt := time.Now()
	got, err := d.try(ctx, r.call)
	if err != nil {
		d.record(err, askedAt, time.Now())
		r.keepFailure(d, err)
		r.stopped = r.call.Failed != nil && !r.call.Failed(err)
		return nil, err
	}
	got.from, got.askedAt = d, askedAt
	return got, nil
}

// keepFailure keeps an error of the round. Of several 429s the caller gets the one
// with the shortest Retry-After.
func (r *round) keepFailure(d *deployment, err error) {
	r.last = failure{d, err}
	switch {
	case r.callerErr == nil:
		r.callerErr = err
	case notFound(err), throttled(err) && throttled(r.callerErr) && requestedPause(r.callerErr) <= requestedPause(err):
	default:
		r.callerErr = err
	}
}

// giveUp ends a round in which no deployment answered. If another call is testing a
// deployment, giveUp asks that deployment too, as the other call may take as long as a
// model thinks. The caller gets a 404 only if no deployment exists.
func (r *round) giveUp(ctx context.Context) (*answer, error) {
	if notFound(r.callerErr) && (r.probed != nil || r.paused != nil) {
		r.callerErr = nil
	}
	switch {
	case r.callerErr == nil && r.probed != nil:
		d := r.probed
		r.probed = nil
		return r.ask(ctx, d)
	case r.callerErr == nil:
		return nil, r.unavailable(maxPause)
	case throttled(r.callerErr):
		if busy := r.unavailable(requestedPause(r.callerErr)); busy.RetryAfter < requestedPause(r.callerErr) {
			return nil, busy
		}
	}
	return nil, r.callerErr
}

// unavailable returns an error with the time until the first deployment may be
// tried again, at most within.
func (r *round) unavailable(within time.Duration) *UnavailableError {
	now, busy := time.Now(), &UnavailableError{RetryAfter: within, Throttled: throttled(r.callerErr)}
	for _, d := range r.paused {
		wait, throttled := d.pause(now)
		busy.RetryAfter = max(min(busy.RetryAfter, wait), time.Second)
		busy.Throttled = busy.Throttled || throttled
	}
	return busy
}

// answer is an endpoint's answer that has begun.
type answer struct {
	*http.Response
	from    *deployment
	askedAt time.Time // when the deployment was asked
	secret  string    // the credential that it was sent
	pump    *pump     // reads the body of a call that may continue when ctx ends; else nil
}
