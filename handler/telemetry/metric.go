package telemetry

import (
	"strings"
	"time"

	"tollgate/handler/limit"
)

// The names of the metrics. The first five have the names, dimensions and meaning of
// APIM's llm-emit-token-metric, so that existing dashboards keep working.
const (
	PromptTokens     = "Prompt Tokens"
	CompletionTokens = "Completion Tokens"
	TotalTokens      = "Total Tokens"
	CachedTokens     = "Prompt Cached Tokens"        // sent only above 0
	ReasoningTokens  = "Completion Reasoning Tokens" // sent only above 0
	// Cost is in units of the currency that the dimension Currency names; sent only where
	// the call had a price.
	Cost = "Cost"

	Refusals            = "Refusals"              // calls, by Reason
	LimitRefusals       = "Limit Refusals"        // calls, once for each limit that refused
	ShadowRefusals      = "Shadow Refusals"       // calls admitted only because of shadow, by Reason
	DegradedCalls       = "Degraded Calls"        // calls decided without the shared counters
	Failures            = "Failures"              // failed calls, by Reason
	UnknownUsage        = "Unknown Usage"         // calls whose usage the gateway had to count
	PromptEstimateError = "Prompt Estimate Error" // prompt tokens counted before the call minus upstream's
	UpstreamLatency     = "Upstream Latency"      // milliseconds to upstream's first byte
	TimeToFirstToken    = "Time to First Token"   // milliseconds to a stream's first text
	QuotaUsed           = "Quota Used"            // amount of the unit in the period, of active counters
	QuotaLimit          = "Quota Limit"           // amount
	MinuteUsed          = "Minute Used"           // amount of the unit in the minute, of active counters
	MinuteLimit         = "Minute Limit"          // amount

	TableOperations  = "Table Operations"  // of the counters and the ledger
	LeaseConflicts   = "Lease Conflicts"   // writes of counters lost to another instance's
	ForfeitedLeases  = "Forfeited Leases"  // of dead instances, counted by the instance that reclaims them
	UnwrittenCharges = "Unwritten Charges" // times that charges to a counter were lost, or may have been
	UnwrittenTokens  = "Unwritten Tokens"  // tokens missing from the ledger
	DegradedSeconds  = "Degraded Seconds"  // during which the counters' store was down
	TelemetryDropped = "Telemetry Dropped" // items, by Reason
)

// LimitThreshold is the name of the event that a percentage of a quota has been used.
const LimitThreshold = "Limit Threshold"

// Dimensions that the gateway adds to some metrics.
const (
	// ReplayedDimension marks metrics that were sent again from the usage table.
	ReplayedDimension = "Replayed"
	// CurrencyDimension is the code of a cost's currency.
	CurrencyDimension = "Currency"
)

// ownDimensions are the dimensions that the gateway adds itself.
var ownDimensions = []string{"Region", "Service Name", "Service Type", "Reason", CurrencyDimension}

// A Metric aggregates the values of one name and set of dimensions in one interval.
type Metric struct {
	Name string
	// At is the interval's beginning.
	At            time.Time
	Sum, Min, Max float64
	Count         int
	// Dimensions holds values by name. The receiver owns the map.
	Dimensions map[string]string
}

// Amount returns an amount of a unit as metrics hold it: money in units of the currency,
// anything else as it is.
func Amount(unit limit.Unit, n int64) float64 {
	if unit == limit.Cost {
		return float64(n) / limit.Nano
	}
	return float64(n)
}

// A pair is one dimension of a metric.
type pair struct{ name, value string }

// other replaces every dimension value of the metrics beyond a series' limit.
const other = "other"

// A series holds the metrics of one interval, at most limit of each name.
type series struct {
	limit    int
	byKey    map[string]*aggregate
	inOrder  []*aggregate
	perName  map[string]int
	overflow string // the first name to exceed the limit
}

// An aggregate is a metric with its dimensions in order.
type aggregate struct {
	Metric
	pairs []pair
}

func newSeries(limit int) series {
	return series{limit: limit, byKey: make(map[string]*aggregate), perName: make(map[string]int)}
}

// add adds one value to a metric.
func (s *series) add(name string, value float64, dimensions ...pair) {
	m := s.find(name, dimensions)
	if m.Count == 0 {
		m.Min, m.Max = value, value
	}
	m.Sum, m.Count = m.Sum+value, m.Count+1
	m.Min, m.Max = min(m.Min, value), max(m.Max, value)
}

// gauge keeps the interval's largest value.
func (s *series) gauge(name string, value float64, dimensions ...pair) {
	m := s.find(name, dimensions)
	if m.Count == 0 || value > m.Sum {
		m.Sum, m.Min, m.Max, m.Count = value, value, value, 1
	}
}

// find returns the metric with a name and dimensions, and adds it if it is new. Beyond
// the limit it returns the metric whose dimension values are all "other", so that sums
// stay complete.
func (s *series) find(name string, dimensions []pair) *aggregate {
	key := keyOf(name, dimensions)
	if m, ok := s.byKey[key]; ok {
		return m
	}
	if s.perName[name] >= s.limit && len(dimensions) > 0 {
		if s.overflow == "" {
			s.overflow = name
		}
		rest := make([]pair, len(dimensions))
		for i, d := range dimensions {
			rest[i] = pair{d.name, other}
		}
		dimensions, key = rest, keyOf(name, rest)
		if m, ok := s.byKey[key]; ok {
			return m
		}
	}
	s.perName[name]++
	m := &aggregate{Metric: Metric{Name: name}, pairs: dimensions}
	s.byKey[key], s.inOrder = m, append(s.inOrder, m)
	return m
}

func keyOf(name string, dimensions []pair) string {
	var key strings.Builder
	size := len(name)
	for _, d := range dimensions {
		size += len(d.name) + len(d.value) + 2
	}
	key.Grow(size)
	key.WriteString(name)
	for _, d := range dimensions {
		key.WriteByte(0)
		key.WriteString(d.name)
		key.WriteByte(0)
		key.WriteString(d.value)
	}
	return key.String()
}

// metrics returns the metrics to send, without dimensions whose value is empty.
func (s *series) metrics(at time.Time, place Place) []Metric {
	all := make([]Metric, 0, len(s.inOrder))
	for _, m := range s.inOrder {
		m.At, m.Dimensions = at, make(map[string]string, len(m.pairs)+3)
		for _, d := range append(m.pairs, pair{"Region", place.Region}, pair{"Service Name", place.Site}, pair{"Service Type", "Tollgate"}) {
			if d.value != "" {
				m.Dimensions[d.name] = d.value
			}
		}
		all = append(all, m.Metric)
	}
	return all
}
