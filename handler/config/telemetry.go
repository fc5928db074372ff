package config

import (
	"fmt"
	"strconv"
	"time"

	"tollgate/handler/telemetry"
	"tollgate/handler/telemetry/appinsights"
)

// Telemetry configures what is sent to Application Insights.
type Telemetry struct {
	// On reports whether there is a connection string.
	On bool
	// Connection is the destination. APPLICATIONINSIGHTS_CONNECTION_STRING: without
	// one, telemetry is off.
	Connection appinsights.Connection
	// Authentication is the credential. APPLICATIONINSIGHTS_AUTHENTICATION_STRING:
	// Authorization=AAD;ClientId=… for an identity; if missing, the connection string's
	// key.
	Authentication appinsights.Authentication
	// Namespace is the metrics' namespace. METRIC_NAMESPACE: default llm.
	Namespace string
	// Interval is the time over which metrics are added up. METRIC_INTERVAL: default
	// 10s, a divisor of a minute.
	Interval time.Duration
	// Dimensions are the dimensions of token metrics. METRIC_DIMENSIONS: separated by
	// commas, default Client IP, API ID and Subscription ID.
	Dimensions []telemetry.Dimension
	// MaxSeries is the most sets of dimension values. METRIC_MAX_SERIES: default 1000.
	MaxSeries int
	// TruncateIP replaces clients' addresses by their networks. METRIC_CLIENT_IP: full
	// (default) or truncated.
	TruncateIP bool
	// SampleRatio is the share of calls that get a request item. TELEMETRY_SAMPLING:
	// from 0 to 1, default 1.
	SampleRatio float64
	// Place holds the region and the app's name: REGION_NAME and WEBSITE_SITE_NAME, set
	// by Azure.
	Place telemetry.Place
	// Instance identifies the app's instance: WEBSITE_INSTANCE_ID, set by Azure.
	Instance string
}

const (
	settingConnection     = "APPLICATIONINSIGHTS_CONNECTION_STRING"
	settingAuthentication = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
)

// telemetry reads the settings of Telemetry.
func (s *settings) telemetry() Telemetry {
	t := Telemetry{
		Namespace:   s.text("METRIC_NAMESPACE", appinsights.DefaultNamespace),
		Interval:    s.duration("METRIC_INTERVAL", telemetry.DefaultInterval),
		MaxSeries:   int(s.number("METRIC_MAX_SERIES", telemetry.DefaultMaxSeries, 1, 50_000)),
		TruncateIP:  s.oneOf("METRIC_CLIENT_IP", "full", "truncated") == "truncated",
		SampleRatio: s.ratio("TELEMETRY_SAMPLING", 1),
		Place:       telemetry.Place{Region: s.text("REGION_NAME", ""), Site: s.text("WEBSITE_SITE_NAME", "")},
		Instance:    s.text("WEBSITE_INSTANCE_ID", ""),
	}
	var err error
	if text := s.text(settingConnection, ""); text != "" {
		t.On = true
		if t.Connection, err = appinsights.ParseConnection(text); err != nil {
			s.faults = append(s.faults, fmt.Errorf("%s %w", settingConnection, err))
		}
	}
	if t.Authentication, err = appinsights.ParseAuthentication(s.text(settingAuthentication, "")); err != nil {
		s.faults = append(s.faults, fmt.Errorf("%s %w", settingAuthentication, err))
	}
	if t.Interval < time.Second || time.Minute%t.Interval != 0 {
		s.fault("METRIC_INTERVAL", "is "+t.Interval.String(), "use a divisor of a minute, such as 5s, 10s, 30s or 1m")
	}
	if t.Dimensions, err = telemetry.ParseDimensions(s.list("METRIC_DIMENSIONS", "Client IP", "API ID", "Subscription ID")); err != nil {
		s.faults = append(s.faults, fmt.Errorf("METRIC_DIMENSIONS %w", err))
	}
	return t
}

// ratio returns a number from 0 to 1.
func (s *settings) ratio(name string, fallback float64) float64 {
	value := s.text(name, "")
	if value == "" {
		return fallback
	}
	ratio, err := strconv.ParseFloat(value, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		s.fault(name, fmt.Sprintf("is %q", value), "use a number from 0 to 1, such as 0.1")
		return fallback
	}
	return ratio
}
