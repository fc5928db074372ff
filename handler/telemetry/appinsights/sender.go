package appinsights

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"
)

// sender sends what the queue holds, one payload after the other.
type sender struct {
	route     route
	token     Token // nil: the instrumentation key is enough
	transport http.RoundTripper
	queue     *queue
	losses    *losses

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	// Used by the sending goroutine alone.
	accepted int64 // requests that the service took
	failures int   // requests in a row that it didn't
}

const (
	// attemptTimeout bounds one request, with its token and its redirects.
	attemptTimeout = 30 * time.Second
	// firstWait doubles with each failure up to longestWait.
	firstWait, longestWait = time.Second, time.Minute
	// longestAsked bounds what the service may ask for by Retry-After.
	longestAsked = 10 * time.Minute
	// manyFailures in a row mean that the service refuses everything. Then a
	// payload isn't split any more to find the item at fault.
	manyFailures = 10
	// muchBlame is how often a payload may fail for what seems the service's
	// fault while others are accepted; then the payload counts as the cause.
	muchBlame = 20
)

func newSender(config Config, address string) (*sender, error) {
	configured, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	s := &sender{route: route{configured: configured}, token: config.Token, transport: config.Transport,
		losses: newLosses(config.Log), done: make(chan struct{})}
	if s.transport == nil {
		s.transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConns:        2,
			IdleConnTimeout:     90 * time.Second,
			ForceAttemptHTTP2:   true,
		}
	}
	s.queue = newQueue(config.Room, func(p payload) { s.losses.lose(lostOutage, p) })
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s, nil
}

func (s *sender) run() {
	defer close(s.done)
	for {
		p, ok := s.queue.take(s.accepted, s.ctx.Done())
		if !ok {
			return
		}
		s.deliver(p)
	}
}

// deliver sends a payload once, and puts back what must be sent again.
func (s *sender) deliver(p payload) {
	if s.ctx.Err() != nil {
		s.losses.lose(lostShutdown, p)
		return
	}
	a := s.post(p)
	switch a.outcome {
	case taken:
		s.judged(p, a)
	case tooLarge:
		s.split(p, a)
	default:
		s.failed(p, a)
	}
}

// judged handles a payload whose items the service judged one by one.
func (s *sender) judged(p payload, a answer) {
	if len(a.rejected) > 0 {
		s.losses.reject(len(a.rejected), p.at, a.fault)
	}
	if len(a.rejected)+len(a.retryable) < p.items {
		s.accepted++
		s.failures = 0
		s.losses.well()
	}
	if len(a.retryable) == 0 {
		return
	}
	lines, err := p.lines()
	if err != nil { // it was packed here
		s.losses.reject(len(a.retryable), p.at, err.Error())
		return
	}
	var again [][]byte
	for _, index := range a.retryable {
		if index < len(lines) {
			again = append(again, lines[index])
		}
	}
	a.outcome, a.fault, a.fix = troubled, "it defers items", "none here: telemetry is kept and sent again"
	s.failed(p.of(again), a)
}

// split puts the halves of a payload in its place, or gives up its only item.
func (s *sender) split(p payload, a answer) {
	if p.items == 1 {
		s.losses.reject(1, p.at, a.fault)
		return
	}
	halves, err := p.halves()
	if err != nil { // it was packed here
		s.losses.reject(p.items, p.at, err.Error())
		return
	}
	for _, half := range halves {
		s.queue.putAside(half)
	}
}

// failed handles a payload that was not taken. Whether the payload or the
// service is to blame shows when the service accepts another one: then a
// payload that fails again is split, down to the items at fault, and those are
// given up. While the service accepts nothing, nothing is given up.
func (s *sender) failed(p payload, a answer) {
	s.failures++
	proven := p.failed && s.accepted > p.accepted
	p.failed, p.accepted, p.again = true, s.accepted, time.Now()
	if proven && a.outcome != throttled {
		p.blamed++
	}
	switch {
	case a.outcome == refused && proven, p.blamed >= muchBlame:
		p.accepted-- // the proof holds for the halves
		s.split(p, a)
		return
	case a.outcome == refused && p.items > 1 && s.failures < manyFailures:
		s.split(p, a)
		return
	}
	failures := s.failures
	if a.outcome == refused {
		failures -= manyFailures - 1 // until then don't pause: another payload may pass
	}
	pause := max(backoff(failures), min(a.after, longestAsked))
	p.again = p.again.Add(pause)
	if a.slow {
		p.again = time.Now().Add(longestWait)
	}
	s.queue.putAside(p)
	cutShort := s.ctx.Err() != nil
	if !cutShort && (pause > 0 || !s.queue.hasDue(s.accepted)) {
		s.losses.say(a)
	}
	s.pause(pause)
}

