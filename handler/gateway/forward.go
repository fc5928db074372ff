package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"strings"
	"time"

	"tollgate/handler/chat"
	"tollgate/handler/limit"
	"tollgate/handler/upstream"
)

// forward asks upstream and passes on its answer. What holds no answer is a failure
// of its endpoint: as nothing of it has reached the caller, the others are asked.
func (g *Gateway) forward(c *call) error {
	if c.request.Stream {
		c.countMeanwhile()
	}
	c.asked = time.Now()
	var rest *upstream.Rest
	request := upstream.Call{
		Model: c.model, Stream: c.request.Stream, Since: c.started, RequestID: c.requestID,
		Traceparent: c.trace.outbound(), ExtraParameters: c.extraParameters(),
		Body: c.body, BodyDone: c.final, Failed: c.read,
	}
	if c.shown = c.shows(); g.readsOn(c) > 0 {
		request.Rest = func(r *upstream.Rest) { rest = r }
	}
	response, err := g.Upstream.Send(c.r.Context(), request)
	defer func() {
		if c.response != nil {
			c.response.Close()
		}
	}()
	for err == nil {
		c.response, c.answered = response, time.Now()
		c.w.Header().Set(headerUpstream, response.Target.Endpoint)
		var none *upstream.Error
		if none, err = g.pass(c); none == nil {
			return err
		}
		response, err = response.Another(none)
	}
	g.chargeUnanswered(c, err, rest)
	return g.failed(c, err)
}

// pass passes on an answer. If there is none, and nothing has been sent or charged,
// it returns what is wrong with what came in its place.
func (g *Gateway) pass(c *call) (none *upstream.Error, err error) {
	if c.response.Streamed() {
		return g.stream(c)
	}
	return g.whole(c)
}

// body makes the body for an endpoint, and notes what of it is the gateway's.
func (c *call) body(t upstream.Target) [][]byte {
	c.asks(t)
	options := t.StreamOptions && !c.request.DataSources
	edit := chat.Edit{IncludeUsage: options}
	if t.Model != "" && t.Model != c.request.Model {
		edit.Model = &t.Model
	}
	c.putCap(&edit, &c.family)
	c.askedUsage = c.request.Stream && options && !c.request.IncludeUsage
	return c.request.Rewrite(edit)
}

// headerUpstream names the endpoint that answered.
const headerUpstream = "X-Tollgate-Upstream"

// chargeUnanswered charges a call that upstream hasn't begun to answer. What an
// endpoint was at work on when the caller left or the time ran out is charged;
// what it refused, failed or never received costs nothing, but for what Azure
// bills the prompt of.
func (g *Gateway) chargeUnanswered(c *call, err error, rest *upstream.Rest) {
	failed, ok := errors.AsType[*upstream.Error](err)
	switch {
	case c.settled || c.follow != nil: // by what came of an answer
	case ok && failed.Accepted && (failed.Reason == upstream.Left || failed.Reason == upstream.TimedOut):
		g.leave(c, &follower{gateway: g, call: c, streamed: c.request.Stream}, rest)
		g.say(c)
	default:
		g.refund(c)
	}
}

// read notes that an endpoint which failed had read the prompt. No other is asked
// then if only what one takes is reserved.
func (c *call) read(err error) (goOn bool) {
	if !readsPrompt(err) {
		return true
	}
	c.reads++
	return !c.reservesAll()
}

// withReads is a call's usage with the prompts that endpoints read which failed.
func (c *call) withReads(usage limit.Usage) limit.Usage {
	if c.reads > 0 {
		usage.PromptTokens = sum(usage.PromptTokens, c.reads*c.promptTokens())
	}
	return usage
}

