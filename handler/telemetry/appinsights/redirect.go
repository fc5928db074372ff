package appinsights

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/azure"
)

const (
	// maxRedirects is the most redirects that one request follows.
	maxRedirects = 10
	// redirectAge is how long to remember a redirect without max-age.
	// Source of both: ApplicationInsights-dotnet, RedirectHttpHandler
	redirectAge = 12 * time.Hour
)

// serviceDomains lists the domains of Application Insights' ingestion hosts in all
// clouds.
// Source: https://learn.microsoft.com/azure/azure-monitor/fundamentals/azure-monitor-network-access
var serviceDomains = []string{"applicationinsights.azure.com", "applicationinsights.azure.us", "applicationinsights.azure.cn",
	"applicationinsights.io", "applicationinsights.us", "applicationinsights.cn", "services.visualstudio.com"}

// A route holds the address to send to: the configured one, or the one that the service
// redirected it to. Only the sending goroutine uses it.
type route struct {
	configured *url.URL
	moved      *url.URL // nil: not redirected
	until      time.Time
}

// address returns the address to send to now.
func (r *route) address(now time.Time) *url.URL {
	if r.moved == nil || !now.Before(r.until) {
		r.moved = nil
		return r.configured
	}
	return r.moved
}

// remember sends later payloads straight to a redirect's target.
func (r *route) remember(target *url.URL, age time.Duration, now time.Time) {
	r.moved, r.until = target, now.Add(age)
}

// forget sends the next payload to the configured address.
func (r *route) forget() { r.moved = nil }

// mayHaveToken reports whether an address is on the configured host: no other gets an
// Entra token.
func (r *route) mayHaveToken(address *url.URL) bool {
	return address.Scheme == r.configured.Scheme && strings.EqualFold(address.Host, r.configured.Host)
}

// isRedirect reports whether a status redirects the same request.
func isRedirect(status int) bool {
	return status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect
}

// target returns the address that an answer redirects to, or an error that says why
// the redirect isn't followed.
func (r *route) target(from *url.URL, location string) (*url.URL, error) {
	if location == "" {
		return nil, fmt.Errorf("it redirects without a Location")
	}
	to, err := from.Parse(location)
	if err != nil || to.Host == "" || to.User != nil {
		return nil, fmt.Errorf("it redirects to an invalid address")
	}
	to.Fragment = ""
	if to.Path == "" || to.Path == "/" {
		to.Path = r.configured.Path
	}
	if !r.mayHaveToken(to) && !isService(to) && !(isLoopback(to) && isLoopback(r.configured)) {
		return nil, fmt.Errorf("it redirects to %s, which is not a host of Application Insights", clip(to.Host))
	}
	return to, nil
}

// isService reports whether an address belongs to Application Insights.
func isService(address *url.URL) bool {
	if address.Scheme != "https" || address.Port() != "" && address.Port() != "443" {
		return false
	}
	host := strings.ToLower(address.Hostname())
	for _, domain := range serviceDomains {
		if strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}

// isLoopback reports whether an address is on this machine.
func isLoopback(address *url.URL) bool {
	return (address.Scheme == "http" || address.Scheme == "https") && azure.IsLoopback(address.Hostname())
}

// clip quotes and shortens text from another host for the log.
func clip(text string) string { return strconv.Quote(text[:min(len(text), 100)]) }

// maxAge returns how long to remember a redirect.
func maxAge(h http.Header) time.Duration {
	for _, directives := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(directives, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
			if strings.EqualFold(name, "max-age") && err == nil && seconds >= 0 {
				return min(time.Duration(seconds)*time.Second, redirectAge)
			}
		}
	}
	return redirectAge
}
