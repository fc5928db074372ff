package appinsights

import (
	"cmp"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	library "github.com/microsoft/ApplicationInsights-Go/appinsights"
	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"

	"tollgate/handler/telemetry"
)

// envelopes makes items. It holds what all of them have in common.
type envelopes struct {
	key       string
	namespace string // the metrics' namespace
	tags      contracts.ContextTags
}

func newEnvelopes(config Config) envelopes {
	machine, _ := os.Hostname() // on an error the items don't name the machine
	instance := cmp.Or(config.Instance, machine)
	tags := make(contracts.ContextTags)
	tags.Internal().SetSdkVersion("go:" + library.Version)
	tags.Device().SetOsVersion(runtime.GOOS)
	tags.Device().SetId(instance)
	tags.Cloud().SetRoleInstance(instance)
	tags.Cloud().SetRole(cmp.Or(config.Role, "tollgate"))
	contracts.SanitizeTags(tags)
	return envelopes{key: config.Connection.InstrumentationKey, namespace: cmp.Or(config.Namespace, DefaultNamespace), tags: tags}
}

// items makes a batch's items.
func (e envelopes) items(batch telemetry.Batch) []item {
	items := make([]item, 0, len(batch.Metrics)+2*len(batch.Calls)+len(batch.Events))
	for i := range batch.Metrics {
		m := &batch.Metrics[i]
		items = append(items, e.wrap(e.metric(m), m.At, e.tags, 1))
	}
	for i := range batch.Calls {
		items = append(items, e.call(&batch.Calls[i].Call, batch.Calls[i].Ratio)...)
	}
	for i := range batch.Events {
		items = append(items, e.wrap(event(&batch.Events[i]), batch.Events[i].At, e.tags, 1))
	}
	return items
}

// call makes a call's request item and, if it was forwarded, its dependency item.
func (e envelopes) call(call *telemetry.Call, ratio float64) []item {
	tags := func(parent string) contracts.ContextTags {
		tags := maps.Clone(e.tags)
		tags.Operation().SetId(call.TraceID)
		tags.Operation().SetName(call.Method + " " + call.Route)
		if parent != "" {
			tags.Operation().SetParentId(parent)
		}
		contracts.SanitizeTags(tags)
		return tags
	}
	all := []item{e.wrap(request(call), call.Started, tags(call.ParentID), ratio)}
	if call.Upstream != nil {
		all = append(all, e.wrap(dependency(call), call.Upstream.Started, tags(call.SpanID), ratio))
	}
	return all
}

// wrap puts data into an item that represents 1 ÷ ratio items.
func (e envelopes) wrap(data library.TelemetryData, at time.Time, tags contracts.ContextTags, ratio float64) item {
	data.Sanitize()
	envelope := contracts.NewEnvelope()
	envelope.Name = data.EnvelopeName(strings.ReplaceAll(e.key, "-", ""))
	envelope.Time = at.UTC().Format("2006-01-02T15:04:05.000000Z")
	envelope.IKey, envelope.Tags = e.key, tags
	envelope.SampleRate = ratio * 100
	envelope.Data = &contracts.Data{Base: contracts.Base{BaseType: data.BaseType()}, BaseData: data}
	return item{envelope, at}
}

func (e envelopes) metric(m *telemetry.Metric) library.TelemetryData {
	return &metricData{Ver: 2, Properties: m.Dimensions, Metrics: []dataPoint{{
		Namespace: e.namespace, Name: m.Name, Kind: "Aggregation", Value: m.Sum, Count: m.Count, Min: m.Min, Max: m.Max,
	}}}
}

// metricData is the wire format's MetricData, since the library's has no namespace.
// The service stores only an item's first metric.
type metricData struct {
	Ver        int               `json:"ver"`
	Metrics    []dataPoint       `json:"metrics"`
	Properties map[string]string `json:"properties,omitempty"`
}