// readsPrompt is whether upstream refused a call only after a model had read its
// prompt, which Azure bills.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs
func readsPrompt(err error) bool {
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

// failed is the answer where upstream gave none, or an error of its own.
func (g *Gateway) failed(c *call, err error) error {
	if own, ok := errors.AsType[*upstream.StatusError](err); ok {
		return upstreamProblem(c, own)
	}
	if busy, ok := errors.AsType[*upstream.UnavailableError](err); ok && busy.Throttled {
		return &problem{status: http.StatusTooManyRequests, code: "upstream_throttled", kind: kindServer, retry: busy.RetryAfter,
			message: fmt.Sprintf("The model has as much to do as it may. Try again in %s.", spell(wholeSeconds(busy.RetryAfter))), cause: err}
	} else if ok {
		return &problem{status: http.StatusServiceUnavailable, code: "upstream_unavailable", kind: kindServer, retry: busy.RetryAfter,
			message: "The model takes no calls just now.", cause: err}
	}
	p := &problem{status: http.StatusBadGateway, code: outcomeFailed, kind: kindServer, message: badGateway, cause: err}
	if failed, ok := errors.AsType[*upstream.Error](err); ok {
		c.w.Header().Set(headerUpstream, failed.Endpoint)
		p.code = string(failed.Reason)
		switch {
		case failed.Reason == upstream.Left:
			return clientClosed(err)
		case failed.Reason == upstream.TimedOut && c.request.Stream:
			p.status, p.message = http.StatusGatewayTimeout, "The model did not begin to answer in time."
		case failed.Reason == upstream.TimedOut:
			p.status, p.message = http.StatusGatewayTimeout, "The model did not answer in time. Set stream: true to get the answer as it is written, however long it takes."
		}
	}
	return p
}

const badGateway = "The model's endpoint did not answer as it should."

// upstreamProblem passes upstream's own error on, except one about the gateway's
// credential or account: a caller would think it means the caller's own.
func upstreamProblem(c *call, own *upstream.StatusError) error {
	c.w.Header().Set(headerUpstream, own.Endpoint)
	if own.Ours() {
		return &problem{status: http.StatusBadGateway, code: outcomeFailed, kind: kindServer, message: badGateway, cause: own}
	}
	maps.Copy(c.w.Header(), own.Header)
	p := &problem{status: own.Status, code: outcomeFailed, kind: kindServer, cause: own,
		message: fmt.Sprintf("The model's endpoint answered %d and said no more.", own.Status)}
	if len(own.Body) > 0 {
		p.verbatim = own.Body
	}
	return p
}

// checkEndpoints refuses, before anything is reserved, a call that no configured
// endpoint can serve.
func (g *Gateway) checkEndpoints(c *call) error {
	targets, err := g.Upstream.Targets(upstream.Call{Model: c.model, ExtraParameters: c.extraParameters()})
	switch {
	case err == nil:
		c.mayAnswer(targets)
	case errors.Is(err, upstream.ErrModel):
		return &problem{status: http.StatusNotFound, code: "model_not_found", kind: kindRequest, param: "model", message: "No endpoint serves this model."}
	case errors.Is(err, upstream.ErrExtraParameters):
		return badRequest("extra-parameters", "extra-parameters can't be honoured for this model: "+
			"leave the header out or send pass-through; error and drop are for endpoints of the models shape alone.")
	}
	return err
}

// whole passes on an answer that isn't streamed, charged before it is sent.
func (g *Gateway) whole(c *call) (none *upstream.Error, err error) {
	held := g.budget.hold(c.grant.Subscription.ID)
	defer held.shrink(0)
	body, err := c.response.Body(func(bytes int64) error {
		if bytes > smallBody && c.finally { // what waits for room holds none
			c.countMeanwhile()
			c.letGo()
		}
		return held.growAnswer(c.r.Context(), bytes)
	})
	held.shrink(int64(cap(body)))
	answer := chat.ReadAnswer(body)
	if failed, ok := errors.AsType[*upstream.Error](err); ok {
		if byEndpoint := failed.Reason == upstream.Broken || failed.Reason == upstream.BadAnswer; byEndpoint && !answer.Written {
			return failed, nil
		}
		f := &follower{gateway: g, call: c, held: body}
		switch {
		case answer.Report != chat.UsageGood && (failed.Reason == upstream.Left || failed.Reason == upstream.TimedOut):
			g.leave(c, f, c.response.Rest())
		default:
			c.settle(f.usage(false))
		}
		g.say(c)
		return nil, g.failed(c, err)
	}
	if !answer.IsAnswer() {
		return c.response.Failure(upstream.BadAnswer, errNoAnswer), nil
	}
	g.chargeWhole(c, answer, body)
	if answer.Failed {
		c.outcome, body = outcomeFailed, c.response.Scrub(body)
	}
	c.letGo()
	maps.Copy(c.w.Header(), c.response.Header)
	c.answer(http.StatusOK, jsonType(c.response.Header.Get("Content-Type")), body)
	return nil, nil
}

// chargeWhole charges an answer that isn't streamed, or what came of one.
func (g *Gateway) chargeWhole(c *call, answer *chat.Answer, body []byte) {
	switch {
	case answer.Report == chat.UsageGood:
		c.told = true
		g.settle(c, c.charged(answer.Usage))
	case answer.Failed:
		g.refund(c)
	default:
		f := &follower{gateway: g, call: c, held: body}
		g.settle(c, f.usage(true))
	}
}

// jsonType is the Content-Type of an answer that is JSON: upstream's own if it says
// so, as what else it says would have browsers and clients take it for that.
func jsonType(own string) string {
	if kind, _, err := mime.ParseMediaType(own); err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json")) {
		return own
	}
	return "application/json"
}