// backoff is how long to send nothing after so many failures in a row.
func backoff(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	wait := min(longestWait, firstWait<<min(failures-1, 6))
	return wait/2 + rand.N(wait/2+1)
}

// pause sends nothing for a time, or until the sender is stopped.
func (s *sender) pause(wait time.Duration) {
	if wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// post sends a payload once, and again wherever the service redirects it.
func (s *sender) post(p payload) answer {
	ctx, cancel := context.WithTimeout(s.ctx, attemptTimeout)
	defer cancel()
	address := s.route.address(time.Now())
	for range mostRedirects + 1 {
		response, body, problem := s.request(ctx, address, p)
		if problem != nil {
			s.route.forget()
			return *problem
		}
		if !isRedirect(response.StatusCode) {
			a := read(response, body, p.items, s.token != nil)
			return s.elsewhere(address, a)
		}
		target, err := s.route.target(address, response.Header.Get("Location"))
		if err != nil {
			s.route.forget()
			return answer{outcome: troubled, slow: true, status: response.StatusCode, fault: err.Error(), fix: remedy(response.StatusCode, false)}
		}
		s.route.remember(target, maxAge(response.Header), time.Now())
		address = target
	}
	s.route.forget()
	return answer{outcome: troubled, slow: true, fault: fmt.Sprintf("it redirects more than %d times", mostRedirects), fix: remedy(0, false)}
}

// elsewhere completes an answer that came from where a redirect led.
func (s *sender) elsewhere(address *url.URL, a answer) answer {
	if a.outcome == taken || a.outcome == tooLarge || a.outcome == throttled || address == s.route.configured {
		return a
	}
	s.route.forget() // it may have moved on
	if s.token != nil && !s.route.mayHaveToken(address) && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden) {
		a.fault = fmt.Sprintf("it redirects to %s, which wants an Entra token, and tokens go to the configured host alone", clip(address.Host))
		a.fix = "copy APPLICATIONINSIGHTS_CONNECTION_STRING anew from the resource's overview page, or set its IngestionEndpoint to https://" + address.Host + "/"
	}
	return a
}

// request sends a payload to an address. The answer says what went wrong
// before there was a response; nil: there is one.
func (s *sender) request(ctx context.Context, address *url.URL, p payload) (*http.Response, []byte, *answer) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(p.packed))
	if err != nil {
		return nil, nil, &answer{outcome: troubled, slow: true, fault: err.Error()}
	}
	request.Header.Set("Content-Type", "application/x-json-stream")
	request.Header.Set("Content-Encoding", "gzip")
	if s.token != nil && s.route.mayHaveToken(address) {
		token, err := s.token(ctx)
		if err != nil {
			return nil, nil, &answer{outcome: troubled, fault: "no Entra token: " + err.Error(),
				fix: "check the ClientId of APPLICATIONINSIGHTS_AUTHENTICATION_STRING, and that the app has that identity"}
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return nil, nil, &answer{outcome: troubled, fault: "the endpoint does not answer: " + err.Error(),
			fix: "check IngestionEndpoint in APPLICATIONINSIGHTS_CONNECTION_STRING, and the network"}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, nil, &answer{outcome: troubled, fault: "the answer broke off: " + err.Error(), fix: "none here: telemetry is kept and sent again"}
	}
	return response, body, nil
}

// close sends what is queued until ctx is done; then it gives up the rest.
func (s *sender) close(ctx context.Context) error {
	s.queue.close()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.cancel()
		<-s.done
	}
	s.cancel()
	if closer, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
	if items := s.losses.dropped()[lostShutdown]; items > 0 {
		return errors.Join(ctx.Err(), fmt.Errorf("%d telemetry items were not sent before the end", items))
	}
	return nil
}
