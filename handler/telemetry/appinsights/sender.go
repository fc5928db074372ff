package appinsights

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// sender sends what the queue holds, one payload after the other.
type sender struct {
	address   string
	token     Token // nil: the instrumentation key is enough
	transport http.RoundTripper
	log       *slog.Logger
	queue     *queue

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	dropped map[string]int64 // items, by reason
	gap     gap
	said    map[string]bool // the kinds of trouble since all was well
}

// gap is what an outage cost: items, and of when the first and the last were.
type gap struct {
	items    int64
	from, to time.Time
}

// Reasons for which items are lost, as the metric Telemetry Dropped names them.
const (
	lostOutage   = "outage"   // no room was left before the service was back
	lostRejected = "rejected" // the service took the rest and not these
	lostShutdown = "shutdown" // the process ended first
)

const (
	// attemptTimeout bounds one request, its token included.
	attemptTimeout = 30 * time.Second
	// firstWait doubles with each failure up to longestWait.
	firstWait, longestWait = time.Second, time.Minute
	// longestAsked bounds what the service may ask for by Retry-After.
	longestAsked = 10 * time.Minute
)

func newSender(config Config, address string) *sender {
	s := &sender{address: address, token: config.Token, transport: config.Transport, log: config.Log,
		done: make(chan struct{}), dropped: make(map[string]int64), said: make(map[string]bool)}
	if s.transport == nil {
		s.transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConns:        2,
			IdleConnTimeout:     90 * time.Second,
			ForceAttemptHTTP2:   true,
		}
	}
	s.queue = newQueue(config.Room, func(p payload) { s.lose(lostOutage, p) })
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s
}

func (s *sender) run() {
	defer close(s.done)
	for {
		p, ok := s.queue.take()
		if !ok {
			return
		}
		s.deliver(p)
	}
}

// deliver sends one payload as often as it takes, until the sender is stopped.
func (s *sender) deliver(p payload) {
	for tries := 0; p.items > 0; tries++ {
		if s.ctx.Err() != nil {
			s.lose(lostShutdown, p)
			return
		}
		answer := s.post(p)
		switch {
		case answer.fault == "":
			s.well()
		case s.ctx.Err() == nil: // else the request was cut short here
			s.say(answer)
		}
		if p = s.rest(p, answer); p.items == 0 {
			return
		}
		wait := min(longestWait, firstWait<<min(tries, 6))
		wait = wait/2 + rand.N(wait/2+1)
		if answer.slow {
			wait = longestWait
		}
		timer := time.NewTimer(max(wait, min(answer.after, longestAsked)))
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
		}
	}
}

// rest is what of a payload must be sent again.
func (s *sender) rest(p payload, a answer) payload {
	switch {
	case a.again == all:
		return p
	case a.again == none && len(a.rejected) == 0:
		return payload{}
	}
	lines, err := p.lines()
	if err != nil { // it was packed here
		s.lose(lostRejected, p)
		return payload{}
	}
	var again [][]byte
	for _, index := range a.retryable {
		if index < len(lines) {
			again = append(again, lines[index])
		}
	}
	s.lose(lostRejected, payload{items: len(a.rejected), at: p.at})
	return pack(again, p.at)
}

// post sends a payload once.
func (s *sender) post(p payload) answer {
	ctx, cancel := context.WithTimeout(s.ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address, bytes.NewReader(p.packed))
	if err != nil {
		return answer{again: all, slow: true, fault: err.Error()}
	}
	request.Header.Set("Content-Type", "application/x-json-stream")
	request.Header.Set("Content-Encoding", "gzip")
	if s.token != nil {
		token, err := s.token(ctx)
		if err != nil {
			return answer{again: all, fault: "no Entra token: " + err.Error(),
				fix: "check the ClientId of APPLICATIONINSIGHTS_AUTHENTICATION_STRING, and that the app has that identity"}
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.transport.RoundTrip(request)
	if err != nil {
		return answer{again: all, fault: "the endpoint does not answer: " + err.Error(), fix: "check IngestionEndpoint in APPLICATIONINSIGHTS_CONNECTION_STRING, and the network"}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return answer{again: all, fault: "the answer broke off: " + err.Error()}
	}
	return read(response, body, p.items, s.token != nil)
}

// say logs a trouble once, however long it lasts and whatever comes between.
func (s *sender) say(a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := a.kind()
	if s.said[kind] {
		return
	}
	s.said[kind] = true
	s.log.Warn("Application Insights does not take telemetry", "cause", a.fault, "fix", a.fix)
}

// well logs the end of a trouble, with what it cost.
func (s *sender) well() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.said) == 0 {
		return
	}
	attrs := []any{"dropped_items", s.gap.items}
	if s.gap.items > 0 {
		attrs = append(attrs, "replay", fmt.Sprintf("tollgate metrics replay --from %s --to %s",
			s.gap.from.UTC().Truncate(time.Minute).Format(time.RFC3339), s.gap.to.UTC().Truncate(time.Minute).Add(time.Minute).Format(time.RFC3339)))
	}
	s.log.Info("Application Insights takes telemetry again", attrs...)
	clear(s.said)
	s.gap = gap{}
}

// lose counts items that will never arrive.
func (s *sender) lose(reason string, p payload) {
	if p.items == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped[reason] += int64(p.items)
	if reason == lostOutage {
		if s.gap.items == 0 || p.at.Before(s.gap.from) {
			s.gap.from = p.at
		}
		if s.gap.items == 0 || p.at.After(s.gap.to) {
			s.gap.to = p.at
		}
		s.gap.items += int64(p.items)
	}
}

// lost is how many items were lost, by reason.
func (s *sender) lost() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := make(map[string]int64, len(s.dropped))
	for reason, items := range s.dropped {
		lost[reason] = items
	}
	return lost
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
	if items := s.lost()[lostShutdown]; items > 0 {
		return errors.Join(ctx.Err(), fmt.Errorf("%d telemetry items were not sent before the end", items))
	}
	return nil
}
