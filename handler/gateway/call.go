package gateway

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tollgate/handler/charge"
	"tollgate/handler/chat"
	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/upstream"
)

// call is one request on its way: each step adds what it found out.
type call struct {
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	started   time.Time
	route     route

	grant       *subscription.Grant
	admission   *admission
	finally     bool     // no other endpoint will be asked
	held        *holding // of the budget, for the body
	request     *chat.Request
	model       string
	families    []charge.Family // of the models that may answer, the preferred first
	family      charge.Family   // of the model that was asked last, or is asked first
	weights     []charge.Prompt // of the prompt, by families; nil: not found yet
	size        int64           // of the body, bytes
	prompt      int64           // reserved of the prompt, tokens
	estimate    int64           // the prompt's count, tokens; 0: nobody needed to know
	late        *lateWeight     // of the prompt, while the answer is awaited; nil: there is none
	trusted     int64           // tokens reserved by the prompt's size, without counting
	cap         int64           // tokens, put on each completion; 0: none is
	reservation *counter.Reservation
	response    *upstream.Response
	askedUsage  bool // the stream's usage chunk is asked for by the gateway alone

	reads  int64  // of the prompt by endpoints that failed then
	shown  bool   // a stream shows all that the call takes, whoever answers
	follow func() // reads what the endpoint still sends after the caller's part is over; nil: nothing

	// for the report
	status   int
	shadow   string // the code that it would have been refused with
	degraded bool   // decided without the shared counter
	outcome  string
	refused  bool // by the gateway itself, by outcome
	usage    limit.Usage
	settled  bool
	told     bool // usage is upstream's own
	cause    error
	standing limit.Standing // as last told
	trace    trace
	asked    time.Time // when upstream was asked, answered and, in a stream, wrote its first text; zero: it wasn't
	answered time.Time
	wrote    time.Time
}

// begin returns a new call, with its request id set on the answer.
func begin(w http.ResponseWriter, r *http.Request) *call {
	c := &call{w: w, r: r, requestID: requestID(r.Header), started: time.Now(), trace: traceOf(r.Header)}
	w.Header().Set(headerRequestID, c.requestID)
	return c
}

// answer sends a whole body and flushes it, so that the caller needn't wait for the
// report. An empty contentType is JSON.
func (c *call) answer(status int, contentType string, body []byte) {
	c.status = status
	h := c.w.Header()
	h["Content-Type"] = []string{cmp.Or(contentType, "application/json")}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.w.WriteHeader(status)
	control := http.NewResponseController(c.w)
	if len(body) <= roomForAnswer {
		_, _ = c.w.Write(body) // fails if the caller has left
		_ = control.Flush()
		return
	}
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	for piece := range slices.Chunk(body, acceptedPiece) {
		_ = control.SetWriteDeadline(time.Now().Add(pieceAccepted)) // fails where the writer has no deadlines
		if _, err := c.w.Write(piece); err != nil {
			return
		}
	}
	_ = control.Flush()
}

const (
	// roomForAnswer is the size, in bytes, up to which a connection buffers an answer
	// whether or not its caller reads it.
	roomForAnswer = 16 << 10
	// pieceAccepted is how long a caller may take to read each acceptedPiece bytes of a
	// longer answer.
	pieceAccepted = 30 * time.Second
	acceptedPiece = 1 << 20
)

// answerError answers a call that failed with err.
func (g *Gateway) answerError(c *call, err error) {
	p := asProblem(err)
	c.outcome, c.cause, c.refused = p.code, p.cause, p.isRefusal()
	g.setKnownLimitHeaders(c)
	if p.retry > 0 {
		g.canonical.setRetryAfter(c.w.Header(), p.retry)
	}
	if p.verbatim == nil && p.retryUseless() {
		c.w.Header()[headerShouldRetry] = []string{"false"}
	}
	if p.verbatim != nil {
		c.answer(p.status, c.w.Header().Get("Content-Type"), p.verbatim)
		return
	}
	c.answer(p.status, "application/json", p.body(c.requestID))
}
