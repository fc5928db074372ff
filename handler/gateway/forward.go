package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"tollgate/handler/chat"
	"tollgate/handler/limit"
	"tollgate/handler/upstream"
)

// forward asks upstream. A failure before the answer begins costs the caller
// nothing: chat's deferred Cancel gives the reservation back.
func (g *Gateway) forward(c *call) error {
	response, err := g.Upstream.Send(c.r.Context(), upstream.Call{
		Model: c.model, Stream: c.request.Stream, RequestID: c.requestID,
		Traceparent: c.r.Header.Get("Traceparent"), ExtraParameters: c.r.Header.Get("Extra-Parameters"),
		Body: func(t upstream.Target) []byte {
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
		return g.failed(c, err)
	}
	c.response = response
	return nil
}

// failed is the answer where upstream gave none, or an error of its own.
func (g *Gateway) failed(c *call, err error) error {
	if own, ok := errors.AsType[*upstream.StatusError](err); ok && own.Status != http.StatusUnauthorized {
		for name, values := range own.Header {
			c.w.Header()[name] = values
		}
		return &problem{status: own.Status, code: "upstream_error", verbatim: own.Body, cause: err}
	}
	if busy, ok := errors.AsType[*upstream.UnavailableError](err); ok {
		return &problem{status: http.StatusServiceUnavailable, code: "upstream_unavailable", kind: kindServer, retry: wholeSeconds(busy.RetryAfter),
			message: "The model takes no calls just now.", cause: err}
	}
	p := &problem{status: http.StatusBadGateway, code: "upstream_error", kind: kindServer, message: "The model's endpoint did not answer as it should.", cause: err}
	if failed, ok := errors.AsType[*upstream.Error](err); ok {
		p.code = string(failed.Reason)
		switch failed.Reason {
		case upstream.TimedOut:
			p.status, p.message = http.StatusGatewayTimeout, "The model did not answer in time. Set stream to true to get the answer as it is written."
		case upstream.Left:
			return clientClosed(err)
		}
	}
	switch {
	case errors.Is(err, upstream.ErrModel):
		p.status, p.code, p.kind, p.param, p.message = http.StatusNotFound, "model_not_found", kindRequest, "model", "No endpoint serves this model."
	case errors.Is(err, upstream.ErrExtraParameters):
		p.status, p.code, p.kind, p.param = http.StatusBadRequest, "invalid_request", kindRequest, "extra-parameters"
		p.message = "extra-parameters can't be honoured for this model: leave the header out, or use error, drop or pass-through where the endpoint speaks the models shape."
	}
	return p
}

// whole passes on an answer that isn't streamed, charged before it is sent.
func (g *Gateway) whole(c *call) error {
	body, err := c.response.Body()
	if err != nil {
		g.settle(c, c.estimate(body))
		return g.failed(c, err)
	}
	usage := c.estimate(body)
	if answer, err := chat.ReadAnswer(body); err == nil && answer.Report == chat.UsageTold {
		usage = limit.Usage{PromptTokens: answer.Usage.PromptTokens, CompletionTokens: answer.Usage.CompletionTokens}
	}
	g.settle(c, usage)
	for name, values := range c.response.Header {
		c.w.Header()[name] = values
	}
	c.answer(http.StatusOK, c.response.Header.Get("Content-Type"), body)
	return nil
}

// estimate is what a call took where upstream doesn't say: the prompt as it was
// counted, and the text that was written, or else the bytes as they stand.
func (c *call) estimate(body []byte) limit.Usage {
	text := c.encoding.Stream()
	if answer, err := chat.ReadAnswer(body); err == nil {
		answer.EachText(func(_ int64, piece []byte) { text.Write(string(piece)) })
	} else {
		text.Write(string(body))
	}
	return limit.Usage{PromptTokens: c.prompt, CompletionTokens: int64(text.Count())}
}

// settle charges what the call took and has the headers say so.
func (g *Gateway) settle(c *call, usage limit.Usage) {
	c.usage, c.settled = usage, true
	standing := c.reservation.Settle(usage)
	g.Headers.standing(c.w.Header(), standing, time.Now())
	g.Headers.consumed(c.w.Header(), usage)
}

// stream relays a stream and charges what it took, however it ends.
func (g *Gateway) stream(c *call) error {
	for name, values := range c.response.Header {
		c.w.Header()[name] = values
	}
	c.status = http.StatusOK
	text := c.encoding.Stream()
	events := &chat.Stream{Text: func(_ int64, piece []byte) { text.Write(string(piece)) }}
	defer func() {
		usage := limit.Usage{PromptTokens: c.prompt, CompletionTokens: int64(text.Count())}
		if events.Report == chat.UsageTold && !events.Stale {
			usage = limit.Usage{PromptTokens: events.Usage.PromptTokens, CompletionTokens: events.Usage.CompletionTokens}
		}
		c.usage, c.settled = usage, true
		c.reservation.Settle(usage)
	}()
	ending, err := c.response.Relay(c.w, events, func(event []byte) []byte {
		if events.Inspect(event) == chat.UsageOnly && c.askedUsage {
			return nil
		}
		return event
	})
	if err != nil {
		c.outcome, c.cause = string(ending), err
	}
	if ending.ByUpstream() {
		panic(http.ErrAbortHandler) // a clean end would pass for a whole answer
	}
	return nil
}
