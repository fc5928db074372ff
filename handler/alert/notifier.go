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

// Events receives the event of each alert. Event must not block.
type Events interface{ Event(telemetry.Event) }

// A Config configures a Notifier. Log is required.
type Config struct {
	Log *slog.Logger
	// Events receives the alerts' events; nil: telemetry is off.
	Events Events
	// Webhook gets the alerts; the zero Webhook gets none.
	Webhook Webhook
	// Transport replaces the webhook's connections.
	Transport http.RoundTripper
}

const (
	// maxQueued is how many alerts may wait for the webhook, about 500 bytes each.
	maxQueued = 256
	// maxAttempts and maxAge bound the attempts to deliver an alert. Beyond maxAge, which
	// counts from the alert, it gets only its first attempt.
	maxAttempts = 8
	maxAge      = 10 * time.Minute
	// minPause is the pause after the first failed attempt. It doubles with each, up to
	// maxPause, which also bounds a Retry-After.
	minPause, maxPause = time.Second, time.Minute
)

// A Notifier tells alerts to the log, telemetry and the webhook. Make one with New.
type Notifier struct {
	config Config
	ctx    context.Context // ends the attempts
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	queue   chan Alert    // for the webhook; nil: there is none
	closing chan struct{} // closed once alerts get only one attempt more
	done    chan struct{} // closed once the queue is empty
	lost    atomic.Int64
}

// New returns a notifier and starts to deliver to the webhook. It makes no call itself.
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

// Notify tells an alert. It writes the log line and the event; the webhook is called later,
// by another goroutine. It never waits for the network.
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
		n.lose(&a, errors.New("the process stops"))
		return
	}
	select {
	case n.queue <- a:
	default:
		n.lose(&a, fmt.Errorf("%d alerts wait already", maxQueued))
	}
}

// lose counts and logs an alert that the webhook doesn't get.
func (n *Notifier) lose(a *Alert, cause error) {
	n.config.Log.Error("an alert was not delivered to ALERT_WEBHOOK_URL", "id", a.ID, "limit", a.Limit, "percent", a.Percent, "lost", n.lost.Add(1), "cause", cause.Error())
}

func (n *Notifier) run() {
	defer close(n.done)
	for a := range n.queue {
		if err := n.deliver(&a); err != nil {
			n.lose(&a, err)
		}
	}
}

// deliver posts an alert until the webhook takes it. Its error is that of the last attempt.
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

// pauseAfter returns the pause after a failed attempt: what the webhook asked for, or a time
// that doubles, of which a random half is left out.
func pauseAfter(attempt int, asked time.Duration) time.Duration {
	usual := min(minPause<<(attempt-1), maxPause)
	return min(cmp.Or(asked, usual/2+rand.N(usual/2)), maxPause)
}

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

// Close makes one more attempt for each alert that waits, until ctx is done. Alerts that
// are raised later go to the log and telemetry only.
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
