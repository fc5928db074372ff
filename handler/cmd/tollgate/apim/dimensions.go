package apim

import (
	"cmp"
	"slices"
	"strings"

	"tollgate/handler/telemetry"
)

// emitMetric records the namespace of the policy's metrics.
func (r *reading) emitMetric(e element) {
	namespace := cmp.Or(e.attributes["namespace"], "API Management")
	switch {
	case r.namespace != "" && r.namespace != namespace:
		r.lose("a second %s has the namespace %s: METRIC_NAMESPACE is the first's", e.name, namespace)
	default:
		r.namespace = namespace
	}
}

// metrics sets the gateway's settings for the namespace and the dimensions of metrics.
func (r *reading) metrics() {
	switch {
	case r.namespace == "":
	case computed(r.namespace):
		r.lose("namespace is %s, which is computed: set METRIC_NAMESPACE to its value", r.namespace)
	case unprintable(r.namespace) || strings.TrimSpace(r.namespace) != r.namespace || len(r.namespace) > 256:
		r.lose("namespace is %q, which is not a valid name: set METRIC_NAMESPACE", r.namespace)
	default:
		r.Settings["METRIC_NAMESPACE"] = r.namespace
	}
	if len(r.dimensions) > 0 {
		r.Settings["METRIC_DIMENSIONS"] = strings.Join(r.dimensions, ",")
	}
}

// builtIn holds the gateway's predefined dimensions by the expressions with the same value.
var builtIn = map[string]string{
	"context.Api.Id":                                     "API ID",
	"context.Operation.Id":                               "Operation ID",
	"context.Product.Id":                                 "Product ID",
	"context.Subscription.Id":                            "Subscription ID",
	"context.Request.IpAddress":                          "Client IP",
	"context.Deployment.Region":                          "Location",
	"context.Deployment.GatewayId":                       "Gateway ID",
	`context.Request.MatchedParameters["deployment-id"]`: "Model",
}

// dimension converts a dimension of a metric policy to an entry of METRIC_DIMENSIONS.
func (r *reading) dimension(e element) {
	name, value := strings.TrimSpace(e.attributes["name"]), strings.TrimSpace(e.attributes["value"])
	entry, ok := dimensionEntry(name, value)
	if _, err := telemetry.ParseDimensions([]string{entry}); !ok || err != nil || strings.Contains(name, "=") || strings.Contains(entry, ",") || unprintable(entry) {
		r.lose("the metrics' dimension %s: %s has no counterpart", name, cmp.Or(value, "its default value"))
		return
	}
	same := slices.ContainsFunc(r.dimensions, func(other string) bool {
		other, _, _ = strings.Cut(other, "=")
		return other == name
	})
	switch {
	case same && !slices.Contains(r.dimensions, entry):
		r.lose("the metrics' dimension %s: %s is its second value, the first is kept", name, value)
	case same:
	case len(r.dimensions) == telemetry.MaxDimensions:
		r.lose("the metrics' dimension %s: METRIC_DIMENSIONS has %d at most", name, telemetry.MaxDimensions)
	default:
		r.dimensions = append(r.dimensions, entry)
	}
}

// dimensionEntry returns the entry of METRIC_DIMENSIONS for a dimension.
func dimensionEntry(name, value string) (entry string, ok bool) {
	if value == "" {
		return name, true
	}
	if !computed(value) {
		return name + "=" + value, !strings.ContainsAny(value, "{}")
	}
	if !isExpression(value) || value[1] != '(' {
		return "", false
	}
	term := strings.TrimSpace(value[2 : len(value)-1])
	if own := builtIn[reduced(term)]; own == name && own != "" {
		return name, true
	} else if own != "" {
		return name + "={" + own + "}", true
	}
	if part, _ := counterPart(term); strings.HasPrefix(part, "{header:") {
		return name + "=" + part, true
	}
	if text, isText := literalText(term); isText {
		return name + "=" + text, true
	}
	return "", false
}
