package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tollgate/handler/chat"
	"tollgate/handler/counter"
	"tollgate/handler/subscription"
	"tollgate/handler/tokens"
)

// parse reads the body and finds the model.
func (g *Gateway) parse(c *call) error {
	if encoding := c.r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &problem{status: http.StatusUnsupportedMediaType, code: "unsupported_content_encoding", kind: kindRequest,
			param: "Content-Encoding", message: "The body is compressed. Send it as it is, without Content-Encoding."}
	}
	body, err := g.readBody(c)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{status: http.StatusRequestEntityTooLarge, code: "request_too_large", kind: kindRequest,
			message: fmt.Sprintf("The body is larger than %d bytes. Send a shorter prompt.", tooLarge.Limit)}
	}
	if err != nil {
		return &problem{status: http.StatusBadRequest, code: "incomplete_request", kind: kindRequest,
			message: "The body ended early.", cause: err}
	}
	c.request, err = chat.Parse(body)
	if wrong, ok := errors.AsType[*chat.FieldError](err); ok {
		return badRequest(cmp.Or(wrong.Field, "body"), wrong.Error())
	}
	if err != nil {
		return err
	}
	return g.choose(c)
}

// choose settles which model the call is for: the path's deployment, else the
// body's model, else the only one there is.
func (g *Gateway) choose(c *call) error {
	model := c.request.Model
	if c.route.deployment != "" {
		model = c.route.deployment
	}
	if model == "" && len(g.Models) == 1 {
		model = g.Models[0]
	}
	if !slices.Contains(g.Models, model) || !c.grant.Tier.Serves(model) {
		return &problem{status: http.StatusNotFound, code: "model_not_found", kind: kindRequest, param: "model",
			message: "There is no such model for this subscription. Name one of: " + strings.Join(g.served(c.grant.Tier), ", ") + "."}
	}
	c.model = model // what isn't a model's name is the caller's text, and not for the log
	return nil
}

// served are the models that a tier may use.
func (g *Gateway) served(tier subscription.Tier) []string {
	return slices.DeleteFunc(slices.Clone(g.Models), func(model string) bool { return !tier.Serves(model) })
}

// reserve counts the prompt and takes what the tier's way of reserving asks for.
func (g *Gateway) reserve(c *call) error {
	c.encoding = tokens.ForModel(c.model)
	prompt, err := c.encoding.CountChat(c.request.Messages, c.request.Tools)
	if err != nil {
		return badRequest("messages", err.Error())
	}
	c.prompt = int64(prompt)
	reservation, decision, err := g.Counter.Reserve(c.r.Context(), g.counterKey(c, c.model), terms(c.grant.Tier), c.ask())
	switch {
	case errors.Is(err, counter.ErrUnavailable):
		return unavailable("counters", counterRetry, err)
	case err != nil:
		return clientClosed(err)
	}
	g.Headers.standing(c.w.Header(), decision.Standing, time.Now())
	if reservation == nil {
		c.standing = decision.Standing
		return g.refused(c, decision)
	}
	c.reservation, c.cap = reservation, c.completionCap(decision.Tokens)
	return nil
}
