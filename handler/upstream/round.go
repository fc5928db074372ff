package upstream

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// round is a call's way through the deployments that could take it.
type round struct {
	client *Client
	ctx    context.Context // the caller's
	call   *Call
	left   []*deployment // not asked yet, in order
	only   bool          // there was only one: it is always asked, as its own answer tells more than ours

	last   failure
	failed error         // the last error that isn't a 404, if there is one
	tried  *deployment   // by another call
	paused []*deployment // to be left alone
}

// failure is the last error of a round, and where it came from.
type failure struct {
	of  *deployment
	err error
}

// next asks deployments until one answers.
//
// Going on after a 429 takes nothing from the budget: a deployment that has as much
// to do as it may is left alone for a while, so that this amplifies nothing, and is
// how a provisioned deployment overflows into another. Nor does going on after a
// 404, which costs the deployment nothing.
func (r *round) next(ctx context.Context) (*answer, error) {
	for len(r.left) > 0 {
		bounded := r.last.err != nil && !aside(r.last.err)
		if bounded && !r.last.of.retries.left() {
			break
		}
		d := r.left[0]
		r.left = r.left[1:]
		if !r.enters(d) {
			continue
		}
		if bounded {
			r.last.of.retries.spend()
		}
		got, err := r.ask(ctx, d)
		if err == nil || !failing(err) && !aside(err) || ctx.Err() != nil {
			return got, err
		}
	}
	return r.none(ctx)
}

// enters is whether the call may go to a deployment.
func (r *round) enters(d *deployment) bool {
	if r.only {
		return true
	}
	switch d.enter(time.Now()) {
	case trying:
		r.tried = cmp.Or(r.tried, d)
		return false
	case paused:
		r.paused = append(r.paused, d)
		return false
	}
	return true
}

// ask asks a deployment and notes its failure.
func (r *round) ask(ctx context.Context, d *deployment) (*answer, error) {
	d.retries.earn()
	entered := time.Now()
	got, err := d.try(ctx, r.call)
	if err != nil {
		d.note(err, entered, time.Now())
		r.fails(d, err)
		return nil, err
	}
	got.from, got.entered = d, entered
	return got, nil
}

// fails notes an error for the round. Of several that ask for time, the caller is
// told the shortest.
func (r *round) fails(d *deployment, err error) {
	r.last = failure{d, err}
	switch {
	case r.failed == nil:
		r.failed = err
	case lacking(err), throttled(err) && throttled(r.failed) && wish(r.failed) <= wish(err):
	default:
		r.failed = err
	}
}

// none is what comes of a round in which nobody answered. A deployment that
// another call is trying is asked all the same, as that may take as long as a model
// thinks. The caller is told of a missing deployment only if there is no other.
func (r *round) none(ctx context.Context) (*answer, error) {
	if lacking(r.failed) && (r.tried != nil || r.paused != nil) {
		r.failed = nil
	}
	switch {
	case r.failed == nil && r.tried != nil:
		d := r.tried
		r.tried = nil
		return r.ask(ctx, d)
	case r.failed == nil:
		return nil, r.unavailable(maxPause)
	case throttled(r.failed):
		if busy := r.unavailable(wish(r.failed)); busy.RetryAfter < wish(r.failed) {
			return nil, busy
		}
	}
	return nil, r.failed
}

// unavailable says when the first deployment will be tried again, within a time.
func (r *round) unavailable(within time.Duration) *UnavailableError {
	now, busy := time.Now(), &UnavailableError{RetryAfter: within, Throttled: throttled(r.failed)}
	for _, d := range r.paused {
		wait, throttled := d.pause(now)
		busy.RetryAfter = max(min(busy.RetryAfter, wait), time.Second)
		busy.Throttled = busy.Throttled || throttled
	}
	return busy
}

// answer is an answer that has begun.
type answer struct {
	*http.Response
	from    *deployment
	entered time.Time // when the deployment was asked
	secret  string    // the credential that it was sent
	pump    *pump     // reads the body of a call that goes on when ctx ends; else nil
}
