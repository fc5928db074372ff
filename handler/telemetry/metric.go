package telemetry

import (
	"strings"
	"time"
)

// The names of the metrics. The first three, their dimensions and their
// meaning are those of APIM's llm-emit-token-metric, so that what was made for
// it keeps working.
const (
	PromptTokens     = "Prompt Tokens"
	CompletionTokens = "Completion Tokens"
	TotalTokens      = "Total Tokens"

	Refusals            = "Refusals"              // calls, by Reason
	ShadowRefusals      = "Shadow Refusals"       // calls that shadow let pass, by Reason
	DegradedCalls       = "Degraded Calls"        // calls decided without the shared counters
	Failures            = "Failures"              // calls that ended otherwise than well, by Reason
	UnknownUsage        = "Unknown Usage"         // calls whose usage the gateway had to count
	PromptEstimateError = "Prompt Estimate Error" // tokens counted before the call less those that upstream charged
	UpstreamLatency     = "Upstream Latency"      // milliseconds until upstream's answer began
	TimeToFirstToken    = "Time to First Token"   // milliseconds until a stream's first text
	QuotaUsed           = "Quota Used"            // tokens of the period, an active subscription's
	QuotaLimit          = "Quota Limit"           // tokens
	MinuteLimit         = "Tokens Per Minute Limit"

	TableOperations  = "Table Operations"
	LeaseConflicts   = "Lease Conflicts"
	ForfeitedTokens  = "Forfeited Tokens" // leased by instances that died, as this one found
	UnwrittenTokens  = "Unwritten Tokens" // of writes whose fate can't be told any more
	DegradedSeconds  = "Degraded Seconds"
	TelemetryDropped = "Telemetry Dropped" // items, by Reason
)

// ReplayedDimension marks metrics that were sent again from the usage table.
const ReplayedDimension = "Replayed"

// ownDimensions are those that the gateway adds itself.
var ownDimensions = []string{"Region", "Service Name", "Service Type", "Reason"}

// Metric is what was measured in one interval under one name and set of
// dimensions.
type Metric struct {
	Name string
	// At is the interval's beginning.
	At            time.Time
	Sum, Min, Max float64
	Count         int
	// Dimensions are values by name. It is the receiver's to keep.
	Dimensions map[string]string
}

// pair is one dimension of a series.
type pair struct{ name, value string }

// other stands for the values of series beyond the bound.
const other = "other"

// series are the metrics of one interval, at most limit of each name.
type series struct {
	limit    int
	byKey    map[string]*measured
	inOrder  []*measured
	perName  map[string]int
	overflow string // the first name that had more
}

type measured struct {
	Metric
	pairs []pair
}

func newSeries(limit int) series {
	return series{limit: limit, byKey: make(map[string]*measured), perName: make(map[string]int)}
}

// add counts one value.
func (s *series) add(name string, value float64, dimensions ...pair) {
	m := s.find(name, dimensions)
	if m.Count == 0 {
		m.Min, m.Max = value, value
	}
	m.Sum, m.Count = m.Sum+value, m.Count+1
	m.Min, m.Max = min(m.Min, value), max(m.Max, value)
}

// gauge keeps the largest value of an interval.
func (s *series) gauge(name string, value float64, dimensions ...pair) {
	m := s.find(name, dimensions)
	if m.Count == 0 || value > m.Sum {
		m.Sum, m.Min, m.Max, m.Count = value, value, value, 1
	}
}

// find is the series of a name and dimensions; beyond the limit the one in
// which every value is "other", so that sums stay whole.
func (s *series) find(name string, dimensions []pair) *measured {
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
	m := &measured{Metric: Metric{Name: name}, pairs: dimensions}
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

// metrics are the series as they are sent. Empty values are left out.
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
