package gateway

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Reading GET /usage is free for its caller and costs table operations, more the
// longer the span and the more counters the counter key makes. A page of the
// console asks every few seconds.
const (
	askingPerSecond = 20
	askingAtOnce    = 100
	// askersKept bounds the subscriptions that are remembered.
	askersKept = 10_000
)

// asking bounds how often each subscription asks an instance for its usage.
type asking struct {
	mu       sync.Mutex
	limiters map[string]*rate.Limiter // by subscription
}

// allow returns errAsking where a subscription has asked too often.
func (a *asking) allow(subscription string, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	limiter := a.limiters[subscription]
	if limiter == nil {
		if len(a.limiters) >= askersKept { // forget those who could ask as often as anyone new
			maps.DeleteFunc(a.limiters, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= askingAtOnce })
		}
		if a.limiters == nil || len(a.limiters) >= askersKept {
			a.limiters = make(map[string]*rate.Limiter)
		}
		limiter = rate.NewLimiter(askingPerSecond, askingAtOnce)
		a.limiters[subscription] = limiter
	}
	if !limiter.AllowN(now, 1) {
		return errAsking
	}
	return nil
}

var errAsking = &problem{status: http.StatusTooManyRequests, code: "usage_asked_too_often", kind: kindRequest, retry: time.Second,
	message: "This subscription asks for its usage too often. Try again in 1 second."}
