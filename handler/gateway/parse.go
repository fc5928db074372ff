package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"tollgate/handler/operation"
	"tollgate/handler/subscription"
)

// parse reads and parses the body, and finds the model.
func (g *Gateway) parse(c *call) error {
	if encoding := c.r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &problem{status: http.StatusUnsupportedMediaType, code: "unsupported_content_encoding", kind: kindRequest,
			param: "Content-Encoding", message: "The body is compressed. Send it as it is, without Content-Encoding."}
	}
	body, err := g.readBody(c)
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{status: http.StatusRequestEntityTooLarge, code: "request_too_large", kind: kindRequest,
			message: fmt.Sprintf("The body is larger than %d bytes. Send a smaller one: images and files count as they are sent, in base64. "+
				"The gateway's operator sets the limit, as MAX_BODY_BYTES.", tooLarge.Limit)}
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		err = errors.New("malformed trailer") // err quotes the trailer, which may contain a key
	}
	if err != nil {
		return &problem{status: http.StatusBadRequest, code: "incomplete_request", kind: kindRequest,
			message: "The body ended early.", cause: err}
	}
	if body, err = stripMark(body); err != nil {
		return err
	}
	c.prompt.bytes = int64(len(body))
	if c.request, err = c.parsed(body); err != nil {
		return badField(err)
	}
	return g.chooseModel(c)
}

// parsed parses a body. For a long one it first waits for a core.
func (c *call) parsed(body []byte) (operation.Request, error) {
	defer waitForCore(int64(len(body)))()
	return c.route.operation.Parse(body)
}

// badField answers a call with a body that its operation refuses.
func badField(err error) error {
	if wrong, ok := errors.AsType[*operation.FieldError](err); ok {
		p := badRequest(cmp.Or(wrong.Field, "body"), wrong.Error())
		p.code = cmp.Or(wrong.Code, p.code)
		return p
	}
	return err
}

// streams reports whether the caller asked for a stream.
func (c *call) streams() bool { return c.request != nil && c.request.Envelope().Stream }

// chooseModel finds the call's model: the path's deployment, else the body's model,
// else the only one there is.
func (g *Gateway) chooseModel(c *call) error {
	model := c.request.Envelope().Model
	if c.route.model != "" {
		model = c.route.model
	}
	if model == "" && len(g.config.Models) == 1 {
		model = g.config.Models[0]
	}
	if !slices.Contains(g.config.Models, model) || !c.grant.Tier.AllowsModel(model) {
		return g.modelNotFound(c)
	}
	c.model = model // not set to the caller's text before it is known to be a model's name: it is logged
	return nil
}

// modelNotFound answers a call for a model that its tier doesn't serve.
func (g *Gateway) modelNotFound(c *call) *problem {
	message := "This subscription has no models."
	if models := g.modelsOf(c.grant.Tier); len(models) > 0 {
		message = "This subscription has no such model. Name one of: " + strings.Join(models, ", ") + "."
	}
	return &problem{status: http.StatusNotFound, code: "model_not_found", kind: kindRequest, param: "model", message: message}
}

// modelsOf returns the models that a tier may use.
func (g *Gateway) modelsOf(tier subscription.Tier) []string {
	return slices.DeleteFunc(slices.Clone(g.config.Models), func(model string) bool { return !tier.AllowsModel(model) })
}
