package gateway

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/charge"
	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/subscription"
	"tollgate/handler/telemetry"
	"tollgate/handler/upstream"
)

// A call is one request under way. Each step adds what it found out.
type call struct {
	arrival
	caller
	route route

	request  operation.Request // what is asked; nil until the body is parsed, or without one
	stored   storedState
	model    string // empty until it is known to be a model's name
	prompt   promptCost
	price    pricing
	hold     hold
	upstream exchange
	charge   settlement
	result   result
}

// An arrival is the request as it came.
type arrival struct {
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	started   time.Time
	trace     trace
}

// A caller is who calls, and what its call takes up of this instance.
type caller struct {
	grant     *subscription.Grant // nil until the key is accepted
	admission *admission
	room      *allotment // of the budget, for the body
}

// A promptCost is what is known of a prompt's cost.
type promptCost struct {
	bytes    int64           // size of the body
	families []charge.Family // of the models that may answer, the preferred one first
	family   charge.Family   // of the model that was asked last or, before, is asked first
	weights  []charge.Prompt // the prompt's cost for each of families; nil: not computed yet
	pending  *pendingPrompts // weights being computed while the answer is awaited; nil: none
	estimate int64           // the prompt's count, tokens; 0: not counted
}

// An exchange is what happened between the gateway and the model's endpoint. Times
// are zero if it didn't come to that.
type exchange struct {
	sentAt, answeredAt, firstTextAt time.Time

	response       *upstream.Response
	endpoint       string // the one that was asked last
	isLast         bool   // no other endpoint will be asked
	requestedUsage bool   // the gateway asked for the stream's usage, the caller didn't
	countable      bool   // the stream shows everything that the call uses, whichever model answers
	failedPrompts  int64  // endpoints that failed after a model had read the prompt
}

// settlement holds the charge of a call.
type settlement struct {
	usage        limit.Usage
	settled      bool
	fromUpstream bool   // usage is the endpoint's own; else Tollgate's count or bound
	readOn       func() // reads the rest of the answer after the caller's part is over, and settles; nil: nothing to read
}

// A result is how the call ended, for the log and telemetry.
type result struct {
	status    int
	outcome   string              // code; empty: success
	refused   bool                // by the gateway, with outcome
	refusedBy []telemetry.Refusal // that refused it
	cause     error
}

// newCall returns a new call, with its request id set on the answer.
func newCall(w http.ResponseWriter, r *http.Request) *call {
	c := &call{arrival: arrival{w: w, r: r, requestID: requestID(r.Header), started: time.Now(), trace: traceOf(r.Header)}}
	w.Header().Set(headerRequestID, c.requestID)
	if r.Header.Get(headerAnthropicVersion) != "" {
		w.Header().Set(headerAnthropicID, c.requestID)
	}
	return c
}

// send sends a whole body and flushes it, so that the caller needn't wait for the
// report. An empty contentType is JSON.
func (c *call) send(status int, contentType string, body []byte) {
	c.result.status = status
	h := c.w.Header()
	h["Content-Type"] = []string{cmp.Or(contentType, "application/json")}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.w.WriteHeader(status)
	control := http.NewResponseController(c.w)
	if len(body) <= connectionBuffer {
		_, _ = c.w.Write(body) // fails if the caller has left
		_ = control.Flush()
		return
	}
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	for piece := range slices.Chunk(body, pieceSize) {
		_ = control.SetWriteDeadline(time.Now().Add(pieceTimeout)) // fails where the writer has no deadlines
		if _, err := c.w.Write(piece); err != nil {
			return
		}
	}
	_ = control.Flush()
}

const (
	// connectionBuffer is the size, in bytes, up to which a connection buffers an answer
	// whether or not its caller reads it.
	connectionBuffer = 16 << 10
	// pieceTimeout is how long a caller may take to read each pieceSize bytes of a
	// longer answer.
	pieceTimeout = 30 * time.Second
	pieceSize    = 1 << 20
)

// answerError answers a call that failed with err.
func (g *Gateway) answerError(c *call, err error) {
	p := asProblem(err)
	c.result.outcome, c.result.cause, c.result.refused, c.result.refusedBy = p.code, p.cause, p.isRefusal(), p.refusedBy
	g.setKnownLimitHeaders(c)
	if p.retry > 0 {
		g.canonical.setRetryAfter(c.w.Header(), p.retry)
	}
	if len(p.refusedBy) > 0 {
		c.w.Header()[headerRefusedBy] = []string{strings.Join(namesOf(p.refusedBy), ", ")}
	}
	if p.verbatim == nil && p.retryUseless() {
		c.w.Header()[headerShouldRetry] = []string{"false"}
	}
	if p.verbatim != nil {
		c.send(p.status, c.w.Header().Get("Content-Type"), p.verbatim)
		return
	}
	c.send(p.status, "application/json", c.problemForm(g.config.BasePath)(p.forCaller(c.requestID)))
}
