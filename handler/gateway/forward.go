package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tollgate/handler/operation"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

// forward sends the call upstream and relays the answer. A response without an answer in
// it is a failure of its endpoint: nothing has reached the caller yet, so the next
// endpoint is asked.
func (g *Gateway) forward(c *call) error {
	if c.request.Envelope().Stream {
		c.weighInBackground()
	}
	var rest *upstream.Rest
	request := c.upstreamCall()
	request.BodyDone, request.Failed = c.noteLastEndpoint, c.endpointFailed
	if c.upstream.countable = c.streamCountable(); g.readOnTime(c) > 0 { // else an endpoint is cancelled, not read on
		request.Rest = func(r *upstream.Rest) { rest = r }
	}
	response, err := g.config.Upstream.Send(c.r.Context(), request)
	defer func() {
		if c.upstream.response != nil {
			c.upstream.response.Close()
		}
	}()
	for err == nil {
		c.upstream.response, c.upstream.answeredAt = response, time.Now()
		c.w.Header().Set(headerUpstream, response.Target.Endpoint)
		var none *upstream.Error
		if none, err = g.relay(c); none == nil {
			return err
		}
		response, err = response.TryNext(none)
	}
	g.chargeUnanswered(c, err, rest)
	return g.upstreamFailure(c, err)
}

// upstreamCall returns the call in the form in which endpoints get it.
func (c *call) upstreamCall() upstream.Call {
	c.upstream.sentAt = time.Now()
	sent := upstream.Call{
		Selection: c.selection(), Since: c.started,
		Request: upstream.Request{Method: c.route.method, RequestID: c.requestID, Traceparent: c.trace.outbound()},
	}
	passed := c.route.operation.Passed
	for _, name := range passed.Headers {
		if values := c.r.Header[name]; len(values) > 0 {
			if sent.Header == nil {
				sent.Header = make(http.Header, len(passed.Headers))
			}
			sent.Header[name] = values
		}
	}
	if len(passed.Query) > 0 && c.r.URL.RawQuery != "" {
		query := c.r.URL.Query()
		maps.DeleteFunc(query, func(name string, _ []string) bool { return !slices.Contains(passed.Query, name) })
		sent.Query = query.Encode()
	}
	if c.request != nil {
		sent.Stream, sent.Body = c.request.Envelope().Stream, c.body
	}
	return sent
}

// selection returns which endpoints may serve the call.
func (c *call) selection() upstream.Selection {
	return upstream.Selection{Model: c.model, Subscription: c.grant.Subscription.ID, Endpoint: c.stored.named.Endpoint,
		Path: c.upstreamPath(c.route.operation), ExtraParameters: c.extraParameters()}
}

// upstreamPath returns the path of an operation at the endpoints of a shape, with the id
// of the caller's path.
func (c *call) upstreamPath(o *operation.Operation) func(shape.Shape) string {
	return func(s shape.Shape) string {
		if c.route.id == "" {
			return o.Upstream[s]
		}
		return strings.ReplaceAll(o.Upstream[s], "{id}", url.PathEscape(c.route.id))
	}
}

// relay sends an answer on to the caller and charges it. If the response has no answer,
// and nothing has been sent or charged yet, it returns what is wrong as none.
func (g *Gateway) relay(c *call) (none *upstream.Error, err error) {
	if c.route.operation.Follow != nil && c.upstream.response.Streamed() {
		return g.relayStream(c)
	}
	return g.relayBody(c)
}

// body returns the body to send to an endpoint: the caller's, with the model, the cap and
// the usage option changed where needed.
func (c *call) body(t upstream.Target) [][]byte {
	c.setFamily(t)
	c.upstream.endpoint = t.Endpoint
	c.upstream.requestedUsage = t.StreamOptions && c.request.Envelope().UsageOnRequest
	return c.request.Rewrite(operation.Edit{
		Model: t.Model, Cap: c.hold.cap, Enforce: c.reservesAll(), Rules: c.capRules(), AskUsage: c.upstream.requestedUsage,
	})
}

// headerUpstream is the name of the endpoint that answered.
const headerUpstream = "X-Tollgate-Upstream"

// chargeUnanswered charges a call that upstream has not begun to answer. If an endpoint
// was working on it when the caller left or the time ran out, the call is charged for
// that. Otherwise it costs nothing but the prompts that failed endpoints read.
func (g *Gateway) chargeUnanswered(c *call, err error, rest *upstream.Rest) {
	failed, ok := errors.AsType[*upstream.Error](err)
	switch {
	case c.charge.settled || c.charge.readOn != nil: // charged already, by an answer that broke off
	case ok && failed.Accepted && gaveUp(failed):
		g.settleUnfinished(c, &follower{gateway: g, call: c}, rest)
		g.setUsageHeaders(c)
	default:
		c.settleFailed()
		g.setUsageHeaders(c)
	}
}

