package upstream

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// header returns the headers of a request, built from scratch: none of the caller's
// keys, cookies or addresses gets into it, nor anything a proxy might act on. It
// asks for identity encoding, as usage can't be read in a compressed answer.
func (c *Call) header(to Shape) http.Header {
	h := http.Header{"Content-Type": jsonType, "Accept": jsonType, "Accept-Encoding": identity, "User-Agent": tollgate}
	if c.Stream {
		h["Accept"] = streamType
	}
	if c.RequestID != "" {
		h["X-Request-Id"] = []string{c.RequestID}
	}
	if isTraceparent(c.Traceparent) {
		h["Traceparent"] = []string{c.Traceparent}
	}
	if c.ExtraParameters != "" && to == Models {
		h["Extra-Parameters"] = []string{c.ExtraParameters}
	}
	return h
}

// Values that all calls share: don't change them.
var (
	jsonType   = []string{"application/json"}
	streamType = []string{"text/event-stream"}
	identity   = []string{"identity"}
	tollgate   = []string{"tollgate"}
)

// isTraceparent is whether a caller's traceparent is one, of version 00.
// Source: https://www.w3.org/TR/trace-context/#traceparent-header
func isTraceparent(value string) bool {
	parts := strings.Split(value, "-")
	if len(parts) != 4 || parts[0] != "00" {
		return false
	}
	for i, digits := range []int{2, 32, 16, 2} {
		if len(parts[i]) != digits || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return false
		}
	}
	return true
}

// visibleHeaders lists the headers of an answer that the caller gets. Cookies, the
// server's name and version, upstream's own limits (which all callers share) and
// caching directives are left out.
var visibleHeaders = []string{"Content-Type", "Retry-After", "Retry-After-Ms", "X-Should-Retry"}

func visible(h http.Header) http.Header {
	seen := make(http.Header, len(visibleHeaders))
	for _, name := range visibleHeaders {
		if values := h[name]; len(values) > 0 {
			seen[name] = values
		}
	}
	return seen
}

// retryAfter reads how long upstream asks to be left alone: retry-after-ms, as
// Azure OpenAI sends it, else Retry-After in seconds or as a date. 0 is no such
// wish.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return span(ms, time.Millisecond)
	}
	after := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(after, 64); err == nil && s > 0 {
		return span(s, time.Second)
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// span is n units of time, a year at most.
func span(n float64, unit time.Duration) time.Duration {
	const year = 365 * 24 * time.Hour
	return time.Duration(math.Min(n*float64(unit), float64(year)))
}
