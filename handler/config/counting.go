package config

import (
	"fmt"
	"time"

	"tollgate/handler/counter/usage"
)

// Counting is what callers are told apart by, and how long what they used is kept.
type Counting struct {
	// ClientIPHeader names the header in which a proxy of the operator's own, such
	// as a Front Door, says who called. CLIENT_IP_HEADER: without one, Azure's
	// front end says it. Only for where nobody gets around that proxy.
	ClientIPHeader string
	// Retention is how long closed minutes stay in the usage history.
	// USAGE_RETENTION: default 90d.
	Retention time.Duration
}

func (s *settings) counting() Counting {
	c := Counting{}
	value := s.text("USAGE_RETENTION", "")
	var err error
	if c.Retention, err = usage.ParseRetention(value); err != nil {
		s.fault("USAGE_RETENTION", fmt.Sprintf("is %q", value), err.Error())
	}
	if s.text("CLIENT_IP_HEADER", "") != "" {
		c.ClientIPHeader = s.header("CLIENT_IP_HEADER", "X-Azure-ClientIP")
	}
	return c
}
