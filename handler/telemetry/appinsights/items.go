package appinsights

import (
	"strconv"
	"strings"
	"time"

	library "github.com/microsoft/ApplicationInsights-Go/appinsights"
	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"

	"tollgate/handler/telemetry"
)

// metricItem is a metric as the library takes it: its own has no namespace.
type metricItem struct {
	metric    *telemetry.Metric
	namespace string
}

var _ library.Telemetry = (*metricItem)(nil)

// Time implements library.Telemetry.
func (m *metricItem) Time() time.Time { return m.metric.At }

// SetTime implements library.Telemetry.
func (m *metricItem) SetTime(at time.Time) { m.metric.At = at }

// ContextTags implements library.Telemetry. A metric belongs to no operation,
// and the library would make one up.
func (m *metricItem) ContextTags() map[string]string {
	return map[string]string{contracts.OperationId: ""}
}

// GetProperties implements library.Telemetry.
func (m *metricItem) GetProperties() map[string]string { return m.metric.Dimensions }

// GetMeasurements implements library.Telemetry.
func (m *metricItem) GetMeasurements() map[string]float64 { return nil }

// TelemetryData implements library.Telemetry.
func (m *metricItem) TelemetryData() library.TelemetryData {
	return &metricData{Ver: 2, Properties: m.metric.Dimensions, Metrics: []dataPoint{{
		Namespace: m.namespace, Name: m.metric.Name, Kind: "Aggregation",
		Value: m.metric.Sum, Count: m.metric.Count, Min: m.metric.Min, Max: m.metric.Max,
	}}}
}

// metricData is the wire's MetricData; only the first metric of an item is stored.
type metricData struct {
	Ver        int               `json:"ver"`
	Metrics    []dataPoint       `json:"metrics"`
	Properties map[string]string `json:"properties,omitempty"`
}

// dataPoint is the wire's DataPoint, as ApplicationInsights-dotnet's
// PublicSchema/DataPoint.bond has it.
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

// Sanitize implements library.TelemetryData: names and values are within the
// service's limits as they come.
func (*metricData) Sanitize() []string { return nil }

// envelopes are a call's request item and, where it was forwarded, its
// dependency item. They are enveloped here because the library can't say that
// an item stands for several.
func (c *Client) envelopes(call *telemetry.Call, ratio float64) []*contracts.Envelope {
	tags := func(parent string) contracts.ContextTags {
		tags := make(contracts.ContextTags)
		for name, value := range c.library.Context().Tags {
			tags[name] = value
		}
		tags.Operation().SetId(call.TraceID)
		tags.Operation().SetName(call.Method + " " + call.Route)
		if parent != "" {
			tags.Operation().SetParentId(parent)
		}
		return tags
	}
	key := c.library.InstrumentationKey()
	all := []*contracts.Envelope{envelop(key, request(call), call.Started, tags(call.ParentID), ratio)}
	if call.Upstream != nil {
		all = append(all, envelop(key, dependency(call), call.Upstream.Started, tags(call.SpanID), ratio))
	}
	return all
}

func envelop(key string, data library.TelemetryData, at time.Time, tags contracts.ContextTags, ratio float64) *contracts.Envelope {
	data.Sanitize()
	contracts.SanitizeTags(tags)
	e := contracts.NewEnvelope()
	e.Name = data.EnvelopeName(strings.ReplaceAll(key, "-", ""))
	e.Time = at.UTC().Format("2006-01-02T15:04:05.000000Z")
	e.IKey, e.Tags = key, tags
	e.SampleRate = ratio * 100
	e.Data = &contracts.Data{Base: contracts.Base{BaseType: data.BaseType()}, BaseData: data}
	return e
}

func request(call *telemetry.Call) library.TelemetryData {
	item := library.RequestTelemetry{
		Id: call.SpanID, Name: call.Method + " " + call.Route, Duration: call.Duration,
		ResponseCode: strconv.Itoa(call.Status), Success: call.Status < 400,
	}
	item.Properties = properties(map[string]string{
		"Request ID": call.RequestID, "Subscription ID": call.Subscription, "Product ID": call.Tier,
		"API ID": call.API, "Operation ID": call.Operation, "Model": call.Model, "Outcome": call.Outcome,
		"Stream": strconv.FormatBool(call.Stream),
	})
	if call.ClientIP.IsValid() { // not the tag ai.location.ip: the service would blank it out
		item.Properties["Client IP"] = call.ClientIP.String()
	}
	item.Measurements = make(map[string]float64)
	if u := call.Usage; u != nil {
		item.Measurements[telemetry.PromptTokens] = float64(u.PromptTokens)
		item.Measurements[telemetry.CompletionTokens] = float64(u.CompletionTokens)
		item.Measurements[telemetry.TotalTokens] = float64(u.PromptTokens + u.CompletionTokens)
	}
	if at := call.Standing; at != nil && at.TokensPerMinute > 0 {
		item.Measurements["Remaining Tokens"] = float64(at.Remaining)
	}
	if at := call.Standing; at != nil && at.Quota > 0 {
		item.Measurements["Remaining Quota Tokens"] = float64(at.QuotaRemaining)
	}
	return item.TelemetryData()
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
		item.Measurements[telemetry.UpstreamLatency] = milliseconds(up.Latency)
	}
	if up.FirstToken > 0 {
		item.Measurements[telemetry.TimeToFirstToken] = milliseconds(up.FirstToken)
	}
	return item.TelemetryData()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// properties are those that have a value.
func properties(all map[string]string) map[string]string {
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}
