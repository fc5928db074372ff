package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"tollgate/handler/secret"
)

// Place identifies the app that the gateway runs in.
type Place struct {
	// Region is Azure's name of the region, Site the name of the function app.
	Region, Site string
}

// MaxDimensions is the most dimensions that an operator may choose, as in APIM.
// Azure Monitor accepts 10 for a metric, some of which the gateway sets itself.
// Source: https://learn.microsoft.com/azure/api-management/llm-emit-token-metric-policy
const MaxDimensions = 5

// A Dimension is a dimension of the token metrics: its name and the source of its
// values. Make one with ParseDimensions.
type Dimension struct {
	Name  string
	value func(*Call, Place) string
}

// predefined holds the dimensions that can be chosen by name alone: APIM's defaults, and
// those of its samples.
var predefined = map[string]func(*Call, Place) string{
	"API ID":          func(c *Call, _ Place) string { return c.API },
	"Operation ID":    func(c *Call, _ Place) string { return c.Operation },
	"Product ID":      func(c *Call, _ Place) string { return c.Tier },
	"User ID":         func(c *Call, _ Place) string { return c.Subscription }, // a subscription's owner is unknown here
	"Subscription ID": func(c *Call, _ Place) string { return c.Subscription },
	"Group ID":        func(c *Call, _ Place) string { return c.Group },
	"Location":        func(_ *Call, p Place) string { return p.Region },
	"Gateway ID":      func(_ *Call, p Place) string { return p.Site },
	"Backend ID": func(c *Call, _ Place) string {
		if c.Upstream == nil {
			return ""
		}
		return c.Upstream.Endpoint
	},
	"Client IP": func(c *Call, _ Place) string {
		switch address := c.ClientIP; {
		case !address.IsValid():
			return ""
		case address.Is6(): // as counters do: one client can have a whole /64
			return netip.PrefixFrom(address, 64).Masked().Addr().String()
		default:
			return address.String()
		}
	},
	"Model": func(c *Call, _ Place) string { return c.Model },
}

// ParseDimensions reads the dimensions that an operator chose: "Model" is one of the
// predefined names, "Deployment={Model}" gives it another name, "Team={header:X-Team}"
// is a header's value, and "Stage=production" a fixed text. Its error lists every
// fault.
func ParseDimensions(entries []string) ([]Dimension, error) {
	var faults []error
	var chosen []Dimension
	for _, entry := range entries {
		d, err := parseDimension(entry)
		if err == nil && slices.ContainsFunc(chosen, func(other Dimension) bool { return other.Name == d.Name }) {
			err = fmt.Errorf("names %q twice: name it once", d.Name)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		chosen = append(chosen, d)
	}
	if len(entries) > MaxDimensions {
		faults = append(faults, fmt.Errorf("has %d dimensions: choose at most %d", len(entries), MaxDimensions))
	}
	return chosen, errors.Join(faults...)
}

func parseDimension(entry string) (Dimension, error) {
	name, source, given := strings.Cut(entry, "=")
	name, source = strings.TrimSpace(name), strings.TrimSpace(source)
	switch {
	case name == "" || len(name) > 100:
		return Dimension{}, fmt.Errorf("has %q: give the dimension a name of up to 100 bytes", entry)
	case name == ReplayedDimension || slices.Contains(ownDimensions, name):
		return Dimension{}, fmt.Errorf("has %q, which the gateway sets itself: choose another name", name)
	case !given && predefined[name] == nil:
		return Dimension{}, fmt.Errorf("has %q, which is no predefined name: give it a value, such as %s={header:X-Team}", name, name)
	case !given:
		return Dimension{name, predefined[name]}, nil
	case source == "":
		return Dimension{}, fmt.Errorf("has %q without a value: use {NAME}, {header:NAME} or a text", name)
	}
	value, err := parseSource(source)
	return Dimension{name, value}, err
}

// parseSource reads the source of a dimension's values.
func parseSource(source string) (func(*Call, Place) string, error) {
	inner, opened := strings.CutPrefix(source, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	inner = strings.TrimSpace(inner)
	header, isHeader := strings.CutPrefix(inner, "header:")
	switch {
	case !strings.ContainsAny(source, "{}"):
		return func(*Call, Place) string { return source }, nil
	case !opened || !closed || strings.ContainsAny(inner, "{}"):
		return nil, fmt.Errorf("has %q: use {NAME}, {header:NAME} or a text without braces", source)
	case !isHeader && predefined[inner] == nil:
		return nil, fmt.Errorf("has %q: between braces use %s or header:NAME", source, strings.Join(slices.Sorted(maps.Keys(predefined)), ", "))
	case !isHeader:
		return predefined[inner], nil
	case header == "" || strings.Contains(header, " "):
		return nil, fmt.Errorf("has %q: name the header, such as {header:X-Team}", source)
	case secret.SensitiveHeader(header):
		return nil, fmt.Errorf("has %q, which would put secrets into metrics: choose another header", source)
	}
	header = http.CanonicalHeaderKey(header)
	return func(c *Call, _ Place) string { return c.Header.Get(header) }, nil
}

// Of returns the dimension's value for a subscription, a model and a place; empty if
// it depends on anything else.
func (d Dimension) Of(subscription, model string, place Place) string {
	return d.value(&Call{Subscription: subscription, Model: model}, place)
}

// maxValue is the length at which dimension values are cut, in bytes.
const maxValue = 256

// clipped returns a value cut to maxValue, between characters.
func clipped(value string) string {
	if len(value) <= maxValue {
		return value
	}
	end := maxValue
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}
