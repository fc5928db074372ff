package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"tollgate/handler/charge"
	"tollgate/handler/operation"
	"tollgate/handler/operation/all"
	"tollgate/handler/upstream"
)

// checkEndpoints refuses, before anything is reserved, a call that no configured
// endpoint can serve.
func (g *Gateway) checkEndpoints(c *call) error {
	targets, err := g.config.Upstream.Targets(c.selection())
	switch {
	case err != nil && c.route.operation.Stored, errors.Is(err, upstream.ErrEndpoint): // it isn't configured any more
		return unknownResponse("")
	case errors.Is(err, upstream.ErrModel) && c.stored.named.Endpoint != "":
		return &problem{status: http.StatusNotFound, code: "model_not_found", kind: kindRequest, param: "model",
			message: "The endpoint that keeps the response doesn't serve this model. Name the model that wrote it."}
	case err == nil:
		c.setFamilies(targets)
		c.setEndpoints(targets)
	case errors.Is(err, upstream.ErrModel):
		return &problem{status: http.StatusNotFound, code: "model_not_found", kind: kindRequest, param: "model", message: "No endpoint serves this model."}
	case errors.Is(err, upstream.ErrOperation):
		return g.operationNotServed(c)
	case errors.Is(err, upstream.ErrExtraParameters):
		return badRequest("extra-parameters", "extra-parameters can't be honoured for this model: "+
			"leave the header out or send pass-through; error and drop are for endpoints of the models shape alone.")
	}
	return err
}

// operationNotServed answers a call whose operation no endpoint of its model serves. It
// names the operations that they do serve.
func (g *Gateway) operationNotServed(c *call) *problem {
	served := slices.DeleteFunc(slices.Clone(all.Operations), func(o *operation.Operation) bool {
		_, err := g.config.Upstream.Targets(upstream.Selection{Model: c.model, Path: c.upstreamPath(o)})
		return err != nil
	})
	return &problem{status: http.StatusNotFound, code: "operation_not_served", kind: kindRequest, param: "model",
		message: fmt.Sprintf("No endpoint of this model serves %s. They serve: %s.", c.route.operation.Name, spellOperations(served))}
}

// setEndpoints records the endpoints that may serve the call: the dearest of them decides
// what a limit in cost reserves.
func (c *call) setEndpoints(targets []upstream.Target) {
	c.price.endpoints = make([]string, len(targets))
	for i, t := range targets {
		c.price.endpoints[i] = t.Endpoint
	}
}

// setFamilies records the families of the models that may answer the call.
func (c *call) setFamilies(targets []upstream.Target) {
	c.prompt.families = make([]charge.Family, 0, len(targets))
	for _, t := range targets {
		if f := charge.FamilyOf(t.Answers.Family, t.Answers.Name, c.model); !slices.Contains(c.prompt.families, f) {
			c.prompt.families = append(c.prompt.families, f)
		}
	}
	c.prompt.family = c.prompt.families[0]
}

// setFamily records the family of the model that is asked.
func (c *call) setFamily(t upstream.Target) {
	if len(c.prompt.families) == 1 { // nearly always, and recorded already
		return
	}
	c.prompt.family = charge.FamilyOf(t.Answers.Family, t.Answers.Name, c.model)
}
