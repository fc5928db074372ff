package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// counting is what callers are told apart by, and how long what they used is kept.
type counting struct {
	// ClientIPHeader names the header in which a proxy of the operator's own, such
	// as a Front Door, says who called. CLIENT_IP_HEADER: without one, Azure's
	// front end says it. Only for where nobody gets around that proxy.
	ClientIPHeader string
	// Retention is how long closed minutes stay in the usage history.
	// USAGE_RETENTION: default 90d.
	Retention time.Duration
}

// usualRetention covers a quarter, the longest that a bill is usually asked about.
const usualRetention = 90 * day

const day = 24 * time.Hour

func (s *settings) counting() counting {
	c := counting{Retention: s.retention("USAGE_RETENTION", usualRetention)}
	if s.text("CLIENT_IP_HEADER", "") != "" {
		c.ClientIPHeader = s.header("CLIENT_IP_HEADER", "X-Azure-ClientIP")
	}
	return c
}

// retention is whole days, 90d, or any other time that is a minute at least.
func (s *settings) retention(name string, fallback time.Duration) time.Duration {
	value := s.text(name, "")
	if value == "" {
		return fallback
	}
	d, err := time.ParseDuration(value)
	if days, ok := strings.CutSuffix(value, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * day
	}
	if err != nil || d < time.Minute {
		s.fault(name, fmt.Sprintf("is %q", value), "use days, such as 90d, or a time of a minute or more, such as 36h")
		return fallback
	}
	return d
}