// outcomeFailed is of a call that upstream refused, or whose answer turned out to
// be an error although it began as a success.
const outcomeFailed = "upstream_error"

var (
	// errUnfinished says that a stream ended in good order, but not its answer.
	errUnfinished = errors.New("the stream ended before its answer did")
	// errNoAnswer says that a body holds no answer: no choice, and no error.
	errNoAnswer = errors.New("the body holds no answer")
)

// stream relays a stream and charges what it took, however it ends.
func (g *Gateway) stream(c *call) (none *upstream.Error, err error) {
	maps.Copy(c.w.Header(), c.response.Header)
	c.status = http.StatusOK
	m := g.meter(c)
	ending, again := upstream.Cut, false // should the relay panic
	defer func() {
		if !again {
			m.end(ending)
		}
	}()
	ending, err = c.response.Relay(c.w, m, m.pass)
	if ending == upstream.NotStream {
		again = true
		return g.whole(c)
	}
	switch {
	case err == nil && !m.events.IsAnswer():
		ending, err = upstream.Cut, errNoAnswer
	case err == nil && !m.complete():
		ending, err = upstream.Cut, errUnfinished
	}
	if ending == upstream.Cut && !c.response.Begun() && !m.events.IsAnswer() {
		again = true
		for name := range c.response.Header {
			c.w.Header().Del(name)
		}
		return c.response.Failure(upstream.Broken, err), nil
	}
	switch {
	case err != nil:
		c.outcome, c.cause = string(ending), err
	case m.events.Failed:
		c.outcome = outcomeFailed
	}
	switch {
	case !ending.ByUpstream(), m.events.Done && m.events.IsAnswer(): // all that there is has been passed on
		return nil, nil
	case c.response.Begun():
		panic(http.ErrAbortHandler) // a clean end would pass for a whole answer
	}
	m.end(ending)
	g.say(c)
	return nil, unbegun(ending, err)
}

// unbegun is the answer in place of a stream of which nothing came.
func unbegun(ending upstream.Ending, err error) error {
	p := &problem{status: http.StatusBadGateway, code: string(ending), kind: kindServer, message: badGateway, cause: err}
	if ending != upstream.Cut {
		p.status, p.message = http.StatusGatewayTimeout, "The model did not begin to answer in time."
	}
	return p
}