// gaveUp reports whether a call failed because its caller left or its time ran out, not
// through its endpoint.
func gaveUp(failed *upstream.Error) bool {
	return failed.Reason == upstream.Left || failed.Reason == upstream.TimedOut
}

// endpointFailed counts an endpoint that failed after its model had read the prompt, which
// is billed. It reports whether another endpoint may be asked: after such a failure not
// under reserve: full, which reserves only one prompt.
func (c *call) endpointFailed(err error) (goOn bool) {
	if !promptWasRead(err) {
		return true
	}
	c.upstream.failedPrompts++
	return !c.reservesAll()
}

// promptWasRead reports whether an endpoint failed after its model had read the prompt,
// which Azure bills.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs
func promptWasRead(err error) bool {
	own, ok := errors.AsType[*upstream.StatusError](err)
	if !ok {
		return false
	}
	var body struct {
		Error struct {
			Code       string
			InnerError struct{ Code string }
		}
	}
	switch own.Status {
	case http.StatusRequestTimeout:
		return true
	case http.StatusBadRequest:
		return json.Unmarshal(own.Body, &body) == nil &&
			(body.Error.Code == "content_filter" || body.Error.InnerError.Code == "ResponsibleAIPolicyViolation")
	}
	return false
}

// upstreamFailure answers a call that upstream failed or answered with an error.
func (g *Gateway) upstreamFailure(c *call, err error) error {
	if own, ok := errors.AsType[*upstream.StatusError](err); ok {
		return upstreamProblem(c, own)
	}
	if busy, ok := errors.AsType[*upstream.UnavailableError](err); ok && busy.Throttled {
		return &problem{status: http.StatusTooManyRequests, code: "upstream_throttled", kind: kindServer, retry: busy.RetryAfter,
			message: fmt.Sprintf("The model is at its own limit. Try again in %s.", spellDuration(wholeSeconds(busy.RetryAfter))), cause: err}
	} else if ok {
		return &problem{status: http.StatusServiceUnavailable, code: "upstream_unavailable", kind: kindServer, retry: busy.RetryAfter,
			message: "The model accepts no calls just now.", cause: err}
	}
	p := &problem{status: http.StatusBadGateway, code: outcomeFailed, kind: kindServer, message: badGateway, cause: err}
	if failed, ok := errors.AsType[*upstream.Error](err); ok {
		c.w.Header().Set(headerUpstream, failed.Endpoint)
		p.code = string(failed.Reason)
		switch {
		case failed.Reason == upstream.Left:
			return clientClosed(err)
		case failed.Reason == upstream.TimedOut && c.streams():
			p.status, p.message = http.StatusGatewayTimeout, didNotBegin
		case failed.Reason == upstream.TimedOut:
			p.status, p.message = http.StatusGatewayTimeout, "The model did not answer in time. Set stream: true to get the answer as it is written, however long it takes."
		}
	}
	return p
}

const (
	badGateway  = "The model's endpoint did not answer as it should."
	didNotBegin = "The model did not begin to answer in time."
)

// upstreamProblem passes upstream's own error on, except one about the gateway's
// credential or account: a caller would think it means the caller's own.
func upstreamProblem(c *call, own *upstream.StatusError) error {
	c.w.Header().Set(headerUpstream, own.Endpoint)
	if own.Ours() {
		return &problem{status: http.StatusBadGateway, code: outcomeFailed, kind: kindServer, message: badGateway, cause: own}
	}
	maps.Copy(c.w.Header(), own.Header)
	p := &problem{status: own.Status, code: outcomeFailed, kind: kindServer, cause: own,
		message: fmt.Sprintf("The model's endpoint answered %d without an explanation.", own.Status)}
	if len(own.Body) > 0 {
		p.verbatim = own.Body
	}
	return p
}

// relayBody relays an answer that isn't streamed. The call is charged before the answer
// is sent.
func (g *Gateway) relayBody(c *call) (none *upstream.Error, err error) {
	held := g.budget.allot(c.grant.Subscription.ID)
	defer held.shrink(0)
	body, err := c.upstream.response.Body(func(bytes int64) error {
		if bytes > smallBody && c.upstream.isLast { // it may wait for room, so give the body's room back first
			c.weighInBackground()
			c.dropBody()
		}
		return held.growAnswer(c.r.Context(), bytes)
	})
	held.shrink(int64(cap(body)))
	answer := c.route.operation.Read(body, nil)
	if failed, ok := errors.AsType[*upstream.Error](err); ok {
		return g.endBrokenBody(c, failed, answer, body)
	}
	if !answer.IsAnswer {
		return c.upstream.response.Failure(upstream.BadAnswer, errNoAnswer), nil
	}
	g.chargeBody(c, answer, body)
	g.recordOwner(c, answer.ID, c.upstream.response.Target.Endpoint)
	if answer.Failed {
		c.result.outcome, body = outcomeFailed, c.upstream.response.Scrub(body)
	}
	c.dropBody()
	maps.Copy(c.w.Header(), c.upstream.response.Header)
	c.send(http.StatusOK, jsonType(c.upstream.response.Header.Get("Content-Type")), body)
	return nil, nil
}

