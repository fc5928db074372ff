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

// A call is one request under way. Each step of serving it adds what it learns.
type call struct {
	arrival
	caller
	route route

	request  operation.Request // the parsed body; nil before that, and without a body
	stored   storedState
	model    string // empty until it is known to be a model's name
	prompt   promptCost
	price    pricing
	hold     hold
	upstream exchange
	charge   settlement
	result   result
}

// An arrival holds the request as it arrived.
type arrival struct {
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	started   time.Time
	trace     trace
}

// A caller holds whose call it is, and the room that the call takes on this instance.
type caller struct {
	grant     *subscription.Grant // nil until the key is accepted
	admission *admission
	room      *allotment // room in the budget for the body
}

// A promptCost holds what is known of the prompt's size.
type promptCost struct {
	bytes    int64           // size of the body
	families []charge.Family // of the models that may answer, the preferred one first
	family   charge.Family   // of the model asked last; until one is asked, of the first in line
	weights  []charge.Prompt // the prompt's size for each of families; nil: not computed yet
	pending  *pendingPrompts // weights being computed while the answer is awaited; nil: none
	estimate int64           // the prompt's count, in tokens; 0: not counted
}

// An exchange records what passed between the gateway and the model's endpoints. A time
// is zero until its event happens.
type exchange struct {
	sentAt, answeredAt, firstTextAt time.Time

	response       *upstream.Response
	endpoint       string // name of the endpoint asked last
	isLast         bool   // no other endpoint will be asked
	requestedUsage bool   // the gateway asked for the stream's usage, the caller didn't
	countable      bool   // counting the stream gives the exact charge, whichever model answers
	failedPrompts  int64  // endpoints that failed after a model had read the prompt
}

// A settlement holds what the call is charged.
type settlement struct {
	usage        limit.Usage
	settled      bool
	fromUpstream bool   // usage is the endpoint's own; else Tollgate's count or bound
	readOn       func() // reads the rest of the answer after the caller was answered, and settles; nil: nothing to read
}

// A result records how the call ended, for the log and telemetry.
type result struct {
	status    int
	outcome   string              // error code; empty: success
	refused   bool                // by the gateway, for the reason in outcome
	refusedBy []telemetry.Refusal // limits that refused it
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
	// connectionBuffer is the size, in bytes, of the longest answer that a connection takes
	// even from a caller who reads nothing.
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
