package appinsights_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/local/insights"
	"tollgate/handler/telemetry/appinsights"
)

// hosts is a network of ingestion hosts without sockets.
type hosts struct {
	mu       sync.Mutex
	serve    map[string]http.Handler // by URL host
	received []*http.Request
}

func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.received = append(h.received, r)
	handler := h.serve[r.URL.Host]
	h.mu.Unlock()
	if handler == nil {
		return nil, fmt.Errorf("no such host %s", r.URL.Host)
	}
	return serve(handler, r), nil
}

// requests returns the number of requests to a host, and of those with a token.
func (h *hosts) requests(host string) (all, withToken int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.received {
		if r.URL.Host == host {
			all++
			if r.Header.Get("Authorization") != "" {
				withToken++
			}
		}
	}
	return all, withToken
}

func (h *hosts) set(host string, handler http.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve[host] = handler
}

// redirecting returns a handler that redirects.
func redirecting(status int, location string, header ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if location != "" {
			w.Header().Set("Location", location)
		}
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	})
}

const (
	oldHost = "westeurope-5.in.applicationinsights.azure.com"
	newHost = "westeurope-3.in.applicationinsights.azure.com"
)

func openAt(t *testing.T, network *hosts, endpoint string, token appinsights.Token) *fixture {
	t.Helper()
	return open(t, func(c *appinsights.Config) {
		connection, err := appinsights.ParseConnection(key + ";IngestionEndpoint=" + endpoint)
		if err != nil {
			t.Fatal(err)
		}
		c.Connection, c.Transport, c.Token = connection, network, token
		c.Authentication.Entra = token != nil
	})
}

func TestARedirectIsFollowedAndRemembered(t *testing.T) {
	for _, test := range []struct {
		name, endpoint, location, host string
		status                         int
	}{
		{"308 to a whole address", "https://" + oldHost + "/", "https://" + newHost + "/v2/track", newHost, 308},
		{"307", "https://" + oldHost + "/", "https://" + newHost + "/v2/track", newHost, 307},
		{"without a path", "https://" + oldHost + "/", "https://" + newHost, newHost, 308},
		{"with the port named", "https://" + oldHost + "/", "https://" + newHost + ":443/v2/track", newHost + ":443", 308},
		{"from the global endpoint", "https://dc.services.visualstudio.com/", "https://" + newHost + "/v2/track", newHost, 308},
		{"to another cloud's domain", "https://" + oldHost + "/", "https://x.in.applicationinsights.azure.us/v2/track", "x.in.applicationinsights.azure.us", 308},
		{"on this machine", "http://127.0.0.1:20030/", "http://127.0.0.1:20031/v2/track", "127.0.0.1:20031", 308},
		{"from a proxy of the operator's", "https://telemetry.example.com/", "https://" + newHost + "/v2/track", newHost, 307},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var service insights.Collector
				first := strings.TrimSuffix(strings.SplitN(test.endpoint, "//", 2)[1], "/")
				network := &hosts{serve: map[string]http.Handler{first: redirecting(test.status, test.location), test.host: &service}}
				b := openAt(t, network, test.endpoint, nil)
				for range 3 {
					b.Send(tokens(5))
					time.Sleep(10 * time.Second)
				}
				b.end(t)
				if got, _ := service.Sum("Total Tokens"); got != 15 {
					t.Errorf("got %v tokens, want 15; log: %s", got, b.log)
				}
				if old, _ := network.requests(first); old != 1 {
					t.Errorf("got %d requests to the old host, want 1", old)
				}
			})
		})
	}
}

func TestARedirectAwayFromTheServiceIsNotFollowed(t *testing.T) {
	for name, location := range map[string]string{
		"a stranger's host":       "https://telemetry.example.com/v2/track",
		"a similar suffix":        "https://evilapplicationinsights.azure.com/v2/track",
		"a similar prefix":        "https://" + newHost + ".example.com/v2/track",
		"without TLS":             "http://" + newHost + "/v2/track",
		"another port":            "https://" + newHost + ":8443/v2/track",
		"this machine":            "http://127.0.0.1:9/v2/track",
		"the metadata service":    "http://169.254.169.254/metadata/identity/oauth2/token",
		"with a user":             "https://user@" + newHost + "/v2/track",
		"a host without a scheme": "//example.com/v2/track",
		"no host":                 "https:///v2/track",
		"no address":              "",
		"unreadable":              "https://%zz/",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := &hosts{serve: map[string]http.Handler{oldHost: redirecting(308, location)}}
				b := openAt(t, network, "https://"+oldHost+"/", nil)
				b.Send(tokens(5))
				time.Sleep(90 * time.Second)
				network.mu.Lock()
				for _, r := range network.received {
					if r.URL.Host != oldHost {
						t.Errorf("got a request to %s, want none", r.URL)
					}
				}
				network.mu.Unlock()
				var service insights.Collector
				network.set(oldHost, &service)
				time.Sleep(2 * time.Minute)
				b.end(t)
				if got, _ := service.Sum("Total Tokens"); got != 5 {
					t.Errorf("got %v tokens once the redirect was gone, want 5", got)
				}
				if logged := b.log.String(); strings.Count(logged, "it redirects") != 1 || !strings.Contains(logged, "copy APPLICATIONINSIGHTS_CONNECTION_STRING again") {
					t.Errorf("got the log %s, want the redirect once, with the fix", logged)
				}
			})
		})
	}
}

func TestARedirectLoopEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := &hosts{serve: map[string]http.Handler{oldHost: redirecting(308, "https://"+newHost+"/v2/track"), newHost: redirecting(307, "https://"+oldHost+"/v2/track")}}
		b := openAt(t, network, "https://"+oldHost+"/", nil)
		b.Send(tokens(5))
		synctest.Wait()
		first, _ := network.requests(oldHost)
		second, _ := network.requests(newHost)
		if first+second != 11 {
			t.Errorf("got %d requests for one batch, want 1 and 10 redirects", first+second)
		}
		var service insights.Collector
		network.set(newHost, &service)
		time.Sleep(2 * time.Minute)
		b.end(t)
		if got, _ := service.Sum("Total Tokens"); got != 5 || !strings.Contains(b.log.String(), "redirects more than 10 times") {
			t.Errorf("got %v tokens, want 5; log: %s", got, b.log)
		}
	})
}

func TestTokensGoOnlyToTheConfiguredHost(t *testing.T) {
	for _, test := range []struct{ endpoint, location, host string }{
		{"https://" + oldHost + "/", "https://" + newHost + "/v2.1/track", newHost},
		{"http://127.0.0.1:20030/", "http://127.0.0.1:20031/v2.1/track", "127.0.0.1:20031"},
		{"http://localhost:20030/", "http://127.0.0.1:20030/v2.1/track", "127.0.0.1:20030"},
	} {
		synctest.Test(t, func(t *testing.T) {
			service := insights.Collector{Token: "secret-token"}
			first := strings.TrimSuffix(strings.SplitN(test.endpoint, "//", 2)[1], "/")
			network := &hosts{serve: map[string]http.Handler{first: redirecting(308, test.location), test.host: &service}}
			b := openAt(t, network, test.endpoint, func(context.Context) (string, error) { return "secret-token", nil })
			b.Send(tokens(5))
			time.Sleep(time.Minute)
			all, withToken := network.requests(test.host)
			if all == 0 || withToken != 0 {
				t.Errorf("%s: got %d requests, %d with a token; want some, none with a token", test.host, all, withToken)
			}
			if logged := b.log.String(); !strings.Contains(logged, "tokens go only to the configured host") || !strings.Contains(logged, "IngestionEndpoint") || strings.Contains(logged, "secret-token") {
				t.Errorf("got the log %s, want the host to set and no token in it", logged)
			}
			network.set(first, &service)
			time.Sleep(2 * time.Minute)
			b.end(t)
			if got, _ := service.Sum("Total Tokens"); got != 5 {
				t.Errorf("got %v tokens once the service was back, want 5", got)
			}
		})
	}
}

func TestARedirectIsForgottenWhenItExpiresOrFails(t *testing.T) {
	t.Run("old", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var service insights.Collector
			network := &hosts{serve: map[string]http.Handler{oldHost: redirecting(307, "https://"+newHost+"/v2/track", "Cache-Control", "private, max-age=60"), newHost: &service}}
			b := openAt(t, network, "https://"+oldHost+"/", nil)
			for range 13 {
				b.Send(tokens(1))
				time.Sleep(10 * time.Second)
			}
			b.end(t)
			if old, _ := network.requests(oldHost); old != 3 {
				t.Errorf("got %d requests to the old host in 2 minutes with max-age=60, want 3", old)
			}
		})
	})
	t.Run("gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var service insights.Collector
			network := &hosts{serve: map[string]http.Handler{oldHost: redirecting(308, "https://"+newHost+"/v2/track"), newHost: &service}}
			b := openAt(t, network, "https://"+oldHost+"/", nil)
			b.Send(tokens(1))
			synctest.Wait()
			network.set(newHost, nil)
			network.set(oldHost, &service)
			b.Send(tokens(4))
			time.Sleep(time.Minute)
			b.end(t)
			if got, _ := service.Sum("Total Tokens"); got != 5 {
				t.Errorf("got %v tokens, want 5", got)
			}
		})
	})
}