// endBrokenBody ends a call whose answer, which isn't streamed, broke off. If its endpoint
// is to blame and the model wrote nothing, it returns the failure, so that another
// endpoint is asked. Otherwise it charges the call and returns the caller's error.
func (g *Gateway) endBrokenBody(c *call, failed *upstream.Error, answer operation.Answer, body []byte) (none *upstream.Error, err error) {
	if byEndpoint := failed.Reason == upstream.Broken || failed.Reason == upstream.BadAnswer; byEndpoint && !answer.Written {
		return failed, nil
	}
	f := &follower{gateway: g, call: c, held: body}
	if answer.Report != operation.UsageGood && gaveUp(failed) {
		g.settleUnfinished(c, f, c.upstream.response.Rest())
	} else {
		c.settle(f.usage(false))
		f.recordOwner()
	}
	g.setUsageHeaders(c)
	return nil, g.upstreamFailure(c, failed)
}

// chargeBody charges a complete answer that isn't streamed, and sets the usage headers.
func (g *Gateway) chargeBody(c *call, answer operation.Answer, body []byte) {
	switch {
	case answer.Report == operation.UsageGood:
		c.charge.fromUpstream = true
		c.settle(c.reportedUsage(answer.Usage))
	case answer.Failed:
		c.settleFailed()
	default:
		f := &follower{gateway: g, call: c, held: body}
		c.settle(f.usage(true))
	}
	g.setUsageHeaders(c)
}

// jsonType returns the Content-Type to send with a JSON answer: upstream's own if it is
// one of JSON, else application/json. Browsers and clients would believe any other type.
func jsonType(own string) string {
	if own == "application/json" { // nearly always
		return own
	}
	if kind, _, err := mime.ParseMediaType(own); err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) {
		return own
	}
	return "application/json"
}

// outcomeFailed is the outcome of a call that upstream refused, or whose answer began as
// a success and turned out to be an error.
const outcomeFailed = "upstream_error"

var (
	// errUnfinished means that a stream ended properly before its answer did.
	errUnfinished = errors.New("the stream ended before its answer did")
	// errNoAnswer means that a body has neither a choice nor an error.
	errNoAnswer = errors.New("the body holds no answer")
)

// relayStream relays a stream and charges the call, however the stream ends.
func (g *Gateway) relayStream(c *call) (none *upstream.Error, err error) {
	maps.Copy(c.w.Header(), c.upstream.response.Header)
	c.result.status = http.StatusOK
	m := g.meter(c)
	ending, notMetered := upstream.Cut, false // Cut, should the relay panic
	defer func() {
		if !notMetered {
			m.settleAtEnd(ending)
		}
	}()
	ending, err = c.upstream.response.Relay(c.w, m, m.relayEvent)
	if ending == upstream.NotStream {
		notMetered = true
		return g.relayBody(c)
	}
	if err == nil {
		ending, err = m.checkComplete(ending)
	}
	state := m.events.State()
	if ending == upstream.Cut && !c.upstream.response.Begun() && !state.IsAnswer {
		notMetered = true
		for name := range c.upstream.response.Header {
			c.w.Header().Del(name)
		}
		return c.upstream.response.Failure(upstream.Broken, err), nil
	}
	switch {
	case err != nil:
		c.result.outcome, c.result.cause = string(ending), err
	case state.Failed:
		c.result.outcome = outcomeFailed
	}
	switch {
	case !ending.ByUpstream(), state.Done && state.IsAnswer: // the caller has everything
		return nil, nil
	case c.upstream.response.Begun():
		panic(http.ErrAbortHandler) // a normal end would make the answer look complete
	}
	m.settleAtEnd(ending)
	g.setUsageHeaders(c)
	return nil, noStreamProblem(ending, err)
}

// noStreamProblem answers a call whose stream never began.
func noStreamProblem(ending upstream.Ending, err error) error {
	if ending == upstream.Cut {
		return &problem{status: http.StatusBadGateway, code: string(upstream.Broken), kind: kindServer, message: badGateway, cause: err}
	}
	return &problem{status: http.StatusGatewayTimeout, code: string(upstream.TimedOut), kind: kindServer, message: didNotBegin, cause: err}
}