// dataPoint is the wire format's DataPoint.
// Source: ApplicationInsights-dotnet, PublicSchema/DataPoint.bond
type dataPoint struct {
	Namespace string  `json:"ns"`
	Name      string  `json:"name"`
	Kind      string  `json:"kind"`
	Value     float64 `json:"value"`
	Count     int     `json:"count"`
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
}

// EnvelopeName implements library.TelemetryData.
func (*metricData) EnvelopeName(key string) string {
	return "Microsoft.ApplicationInsights." + key + ".Metric"
}

// BaseType implements library.TelemetryData.
func (*metricData) BaseType() string { return "MetricData" }

// Sanitize implements library.TelemetryData. It does nothing: names and values are
// already within the service's limits.
func (*metricData) Sanitize() []string { return nil }

func request(call *telemetry.Call) library.TelemetryData {
	item := library.RequestTelemetry{
		Id: call.SpanID, Name: call.Method + " " + call.Route, Duration: call.Duration,
		ResponseCode: strconv.Itoa(call.Status), Success: call.Status < 400,
	}
	item.Properties = properties(map[string]string{
		"Request ID": call.RequestID, "Subscription ID": call.Subscription, "Product ID": call.Tier, "Group ID": call.Group,
		"API ID": call.API, "Operation ID": call.Operation, "Model": call.Model, "Outcome": call.Outcome,
		"Stream": strconv.FormatBool(call.Stream), "Refused By": refusedBy(call),
	})
	if call.ClientIP.IsValid() { // not as the tag ai.location.ip, which the service masks
		item.Properties["Client IP"] = call.ClientIP.String()
	}
	item.Measurements = make(map[string]float64)
	if u := call.Usage; u != nil {
		for _, v := range u.Values() {
			item.Measurements[v.Name] = v.Amount
		}
	}
	for _, at := range call.Standings {
		if !at.InTokens() {
			continue
		}
		if at.PerMinute > 0 {
			setLeast(item.Measurements, "Remaining Tokens", at.Remaining)
		}
		if at.Quota > 0 {
			setLeast(item.Measurements, "Remaining Quota Tokens", at.QuotaRemaining)
		}
	}
	return item.TelemetryData()
}

// refusedBy lists the full names of the limits that refused a call, or would have.
func refusedBy(call *telemetry.Call) string {
	names := make([]string, len(call.RefusedBy))
	for i, by := range call.RefusedBy {
		names[i] = by.Limit
	}
	return strings.Join(names, ", ")
}

// setLeast sets a measurement, unless a smaller one is set.
func setLeast(measurements map[string]float64, name string, n int64) {
	if least, set := measurements[name]; !set || float64(n) < least {
		measurements[name] = float64(n)
	}
}

func dependency(call *telemetry.Call) library.TelemetryData {
	up := call.Upstream
	item := library.RemoteDependencyTelemetry{
		Id: up.SpanID, Name: call.Operation, Type: "HTTP", Target: up.Endpoint, Data: call.Model,
		Duration: up.Duration, ResultCode: strconv.Itoa(up.Status), Success: !up.Failed,
	}
	item.Properties = properties(map[string]string{"Request ID": call.RequestID, "Model": call.Model, "Backend ID": up.Endpoint})
	item.Measurements = make(map[string]float64)
	if up.Latency > 0 {
		item.Measurements[telemetry.UpstreamLatency] = telemetry.Milliseconds(up.Latency)
	}
	if up.FirstToken > 0 {
		item.Measurements[telemetry.TimeToFirstToken] = telemetry.Milliseconds(up.FirstToken)
	}
	return item.TelemetryData()
}

func event(e *telemetry.Event) library.TelemetryData {
	item := library.EventTelemetry{Name: e.Name}
	item.Properties, item.Measurements = properties(maps.Clone(e.Properties)), e.Measurements
	return item.TelemetryData()
}

// properties removes the entries without a value.
func properties(all map[string]string) map[string]string {
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}
