package upstream

import (
	"cmp"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	// maxFailures failures in a row pause a deployment for pauseFor. Then one call may
	// test it.
	maxFailures = 5
	pauseFor    = 10 * time.Second
	// throttledFor is the pause after a 429 without Retry-After, and the time between the
	// calls that test a deployment after a 429. maxPause is the longest pause that is
	// kept: Azure has been seen to ask for a day.
	throttledFor = time.Second
	maxPause     = 5 * time.Minute
)

// deployment is one model at an endpoint. It has its own state and connections,
// because its failures say nothing about the endpoint's other models.
type deployment struct {
	*validEndpoint
	model     Model // by the endpoint's own name
	transport *http.Transport
	retries   budget

	mu          sync.Mutex
	failures    int // in a row
	pausedUntil time.Time
	pausedAt    time.Time // when the pause began
	throttled   bool      // a 429 asked for the pause
	probing     bool      // one call is testing whether it works again; the pause keeps others away meanwhile
}

// newDeployment returns a deployment without failures.
func newDeployment(e *validEndpoint, model Model, transport *http.Transport) *deployment {
	return &deployment{validEndpoint: e, model: model, transport: transport, retries: newBudget()}
}

// admission is the decision whether a call may go to a deployment.
type admission int

const (
	admitted    admission = iota
	beingProbed           // no: another call is testing whether the deployment works again
	paused                // no: it is paused
)

// admit decides whether a call may go to the deployment. After a pause one call may, to
// test it. The others may not until that call is answered, or another pause has passed.
func (d *deployment) admit(now time.Time) admission {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case now.Before(d.pausedUntil) && d.probing && !d.throttled:
		return beingProbed
	case now.Before(d.pausedUntil):
		return paused
	case d.throttled:
		d.pausedUntil, d.probing = now.Add(throttledFor), true
	case d.failures >= maxFailures:
		d.pausedUntil, d.probing = now.Add(pauseFor), true
	}
	return admitted
}

// pause returns the time left of the deployment's pause, and whether a 429 asked
// for it.
func (d *deployment) pause(now time.Time) (wait time.Duration, throttled bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pausedUntil.Sub(now), d.throttled
}

// record records the outcome of a call that was sent at askedAt. A nil error means an
// answer, which ends the pause unless the call was sent before the pause began.
func (d *deployment) record(err error, askedAt, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := requestedPause(err)
	switch {
	case throttled(err):
		d.throttled = true
	case neutral(err):
		return
	case failing(err):
		d.throttled = d.throttled && !d.probing && now.Before(d.pausedUntil)
		if d.failures++; d.failures >= maxFailures {
			wait = max(wait, pauseFor)
		}
	default:
		if !askedAt.Before(d.pausedAt) {
			d.failures, d.pausedUntil, d.throttled, d.probing = 0, time.Time{}, false, false
		}
		return
	}
	if until := now.Add(min(wait, maxPause)); wait > 0 && until.After(d.pausedUntil) {
		d.pausedUntil, d.pausedAt = until, now
	}
	d.probing = false
}

// requestedPause returns the pause that upstream's answer asks for; 0 means none.
func requestedPause(err error) time.Duration {
	refused, ok := errors.AsType[*StatusError](err)
	switch {
	case !ok:
		return 0
	case throttled(err):
		return cmp.Or(refused.RetryAfter, throttledFor)
	case refused.Status == http.StatusServiceUnavailable:
		return refused.RetryAfter
	}
	return 0
}
