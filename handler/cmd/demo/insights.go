package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"tollgate/handler/local/insights"
)

// localInsights is a local Application Insights that prints items while shown is set.
type localInsights struct {
	insights.Collector
	server *http.Server
	shown  atomic.Bool
}

const connectionSetting = "APPLICATIONINSIGHTS_CONNECTION_STRING"

// startInsights starts a local Application Insights and returns the gateway's settings for
// it. If the environment names another one, it does nothing.
func (s *setup) startInsights() (settings []string, err error) {
	if os.Getenv(connectionSetting) != "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the collector of telemetry: %w", err)
	}
	i := &localInsights{}
	i.Arrived = func(item insights.Item) { i.show(item.String()) }
	i.Refused = func(fault string) { i.show("REFUSED " + fault) }
	i.server = &http.Server{Handler: &i.Collector, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = i.server.Serve(listener) }() // ends with Close
	s.insights = i
	return []string{connectionSetting + "=" + insights.ConnectionString(listener.Addr().String()), "APPLICATIONINSIGHTS_AUTHENTICATION_STRING="}, nil
}

// show prints a line if shown is set.
func (i *localInsights) show(line string) {
	if i.shown.Load() {
		fmt.Println(line)
	}
}
