package config

import (
	"fmt"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/ledger"
)

// Counting holds how clients' addresses are found and how long usage is kept.
type Counting struct {
	// Addresses lists the sources of a client's address. In Azure, where
	// WEBSITE_SITE_NAME is set: its front end; under a Functions host: the host. A proxy
	// of the operator's, such as Front Door, takes precedence over both:
	// CLIENT_IP_HEADER names its header. Set it only if no client can bypass the proxy.
	Addresses gateway.Addresses
	// Retention is how long days of usage are kept. USAGE_RETENTION: default 400d.
	Retention time.Duration
}

// counting reads the settings of Counting.
func (s *settings) counting() Counting {
	c := Counting{Addresses: gateway.Addresses{FrontEnd: s.text("WEBSITE_SITE_NAME", "") != ""}}
	value := s.text("USAGE_RETENTION", "")
	var err error
	if c.Retention, err = ledger.ParseRetention(value); err != nil {
		s.fault("USAGE_RETENTION", fmt.Sprintf("is %q", value), err.Error())
	}
	if s.text("CLIENT_IP_HEADER", "") != "" {
		c.Addresses.Header = s.header("CLIENT_IP_HEADER", "X-Azure-ClientIP")
	}
	return c
}
