package appinsights

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"tollgate/handler/azure"
)

// A Connection is a parsed connection string: where telemetry goes.
type Connection struct {
	// InstrumentationKey identifies the resource. It is not a secret.
	InstrumentationKey string
	// Endpoint is the base of the ingestion URLs, with a slash at its end.
	Endpoint string
	// Audience is the audience of Entra tokens, without a slash at its end.
	Audience string
}

// Defaults for what a connection string leaves out.
// Source: https://learn.microsoft.com/azure/azure-monitor/app/connection-strings
const (
	defaultEndpoint = "https://dc.services.visualstudio.com/"
	defaultAudience = "https://monitor.azure.com"
)

// audiences holds the audiences of the other clouds, by the suffix of their endpoints.
var audiences = map[string]string{".us": "https://monitor.azure.us", ".cn": "https://monitor.azure.cn"}

// ParseConnection reads a connection string such as
// InstrumentationKey=…;IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/.
// Its error names the part that is wrong.
func ParseConnection(text string) (Connection, error) {
	parts, err := parse(text)
	if err != nil {
		return Connection{}, fmt.Errorf("%w: copy it from the resource's overview page", err)
	}
	c := Connection{InstrumentationKey: parts["instrumentationkey"], Endpoint: parts["ingestionendpoint"], Audience: parts["aadaudience"]}
	if c.Endpoint == "" {
		c.Endpoint = defaultEndpoint
		if suffix := parts["endpointsuffix"]; suffix != "" {
			location := parts["location"]
			if location != "" {
				location += "."
			}
			c.Endpoint = "https://" + location + "dc." + strings.TrimLeft(suffix, ".")
		}
	}
	switch scheme := parts["authorization"]; {
	case scheme != "" && !strings.EqualFold(scheme, "ikey"):
		return Connection{}, fmt.Errorf("has Authorization=%s: remove it", scheme)
	case !isKey(c.InstrumentationKey):
		return Connection{}, errors.New("has no InstrumentationKey of the form 00000000-0000-0000-0000-000000000000: copy it from the resource's overview page")
	}
	address, err := url.Parse(c.Endpoint)
	if err != nil || address.Host == "" || address.User != nil || address.RawQuery != "" || !safe(address) {
		return Connection{}, fmt.Errorf("has IngestionEndpoint=%s: use https://<region>.in.applicationinsights.azure.com/", c.Endpoint)
	}
	c.Endpoint = strings.TrimRight(c.Endpoint, "/") + "/"
	for end, audience := range audiences {
		if c.Audience == "" && strings.HasSuffix(address.Hostname(), end) {
			c.Audience = audience
		}
	}
	if c.Audience == "" {
		c.Audience = defaultAudience
	}
	c.Audience = strings.TrimRight(c.Audience, "/")
	return c, nil
}

// safe reports whether telemetry and tokens may be sent to an address: it must use TLS,
// unless it is on this machine.
func safe(address *url.URL) bool {
	if address.Scheme == "http" {
		return azure.IsLoopback(address.Hostname())
	}
	return address.Scheme == "https"
}

// isKey reports whether text is a UUID with hyphens.
func isKey(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
				return false
			}
		}
	}
	return true
}

// parse reads name=value pairs separated by semicolons. It returns names in lower case.
func parse(text string) (map[string]string, error) {
	parts := make(map[string]string)
	for part := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !found || name == "" {
			return nil, errors.New("is not a list of name=value pairs separated by semicolons")
		}
		if _, twice := parts[name]; twice {
			return nil, fmt.Errorf("has %s twice", name)
		}
		parts[name] = strings.TrimSpace(value)
	}
	return parts, nil
}

// Authentication is the credential for sending: the connection string's key alone, or
// an identity.
type Authentication struct {
	// Entra reports whether to send an identity's token.
	Entra bool
	// ClientID selects a user-assigned identity; empty: the system-assigned one.
	ClientID string
}

// ParseAuthentication reads a setting in the Functions host's format: nothing,
// Authorization=AAD, or Authorization=AAD;ClientId=….
func ParseAuthentication(text string) (Authentication, error) {
	parts, err := parse(text)
	if err != nil {
		return Authentication{}, fmt.Errorf("%w: use Authorization=AAD;ClientId=<client id of the identity>", err)
	}
	if len(parts) == 0 {
		return Authentication{}, nil
	}
	if !strings.EqualFold(parts["authorization"], "AAD") {
		return Authentication{}, fmt.Errorf("has Authorization=%s: use Authorization=AAD, with ClientId=<client id> for a user-assigned identity", parts["authorization"])
	}
	return Authentication{Entra: true, ClientID: parts["clientid"]}, nil
}

// token returns the source of the identity's tokens.
func (a Authentication) token(audience string) (Token, error) {
	credential, err := azure.Credential(a.ClientID)
	if err != nil {
		return nil, fmt.Errorf("use the managed identity: %w", err)
	}
	return azure.BearerTokens(credential, scope(audience)), nil
}

// scope returns the scope to ask tokens of an audience for.
func scope(audience string) string { return audience + "/.default" }
