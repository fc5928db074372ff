package alert

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/telemetry"
)

// Events receives an event for each alert. Event must not block.
type Events interface{ Event(telemetry.Event) }

// A Config configures a Notifier. Log is required.
type Config struct {
	// Log receives a line for each alert.
	Log *slog.Logger
	// Events receives the alerts' events; nil for none.
	Events Events
	// Webhook receives the alerts; the zero Webhook receives none.
	Webhook Webhook
	// Transport makes the requests to the webhook; nil: over the network.
	Transport http.RoundTripper
}

const (
	// maxQueued is the most alerts that wait for the webhook, at about 500 bytes each.
	maxQueued = 256
	// maxAttempts and maxAge, counted from when it was raised, bound the attempts to deliver
	// an alert. An older one gets only its first attempt.
	maxAttempts = 8
	maxAge      = 10 * time.Minute
	// minPause is the pause after the first failed attempt. It doubles with each, up to
	// maxPause, which also bounds a Retry-After.
	minPause, maxPause = time.Second, time.Minute
)

// A Notifier sends alerts to the log, telemetry and the webhook. Make one with New.
type Notifier struct {
	config Config
	ctx    context.Context // ends the attempts
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	queue   chan Alert    // for the webhook; nil without one
	closing chan struct{} // closed once each alert gets only one more attempt
	done    chan struct{} // closed once the queue is closed and empty
	lost    atomic.Int64
}

// New returns a notifier and starts the goroutine that posts to the webhook. It posts
// nothing itself.
func New(config Config) *Notifier {
	n := &Notifier{config: config, closing: make(chan struct{}), done: make(chan struct{})}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if config.Webhook.URL.Empty() {
		close(n.done)
		return n
	}
	if n.config.Transport == nil {
		n.config.Transport = newTransport()
	}
	n.queue = make(chan Alert, maxQueued)
	go n.run()
	return n
}

// Notify logs an alert, sends its event, and queues it for the webhook. It never waits for
// the network.
func (n *Notifier) Notify(raised counter.Alert) {
	a := alertOf(raised, time.Now())
	n.config.Log.LogAttrs(context.Background(), slog.LevelWarn, "limit threshold", a.attrs()...)
	if n.config.Events != nil {
		n.config.Events.Event(a.event())
	}
	if n.queue == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		n.giveUp(&a, errors.New("the process is stopping"))
		return
	}
	select {
	case n.queue <- a:
	default:
		n.giveUp(&a, fmt.Errorf("%d alerts are waiting already", maxQueued))
	}
}

// giveUp logs an alert that is not delivered to the webhook, and counts it.
func (n *Notifier) giveUp(a *Alert, cause error) {
	n.config.Log.Error("an alert was not delivered to ALERT_WEBHOOK_URL", "id", a.ID, "limit", a.Limit, "percent", a.Percent, "lost", n.lost.Add(1), "cause", cause.Error())
}

// run delivers the queued alerts, one after the other.
func (n *Notifier) run() {
	defer close(n.done)
	for a := range n.queue {
		if err := n.deliver(&a); err != nil {
			n.giveUp(&a, err)
		}
	}
}

// deliver posts an alert until the webhook accepts it. It returns the last attempt's error.
func (n *Notifier) deliver(a *Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		last := n.isClosing()
		failed := n.config.Webhook.post(n.ctx, n.config.Transport, body)
		if failed == nil {
			return nil
		}
		pause := pauseAfter(attempt, failed.wait)
		if last || failed.final || attempt == maxAttempts || n.ctx.Err() != nil || time.Since(a.At)+pause > maxAge {
			return fmt.Errorf("attempt %d: %w", attempt, failed.cause)
		}
		n.pause(pause)
	}
}

// pauseAfter returns the pause after a failed attempt: the webhook's Retry-After or, if that
// is 0, half to all of a time that doubles with each attempt.
func pauseAfter(attempt int, retryAfter time.Duration) time.Duration {
	longest := min(minPause<<(attempt-1), maxPause)
	return min(cmp.Or(retryAfter, longest/2+rand.N(longest/2)), maxPause)
}

// isClosing reports whether Close was called.
func (n *Notifier) isClosing() bool {
	select {
	case <-n.closing:
		return true
	default:
		return false
	}
}

// pause waits for a time, or until the notifier closes.
func (n *Notifier) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.closing:
	}
}

// Close makes one more attempt for each queued alert, until ctx is done. Alerts that are
// raised later go only to the log and telemetry.
func (n *Notifier) Close(ctx context.Context) {
	n.mu.Lock()
	if !n.closed && n.queue != nil {
		close(n.closing)
		close(n.queue)
	}
	n.closed = true
	n.mu.Unlock()
	select {
	case <-n.done:
	case <-ctx.Done():
	}
	n.cancel()
	<-n.done // doesn't block for long: attempts end with n.ctx
}
