package telemetry

import (
	"net/http"
	"net/netip"
	"time"
)

// Call is what is told of one finished call. It has no room for a key, a
// prompt or a completion.
type Call struct {
	// RequestID is the x-request-id of the answer.
	RequestID string
	// TraceID, SpanID and ParentID are the W3C trace context: the trace, the
	// call's own span, and the caller's, empty where the trace begins here. In
	// lower-case hexadecimal.
	TraceID, SpanID, ParentID string
	Started                   time.Time
	Duration                  time.Duration

	// Method and Route are what was asked for: the path's pattern, such as
	// /openai/deployments/{name}/chat/completions, without a query.
	Method, Route string
	// Status is the answer's, 499 where the caller had left.
	Status int
	// Outcome is the code of what went wrong, empty if nothing did.
	Outcome string
	// Refused says that the gateway itself turned the call down, by Outcome.
	Refused bool
	// Shadowed is the code of the refusal that a tier in shadow let pass, empty if
	// there was none.
	Shadowed string
	// Degraded says that the call was decided without the shared counters.
	Degraded bool
	// Stream says that the answer was to be streamed.
	Stream bool

	// Subscription and Tier are ids, empty where the key was not accepted.
	Subscription, Tier string
	// API and Operation are the route's: APIM's api and operation ids.
	API, Operation string
	Model          string
	// ClientIP is the caller's address, the zero Addr if unknown.
	ClientIP netip.Addr
	// Header is the caller's. Report reads the configured dimensions from it
	// and keeps none of it.
	Header http.Header

	// Usage is what was settled, nil if nothing was.
	Usage *Usage
	// Estimate is the prompt as it was counted before the call, in tokens; 0 where
	// it was not counted.
	Estimate int64
	// Standing is where the limits stood when the call ended, nil if unknown.
	Standing *Standing
	// Upstream is the model's part, nil if the call was not forwarded.
	Upstream *Upstream
}

// Usage is what a call took, in tokens.
type Usage struct {
	PromptTokens, CompletionTokens int64
	// Known is false where upstream didn't say and the gateway counted.
	Known bool
}

// Standing is where the limits of a subscription stand, in tokens; a limit of
// 0 is none.
type Standing struct {
	TokensPerMinute, Remaining       int64
	Quota, QuotaUsed, QuotaRemaining int64
	QuotaPeriod                      string // as the tier has it
}

// Upstream is how the model's endpoint did.
type Upstream struct {
	// Endpoint is its name, SpanID the span that it was told of.
	Endpoint, SpanID string
	Started          time.Time
	// Latency is from asking to the answer's beginning, FirstToken from asking
	// to the first text of a stream, Duration to the answer's end. 0: not reached.
	Latency, FirstToken, Duration time.Duration
	// Status is upstream's, 0 where no answer came.
	Status int
	// Failed says that no whole answer came.
	Failed bool
}

// truncated keeps of an address what names a network, not a household: 24 bits
// of IPv4, 48 of IPv6.
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
