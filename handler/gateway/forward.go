package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"tollgate/handler/chat"
	"tollgate/handler/limit"
	"tollgate/handler/upstream"
)

// forward asks upstream. A failure before the answer begins costs the caller
// nothing: chat's deferred Cancel gives the reservation back.
func (g *Gateway) forward(c *call) error {
	c.asked = time.Now()
	response, err := g.Upstream.Send(c.r.Context(), upstream.Call{
		Model: c.model, Stream: c.request.Stream, Since: c.started, RequestID: c.requestID,
		Traceparent: c.trace.outbound(), ExtraParameters: c.extraParameters(),
		Body: func(t upstream.Target) [][]byte {
			edit := chat.Edit{IncludeUsage: t.StreamOptions}
			if t.Model != "" && t.Model != c.request.Model {
				edit.Model = &t.Model
			}
			c.putCap(&edit, cmp.Or(t.Model, c.model))
			c.askedUsage = c.request.Stream && t.StreamOptions && !c.request.IncludeUsage
			return c.request.Rewrite(edit)
		},
	})
	if err != nil {
		g.chargeUnanswered(c, err)
		return g.failed(c, err)
	}
	c.response, c.answered = response, time.Now()
	c.w.Header().Set(headerUpstream, response.Target.Endpoint)
	return nil
}

// headerUpstream names the endpoint that answered.
const headerUpstream = "X-Tollgate-Upstream"

// chargeUnanswered charges a call that upstream hasn't begun to answer. What it
// refused, failed or never received costs nothing. What it was at work upon when
// the caller left, or when a call that isn't streamed ran out of time, costs the
// prompt: that had been read, and cost someone.
func (g *Gateway) chargeUnanswered(c *call, err error) {
	failed, ok := errors.AsType[*upstream.Error](err)
	if ok && failed.Accepted && (failed.Reason == upstream.Left || failed.Reason == upstream.TimedOut && !c.request.Stream) {
		g.settle(c, limit.Usage{PromptTokens: c.promptTokens()})
		return
	}
	g.refund(c)
}

// failed is the answer where upstream gave none, or an error of its own.
func (g *Gateway) failed(c *call, err error) error {
	if own, ok := errors.AsType[*upstream.StatusError](err); ok {
		return refusedUpstream(c, own)
	}
	if busy, ok := errors.AsType[*upstream.UnavailableError](err); ok {
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

// refusedUpstream passes on upstream's own answer, but for what is about the
// gateway's own credential: a caller would take it to be about its key or quota.
func refusedUpstream(c *call, own *upstream.StatusError) error {
	c.w.Header().Set(headerUpstream, own.Endpoint)
	if own.Status == http.StatusUnauthorized || own.Status == http.StatusForbidden {
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

// servable refuses, before anything is reserved, what no endpoint could take,
// whatever its state.
func (g *Gateway) servable(c *call) error {
	err := g.Upstream.Check(upstream.Call{Model: c.model, ExtraParameters: c.extraParameters()})
	switch {
	case errors.Is(err, upstream.ErrModel):
		return &problem{status: http.StatusNotFound, code: "model_not_found", kind: kindRequest, param: "model", message: "No endpoint serves this model."}
	case errors.Is(err, upstream.ErrExtraParameters):
		return badRequest("extra-parameters", "extra-parameters can't be honoured for this model: "+
			"leave the header out or send pass-through; error and drop are for endpoints of the models shape alone.")
	}
	return err
}

// whole passes on an answer that isn't streamed, charged before it is sent.
func (g *Gateway) whole(c *call) error {
	body, err := c.response.Body()
	if err != nil {
		g.settle(c, c.estimate(body))
		return g.failed(c, err)
	}
	answer, err := chat.ReadAnswer(body)
	switch {
	case err == nil && answer.Report == chat.UsageTold:
		c.told = true
		g.settle(c, c.charged(answer.Usage))
	case err == nil && answer.Failed && !answer.Written:
		c.outcome = outcomeFailed
		g.refund(c)
	default:
		g.settle(c, c.estimate(body))
	}
	maps.Copy(c.w.Header(), c.response.Header)
	c.answer(http.StatusOK, c.response.Header.Get("Content-Type"), body)
	return nil
}

// outcomeFailed is of a call that upstream refused, or whose answer turned out to
// be an error although it began as a success.
const outcomeFailed = "upstream_error"

// estimate is what a call took where upstream doesn't say: the prompt as it was
// counted, and the text that was written, which may be none; or else, where that
// can't be read, the bytes as they stand. What is no JSON may be a stream that
// isn't called one, which is mostly not text.
func (c *call) estimate(body []byte) limit.Usage {
	text := written{encoding: c.encoding}
	if !chat.EachText(body, text.add) {
		events := chat.Stream{Text: text.add}
		inspect := func(event []byte) { events.Inspect(event) }
		events.Split(body, inspect)
		events.End(inspect)
		if c.told = events.Told(); c.told {
			return c.charged(events.Usage)
		}
		if text.empty() {
			text.add(0, body)
		}
	}
	return limit.Usage{PromptTokens: c.promptTokens(), CompletionTokens: text.count()}
}

// errUnfinished says that a stream ended in good order, but not its answer.
var errUnfinished = errors.New("the stream ended before its answer did")

// stream relays a stream and charges what it took, however it ends.
func (g *Gateway) stream(c *call) error {
	maps.Copy(c.w.Header(), c.response.Header)
	c.status = http.StatusOK
	m := g.meter(c)
	ending := upstream.Cut // should the relay panic
	defer func() { m.charge(ending.ByUpstream()) }()
	var err error
	ending, err = c.response.Relay(c.w, &m.events, m.pass)
	if err == nil && !m.complete() {
		ending, err = upstream.Cut, errUnfinished
	}
	switch {
	case err != nil:
		c.outcome, c.cause = string(ending), err
	case m.events.Failed:
		c.outcome = outcomeFailed
	}
	switch {
	case !ending.ByUpstream(), m.events.Done: // all that there is has been passed on
		return nil
	case c.response.Begun():
		panic(http.ErrAbortHandler) // a clean end would pass for a whole answer
	}
	m.charge(true)
	g.say(c)
	return unbegun(c, ending, err)
}

// unbegun is the answer in place of a stream of which nothing came.
func unbegun(c *call, ending upstream.Ending, err error) error {
	p := &problem{status: http.StatusBadGateway, code: string(ending), kind: kindServer, message: badGateway, cause: err}
	if ending != upstream.Cut {
		p.status, p.message = http.StatusGatewayTimeout, "The model did not begin to answer in time."
	}
	return p
}
