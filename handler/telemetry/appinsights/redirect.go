package appinsights

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// mostRedirects bounds how many redirects one request follows.
	mostRedirects = 10
	// redirectAge is how long a redirect is remembered whose answer has no max-age.
	// Source of both: ApplicationInsights-dotnet, RedirectHttpHandler
	redirectAge = 12 * time.Hour
)

// serviceDomains are the domains of Application Insights' ingestion hosts in
// all clouds.
// Source: https://learn.microsoft.com/azure/azure-monitor/fundamentals/azure-monitor-network-access
var serviceDomains = []string{"applicationinsights.azure.com", "applicationinsights.azure.us", "applicationinsights.azure.cn",
	"applicationinsights.io", "applicationinsights.us", "applicationinsights.cn", "services.visualstudio.com"}

// route is where payloads go: the configured address, or the one that the
// service redirected it to. Only the sending goroutine uses it.
type route struct {
	configured *url.URL
	moved      *url.URL // nil: not redirected
	until      time.Time
}

// address is where to send now.
func (r *route) address(now time.Time) *url.URL {
	if r.moved == nil || !now.Before(r.until) {
		r.moved = nil
		return r.configured
	}
	return r.moved
}

// remember makes later payloads go to a redirect's target at once.
func (r *route) remember(target *url.URL, age time.Duration, now time.Time) {
	r.moved, r.until = target, now.Add(age)
}

// forget makes the next payload go to the configured address.
func (r *route) forget() { r.moved = nil }

// mayHaveToken reports whether an address is on the configured host, the only
// one that is sent an Entra token.
func (r *route) mayHaveToken(address *url.URL) bool {
	return address.Scheme == r.configured.Scheme && strings.EqualFold(address.Host, r.configured.Host)
}

// isRedirect reports whether an answer asks for the same request elsewhere.
func isRedirect(status int) bool {
	return status == http.StatusTemporaryRedirect || status == http.StatusPermanentRedirect
}

// target is where an answer redirects to. Its error says why nothing is sent
// there.
func (r *route) target(from *url.URL, location string) (*url.URL, error) {
	if location == "" {
		return nil, fmt.Errorf("it redirects without saying where to")
	}
	to, err := from.Parse(location)
	if err != nil || to.Host == "" || to.User != nil {
		return nil, fmt.Errorf("it redirects to an address that can't be read")
	}
	to.Fragment = ""
	if to.Path == "" || to.Path == "/" {
		to.Path = r.configured.Path
	}
	if !r.mayHaveToken(to) && !isService(to) && !(isLoopback(to) && isLoopback(r.configured)) {
		return nil, fmt.Errorf("it redirects to %s, which is no host of Application Insights'", clip(to.Host))
	}
	return to, nil
}

// isService reports whether an address is Application Insights' own.
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
	ip := net.ParseIP(address.Hostname())
	return (address.Scheme == "http" || address.Scheme == "https") && (address.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// clip bounds what the log says of a text that another host chose.
func clip(text string) string { return strconv.Quote(text[:min(len(text), 100)]) }

// maxAge is how long a redirect may be remembered.
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
