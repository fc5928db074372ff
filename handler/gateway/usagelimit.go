package gateway

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// GET /usage costs its caller nothing, but it costs table operations: more for a
// longer span and for each counter that the counter key makes. A page of the
// console reads it every few seconds.
const (
	usageReadsPerSecond = 20
	usageReadBurst      = 100
	// maxUsageReaders is the most subscriptions whose rate is remembered.
	maxUsageReaders = 10_000
)

// A usageLimiter limits how often each subscription reads its usage from this
// instance.
type usageLimiter struct {
	mu       sync.Mutex
	limiters map[string]*rate.Limiter // by subscription
}

// allow returns errUsageTooOften if the subscription reads its usage too often.
func (u *usageLimiter) allow(subscription string, now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	limiter := u.limiters[subscription]
	if limiter == nil {
		if len(u.limiters) >= maxUsageReaders { // a full limiter allows no less than a new one
			maps.DeleteFunc(u.limiters, func(_ string, l *rate.Limiter) bool { return l.TokensAt(now) >= usageReadBurst })
		}
		if u.limiters == nil || len(u.limiters) >= maxUsageReaders {
			u.limiters = make(map[string]*rate.Limiter)
		}
		limiter = rate.NewLimiter(usageReadsPerSecond, usageReadBurst)
		u.limiters[subscription] = limiter
	}
	if !limiter.AllowN(now, 1) {
		return errUsageTooOften
	}
	return nil
}

var errUsageTooOften = &problem{status: http.StatusTooManyRequests, code: "usage_asked_too_often", kind: kindRequest, retry: time.Second,
	message: "This subscription asks for its usage too often. Try again in 1 second."}
