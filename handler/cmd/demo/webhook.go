package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/alert"
	"tollgate/handler/secret"
)

// A webhook receives the gateway's alerts on this machine.
type webhook struct {
	secret secret.Text
	server *http.Server
	alerts chan alert.Alert
}

// maxAlerts is more alerts than a demo causes.
const maxAlerts = 16

// startWebhook starts a receiver of alerts, and returns the gateway's settings for it.
func (s *setup) startWebhook() (settings []string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the receiver of alerts: %w", err)
	}
	s.hook = &webhook{secret: secret.New(rand.Text() + rand.Text()), alerts: make(chan alert.Alert, maxAlerts)}
	s.hook.server = &http.Server{Handler: s.hook, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.hook.server.Serve(listener) }() // ends with Close
	return []string{"ALERT_WEBHOOK_URL=http://" + listener.Addr().String(), "ALERT_WEBHOOK_SECRET=" + s.hook.secret.Reveal()}, nil
}

// ServeHTTP accepts an alert with a valid signature.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	signature := r.Header.Get(alert.HeaderSignature)
	stamp, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	seconds, _ := strconv.ParseInt(stamp, 10, 64)
	if err != nil || signature != alert.Sign(h.secret, time.Unix(seconds, 0), body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var received alert.Alert
	if err := json.Unmarshal(body, &received); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	select {
	case h.alerts <- received:
	default:
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// next waits for the next alert, for a limited time.
func (h *webhook) next(ctx context.Context, atMost time.Duration) (alert.Alert, error) {
	select {
	case received := <-h.alerts:
		return received, nil
	case <-time.After(atMost):
		return alert.Alert{}, fmt.Errorf("no alert came within %s; the gateway's log is .local/handler.log", atMost)
	case <-ctx.Done():
		return alert.Alert{}, ctx.Err()
	}
}
