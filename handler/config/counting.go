package config

import (
	"fmt"
	"time"

	"tollgate/handler/counter/usage"
	"tollgate/handler/gateway"
)

// Counting is what callers are told apart by, and how long what they used is kept.
type Counting struct {
	// Addresses says whose word on a client's address is believed: in Azure, where
	// WEBSITE_SITE_NAME is set, its front end's; under a Functions host the host's;
	// before both, that of a proxy of the operator's own, such as Front Door, in the
	// header that CLIENT_IP_HEADER names, where nobody gets around that proxy.
	Addresses gateway.Addresses
	// Retention is how long closed minutes stay in the usage history.
	// USAGE_RETENTION: default 90d.
	Retention time.Duration
}

func (s *settings) counting() Counting {
	c := Counting{Addresses: gateway.Addresses{FrontEnd: s.text("WEBSITE_SITE_NAME", "") != ""}}
	value := s.text("USAGE_RETENTION", "")
	var err error
	if c.Retention, err = usage.ParseRetention(value); err != nil {
		s.fault("USAGE_RETENTION", fmt.Sprintf("is %q", value), err.Error())
	}
	if s.text("CLIENT_IP_HEADER", "") != "" {
		c.Addresses.Header = s.header("CLIENT_IP_HEADER", "X-Azure-ClientIP")
	}
	return c
}
