package upstream

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// tripAfter is how many failures in a row shut a deployment; shutFor is how long
	// it stays shut before one call may try again.
	tripAfter = 5
	shutFor   = 10 * time.Second
	// throttledFor is how long a deployment is left alone after a 429 that says no
	// time, and how soon another call may try it while one does; maxPause bounds the
	// time of one that does: Azure has been seen to ask for a day.
	throttledFor = time.Second
	maxPause     = 5 * time.Minute
)

// deployment is one model at an endpoint. What it answers says nothing of the
// endpoint's other models, so that its state and its connections are its own.
type deployment struct {
	*endpoint
	model     Model // as the endpoint knows it
	address   *url.URL
	transport *http.Transport
	retries   budget

	mu        sync.Mutex
	failures  int       // in a row
	until     time.Time // it is to be left alone until then
	began     time.Time // when that began
	throttled bool      // by its own wish, with a 429
	tried     bool      // only because a call is finding out whether it works again
}

// newDeployment makes a deployment ready.
func newDeployment(e *endpoint, model Model, transport *http.Transport) *deployment {
	return &deployment{endpoint: e, model: model, address: e.address(model.Name), transport: transport, retries: newBudget()}
}

// room says whether a deployment takes a call.
type room int

const (
	free   room = iota // it does
	trying             // another call is finding out whether it works again
	paused             // it is to be left alone
)

// enter asks whether a call may go to the deployment. After a pause one call may;
// the others have to wait until it is answered, or for another pause.
func (d *deployment) enter(now time.Time) room {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case now.Before(d.until) && d.tried && !d.throttled:
		return trying
	case now.Before(d.until):
		return paused
	case d.throttled:
		d.until, d.tried = now.Add(throttledFor), true
	case d.failures >= tripAfter:
		d.until, d.tried = now.Add(shutFor), true
	}
	return free
}

// pause is for how long the deployment is still to be left alone, and whether by
// its own wish.
func (d *deployment) pause(now time.Time) (wait time.Duration, throttled bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.until.Sub(now), d.throttled
}

// note takes how a call that entered at a time has ended: nil is an answer. Of a
// call that entered before the pause began, an answer doesn't end the pause.
func (d *deployment) note(err error, entered, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := wish(err)
	switch {
	case throttled(err):
		d.throttled = true
	case aside(err):
		return
	case failing(err):
		d.throttled = d.throttled && !d.tried && now.Before(d.until)
		if d.failures++; d.failures >= tripAfter {
			wait = max(wait, shutFor)
		}
	default:
		if !entered.Before(d.began) {
			d.failures, d.until, d.throttled, d.tried = 0, time.Time{}, false, false
		}
		return
	}
	if until := now.Add(min(wait, maxPause)); wait > 0 && until.After(d.until) {
		d.until, d.began = until, now
	}
	d.tried = false
}

// wish is how long upstream asks to be left alone; 0: it doesn't.
func wish(err error) time.Duration {
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
