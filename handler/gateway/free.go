package gateway

import (
	"maps"
	"net/http"

	"tollgate/handler/upstream"
)

// serveFree takes a call of an operation that costs nothing through its steps: nothing is
// reserved or charged, and the answer passes as it comes.
func (g *Gateway) serveFree(c *call) error {
	if err := g.admit(c); err != nil {
		return err
	}
	c.room = g.budget.allot(c.grant.Subscription.ID)
	if err := g.identify(c); err != nil {
		return err
	}
	if err := g.checkEndpoints(c); err != nil {
		return err
	}
	response, err := g.config.Upstream.Send(c.r.Context(), c.upstreamCall())
	if err != nil {
		return g.upstreamFailure(c, err)
	}
	defer response.Close()
	c.upstream.response = response
	return g.relayFree(c, response)
}

// identify finds the stored response that a free call's path names, or parses its body.
func (g *Gateway) identify(c *call) error {
	if c.route.operation.Stored {
		return g.findStored(c)
	}
	if err := g.parse(c); err != nil {
		return err
	}
	return g.checkStored(c)
}

// relayFree sends a free operation's answer on to the caller.
func (g *Gateway) relayFree(c *call, response *upstream.Response) error {
	held := g.budget.allot(c.grant.Subscription.ID)
	defer held.shrink(0)
	body, err := response.Body(func(bytes int64) error { return held.growAnswer(c.r.Context(), bytes) })
	c.w.Header().Set(headerUpstream, response.Target.Endpoint)
	if err != nil {
		return g.upstreamFailure(c, err)
	}
	maps.Copy(c.w.Header(), response.Header)
	c.send(http.StatusOK, jsonType(response.Header.Get("Content-Type")), body)
	return nil
}
