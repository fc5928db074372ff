package azure

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// RetryAfter returns how long a service asks to wait before the next request, at most a year.
// It reads Retry-After-Ms, which Azure OpenAI sends, or else Retry-After in seconds or as a
// date. It returns 0 if neither has a time.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return atMostAYear(ms, time.Millisecond)
	}
	after := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(after, 64); err == nil && s > 0 {
		return atMostAYear(s, time.Second)
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

func atMostAYear(n float64, unit time.Duration) time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(math.Min(n*float64(unit), float64(year)))
}
