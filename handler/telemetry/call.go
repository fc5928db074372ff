package telemetry

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"tollgate/handler/limit"
)

// A Call describes one finished call. It has no field for a key, a prompt or a
// completion.
type Call struct {
	// RequestID is the x-request-id of the answer.
	RequestID string
	// TraceID, SpanID and ParentID are the W3C trace context in lower-case
	// hexadecimal: the trace, the call's span, and the caller's span, which is empty if
	// the trace begins here.
	TraceID, SpanID, ParentID string
	Started                   time.Time
	Duration                  time.Duration

	// Method is the HTTP method; Route the path's pattern, such as
	// /openai/deployments/{name}/chat/completions.
	Method, Route string
	// Status is the answer's HTTP status, 499 if the caller left first.
	Status int
	// Outcome is the error code, empty if the call succeeded.
	Outcome string
	// Refused reports whether the gateway itself refused the call; Outcome is why.
	Refused bool
	// Shadowed is the error code of the refusal that the call was spared because a limit
	// is in shadow; empty if no such limit would have refused it.
	Shadowed string
	// Degraded reports whether the call was decided without the shared counters.
	Degraded bool
	// Stream reports whether the caller asked for a stream.
	Stream bool

	// Subscription and Tier are ids, empty if the key was not accepted. Group is that of
	// the subscription, if it is in one.
	Subscription, Tier, Group string
	// API and Operation are APIM's api and operation ids of the route.
	API, Operation string
	Model          string
	// ClientIP is the caller's address, the zero Addr if unknown.
	ClientIP netip.Addr
	// Header is the request's header. Report reads the configured dimensions from it
	// and keeps nothing else.
	Header http.Header

	// Usage is the usage that was charged, nil if none was.
	Usage *Usage
	// Estimate is the size of the prompt as counted before the call, in tokens; 0 if it
	// was not counted.
	Estimate int64
	// Standings are the states of the call's limits when it ended; empty if unknown.
	Standings []Standing
	// RefusedBy are the limits that refused the call or, if it is Shadowed, would have.
	RefusedBy []Refusal
	// Upstream describes the forwarded request, nil if the call was not forwarded.
	Upstream *Upstream
}

// Usage holds the tokens that a call used, and its cost.
type Usage struct {
	limit.Usage
	// Known reports whether upstream sent the usage. If not, the gateway counted it.
	Known bool
	// Priced reports whether the call had a price. If not, its cost is unknown, not 0.
	Priced bool
	// Currency is the code of the cost's currency; empty if none is set.
	Currency string
}

// A Value is a part of a call's usage under its metric's name: a number of tokens, or a
// cost with its currency.
type Value struct {
	Name     string
	Amount   float64
	Currency string
}

// Values returns the usage by metric. Cached and reasoning tokens are included only if
// above 0, the cost only if there was a price. Metrics are floating-point numbers: money
// becomes one here and nowhere before, exact to 15 digits.
func (u *Usage) Values() []Value {
	values := []Value{{Name: PromptTokens, Amount: float64(u.PromptTokens)}, {Name: CompletionTokens, Amount: float64(u.CompletionTokens)}, {Name: TotalTokens, Amount: float64(u.Total())}}
	if u.CachedTokens > 0 {
		values = append(values, Value{Name: CachedTokens, Amount: float64(u.CachedTokens)})
	}
	if u.ReasoningTokens > 0 {
		values = append(values, Value{Name: ReasoningTokens, Amount: float64(u.ReasoningTokens)})
	}
	if u.Priced {
		values = append(values, Value{Cost, Amount(limit.Cost, u.Cost), u.Currency})
	}
	return values
}

// dimensions returns the value's dimensions: those chosen, and a cost's currency.
func (v Value) dimensions(chosen []pair) []pair {
	if v.Currency == "" {
		return chosen
	}
	return append(slices.Clip(chosen), pair{CurrencyDimension, v.Currency})
}

// A Counter identifies one of a limit's counters in metrics.
type Counter struct {
	Limit string // the limit's full name
	Unit  limit.Unit
	Owner limit.Owner // of the counter
}

// dimensions returns the counter's dimensions; tier is the call's. Only a counter that a
// subscription has alone gets a Subscription ID: otherwise each subscription would report
// a shared counter as its own.
func (c *Counter) dimensions(tier string) []pair {
	if c.Owner.Subscription == "" {
		tier = c.Owner.Tier
	}
	return []pair{{"Subscription ID", c.Owner.Subscription}, {"Product ID", tier}, {"Group ID", c.Owner.Group}, {"Limit", c.Limit}, {"Unit", string(c.Unit)}}
}

// A Refusal is a counter that refused a call: because of its quota if QuotaPeriod isn't
// empty, otherwise because of its minute.
type Refusal struct {
	Counter
	QuotaPeriod string
}

// Standing is the state of one of the counters that a call was charged to, in amounts of
// its unit. PerMinute or Quota is 0 if the limit has none.
type Standing struct {
	Counter
	PerMinute, Used, Remaining       int64
	Quota, QuotaUsed, QuotaRemaining int64
	QuotaPeriod                      string
}

// InTokens reports whether the limit counts tokens of any kind.
func (s *Standing) InTokens() bool {
	return s.Unit == limit.Tokens || s.Unit == limit.PromptTokens || s.Unit == limit.CompletionTokens
}

// Upstream describes the request to the model's endpoint.
type Upstream struct {
	// Endpoint is the endpoint's name, SpanID the span sent to it.
	Endpoint, SpanID string
	Started          time.Time
	// Latency, FirstToken and Duration are the times from Started to the answer's first
	// byte, to the first text of a stream, and to the answer's end; 0 if that point
	// wasn't reached.
	Latency, FirstToken, Duration time.Duration
	// Status is upstream's HTTP status, 0 if there was no answer.
	Status int
	// Failed reports whether the answer is missing or incomplete.
	Failed bool
}

// truncated returns the network of an address, which doesn't identify a household: 24
// bits of IPv4, 48 of IPv6.
func truncated(ip netip.Addr) netip.Addr {
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	prefix, err := ip.Prefix(bits)
	if err != nil { // the zero Addr
		return ip
	}
	return prefix.Addr()
}
