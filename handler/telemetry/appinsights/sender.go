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

// A sender sends the queue's payloads, one at a time.
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
	accepted int64 // requests that the service accepted
	failures int   // consecutive requests that it didn't accept
}

const (
	// attemptTimeout bounds one request, including its token and redirects.
	attemptTimeout = 30 * time.Second
	// minWait is the first pause; it doubles with each failure up to maxWait.
	minWait, maxWait = time.Second, time.Minute
	// maxRetryAfter is the longest Retry-After that is honoured.
	maxRetryAfter = 10 * time.Minute
	// manyFailures in a row mean that the service refuses everything. From then on
	// payloads aren't split to find the item at fault.
	manyFailures = 10
	// maxBlame is the number of times that a payload may fail, apparently by the service's
	// fault, while others are accepted. After that the payload counts as at fault.
	maxBlame = 20
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
		}
	}
	s.queue = newQueue(config.QueueBytes, func(p payload) { s.losses.lose(lostOutage, p) })
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

// deliver sends a payload once, and queues whatever was not accepted for a retry.
func (s *sender) deliver(p payload) {
	if s.ctx.Err() != nil {
		s.losses.lose(lostShutdown, p)
		return
	}
	a := s.post(p)
	switch a.outcome {
	case processed:
		s.handleProcessed(p, a)
	case tooLarge:
		s.split(p, a)
	default:
		s.handleFailure(p, a)
	}
}

// handleProcessed handles a payload whose items the service accepted or rejected one by
// one.
func (s *sender) handleProcessed(p payload, a answer) {
	if len(a.rejected) > 0 {
		s.losses.reject(len(a.rejected), p.at, a.fault)
	}
	if len(a.rejected)+len(a.retryable) < p.items {
		s.accepted++
		s.failures = 0
		s.losses.logRecovery()
	}
	if len(a.retryable) == 0 {
		return
	}
	lines, err := p.lines()
	if err != nil { // can't happen: the payload was packed here
		s.losses.reject(len(a.retryable), p.at, err.Error())
		return
	}
	var again [][]byte
	for _, index := range a.retryable {
		if index < len(lines) {
			again = append(again, lines[index])
		}
	}
	a.outcome, a.fault, a.fix = unavailable, "it defers items", noFix
	s.handleFailure(p.part(again), a)
}

// split queues the halves of a payload, or drops its only item.
func (s *sender) split(p payload, a answer) {
	if p.items == 1 {
		s.losses.reject(1, p.at, a.fault)
		return
	}
	halves, err := p.halves()
	if err != nil { // can't happen: the payload was packed here
		s.losses.reject(p.items, p.at, err.Error())
		return
	}
	for _, half := range halves {
		s.queue.putRetry(half)
	}
}

// handleFailure handles a payload that was not accepted. Either the payload or the service
// is at fault. If the service accepts others, the payload is: it is split, down to the
// items at fault, which are dropped. While the service accepts nothing, nothing is
// dropped.
func (s *sender) handleFailure(p payload, a answer) {
	s.failures++
	proven := p.failed && s.accepted > p.accepted
	p.failed, p.accepted, p.retryAt = true, s.accepted, time.Now()
	if proven && a.outcome != throttled {
		p.blamed++
	}
	switch {
	case a.outcome == refused && proven, p.blamed >= maxBlame:
		p.accepted-- // the halves, too, have failed while others were accepted
		s.split(p, a)
		return
	case a.outcome == refused && p.items > 1 && s.failures < manyFailures:
		s.split(p, a)
		return
	}
	failures := s.failures
	if a.outcome == refused {
		failures -= manyFailures - 1 // before that don't pause: another payload may be accepted
	}
	pause := max(backoff(failures), min(a.retryAfter, maxRetryAfter))
	p.retryAt = p.retryAt.Add(pause)
	if a.slow {
		p.retryAt = time.Now().Add(maxWait)
	}
	s.queue.putRetry(p)
	cutShort := s.ctx.Err() != nil
	if !cutShort && (pause > 0 || !s.queue.hasDue(s.accepted)) {
		s.losses.warn(a)
	}
	s.pause(pause)
}

// backoff returns the pause after a number of failures in a row.
func backoff(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	wait := min(maxWait, minWait<<min(failures-1, 6))
	return wait/2 + rand.N(wait/2+1)
}

// pause waits for a time, or until the sender is stopped.
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

// post sends a payload once, following redirects.
func (s *sender) post(p payload) answer {
	ctx, cancel := context.WithTimeout(s.ctx, attemptTimeout)
	defer cancel()
	address := s.route.address(time.Now())
	for range maxRedirects + 1 {
		response, body, problem := s.request(ctx, address, p)
		if problem != nil {
			s.route.forget()
			return *problem
		}
		if !isRedirect(response.StatusCode) {
			a := read(response, body, p.items, s.token != nil)
			return s.checkRedirected(address, a)
		}
		target, err := s.route.target(address, response.Header.Get("Location"))
		if err != nil {
			s.route.forget()
			return answer{outcome: unavailable, slow: true, status: response.StatusCode, fault: err.Error(), fix: remedy(response.StatusCode, false)}
		}
		s.route.remember(target, maxAge(response.Header), time.Now())
		address = target
	}
	s.route.forget()
	return answer{outcome: unavailable, slow: true, fault: fmt.Sprintf("it redirects more than %d times", maxRedirects), fix: remedy(0, false)}
}

// checkRedirected forgets a redirect whose target doesn't accept telemetry, and
// explains a target that needs a token.
func (s *sender) checkRedirected(address *url.URL, a answer) answer {
	if a.outcome == processed || a.outcome == tooLarge || a.outcome == throttled || address == s.route.configured {
		return a
	}
	s.route.forget() // the service may have moved again
	if s.token != nil && !s.route.mayHaveToken(address) && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden) {
		a.fault = fmt.Sprintf("it redirects to %s, which requires an Entra token, and tokens go only to the configured host", clip(address.Host))
		a.fix = "copy APPLICATIONINSIGHTS_CONNECTION_STRING again from the resource's overview page, or set its IngestionEndpoint to https://" + address.Host + "/"
	}
	return a
}

// request sends a payload to an address, and returns the response and its body. If there
// is none, it returns an answer with the fault instead.
func (s *sender) request(ctx context.Context, address *url.URL, p payload) (*http.Response, []byte, *answer) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(p.packed))
	if err != nil {
		return nil, nil, &answer{outcome: unavailable, slow: true, fault: err.Error()}
	}
	request.Header.Set("Content-Type", "application/x-json-stream")
	request.Header.Set("Content-Encoding", "gzip")
	if s.token != nil && s.route.mayHaveToken(address) {
		token, err := s.token(ctx)
		if err != nil {
			return nil, nil, &answer{outcome: unavailable, fault: "no Entra token: " + err.Error(),
				fix: "check the ClientId of APPLICATIONINSIGHTS_AUTHENTICATION_STRING, and that the app has this identity"}
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return nil, nil, &answer{outcome: unavailable, fault: "the endpoint does not answer: " + err.Error(),
			fix: "check IngestionEndpoint in APPLICATIONINSIGHTS_CONNECTION_STRING, and the network"}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, nil, &answer{outcome: unavailable, fault: "the answer broke off: " + err.Error(), fix: noFix}
	}
	return response, body, nil
}

// close sends the queue until ctx is done, and then drops the rest.
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
		return errors.Join(ctx.Err(), fmt.Errorf("%d telemetry items were not sent", items))
	}
	return nil
}
