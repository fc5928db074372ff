package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"tollgate/handler/chat"
	"tollgate/handler/counter"
	"tollgate/handler/limit"
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
	c.request, err = parsed(body)
	if wrong, ok := errors.AsType[*chat.FieldError](err); ok {
		return badRequest(cmp.Or(wrong.Field, "body"), wrong.Error())
	}
	if err != nil {
		return err
	}
	if c.dropsExtraParameters() {
		c.request.MaxCompletionTokens = nil
	}
	return g.chooseModel(c)
}

// parsed parses a body; a long one waits for its turn.
func parsed(body []byte) (*chat.Request, error) {
	defer waitForCore(int64(len(body)))()
	return chat.Parse(body)
}

// chooseModel finds the call's model: the path's deployment, else the body's model,
// else the only one there is.
func (g *Gateway) chooseModel(c *call) error {
	model := c.request.Model
	if c.route.deployment != "" {
		model = c.route.deployment
	}
	if model == "" && len(g.config.Models) == 1 {
		model = g.config.Models[0]
	}
	if !slices.Contains(g.config.Models, model) || !c.grant.Tier.Serves(model) {
		return g.modelNotFound(c)
	}
	c.model = model // not set to the caller's text before it is known to be a model's name: it is logged
	return nil
}

// modelNotFound answers a call for a model that its tier doesn't serve.
func (g *Gateway) modelNotFound(c *call) *problem {
	message := "There is no model for this subscription."
	if models := g.modelsOf(c.grant.Tier); len(models) > 0 {
		message = "There is no such model for this subscription. Name one of: " + strings.Join(models, ", ") + "."
	}
	return &problem{status: http.StatusNotFound, code: "model_not_found", kind: kindRequest, param: "model", message: message}
}

// modelsOf returns the models that a tier may use.
func (g *Gateway) modelsOf(tier subscription.Tier) []string {
	return slices.DeleteFunc(slices.Clone(g.config.Models), func(model string) bool { return !tier.Serves(model) })
}

// reserve takes from the call's counter what the tier's way of reserving asks for.
func (g *Gateway) reserve(c *call) error {
	key := g.counterKey(c, c.model)
	if c.reservesAll() {
		if err := c.boundPrompt(); err != nil {
			return err
		}
	}
	if !g.takeSizeBound(c, key) {
		if err := c.countPrompt(); err != nil {
			return err
		}
	}
	reservation, decision, err := g.config.Counter.Reserve(c.r.Context(), key, terms(c.grant.Tier), c.ask())
	if err == nil && reservation == nil && c.hold.uncounted > 0 { // the bound no longer fits, but the exact count may
		g.dropSizeBound(c)
		if err := c.countPrompt(); err != nil {
			return err
		}
		reservation, decision, err = g.config.Counter.Reserve(c.r.Context(), key, terms(c.grant.Tier), c.ask())
	}
	if err != nil {
		g.dropSizeBound(c)
		return counterProblem(err)
	}
	c.hold.reservation, c.hold.standing, c.hold.degraded = reservation, decision.Standing, decision.Degraded
	g.canonical.setLimits(c.w.Header(), decision.Standing, g.config.Counter.Now())
	if decision.Verdict != limit.Granted {
		p := c.limitProblem(decision)
		if reservation == nil {
			return p
		}
		c.hold.shadow = p.code
		c.w.Header().Set(headerShadow, p.code)
	}
	c.hold.cap = c.completionCap(decision)
	return nil
}

// counterProblem answers a call that the counters could not decide.
func counterProblem(err error) error {
	if errors.Is(err, counter.ErrUnavailable) {
		return unavailable("counters", counterRetry, err)
	}
	return clientClosed(err)
}

// release gives back what an ended call still holds. Canceling a settled reservation
// does nothing.
func (g *Gateway) release(c *call) {
	defer c.admission.release()
	c.endBody()
	if c.hold.reservation != nil {
		c.hold.reservation.Cancel()
	}
	g.uncounted.Add(-c.hold.uncounted)
}

const (
	// longPrompt: prompts with a smaller bound, in tokens, are always counted, which
	// takes a few microseconds.
	longPrompt = 512
	// uncountedShare: calls under way may hold at most 1/64 of what their counter has
	// left for prompts that were not counted.
	uncountedShare = 64
)

// takeSizeBound uses an upper bound on the prompt's tokens, about its size in bytes, in
// place of their count, and reports whether it did. It does so only where enough is
// left that the call passes either way and the excess refuses no other call. Counting
// is the most expensive part of a call, and is then done only if upstream's answer
// lacks its usage.
func (g *Gateway) takeSizeBound(c *call, key string) bool {
	size := c.sizeBound()
	if size < longPrompt || c.grant.Tier.Shadow {
		return false
	}
	known, ok := g.config.Counter.Known(key)
	left := remainingTokens(known)
	if !ok || g.uncounted.Load()+size > left/uncountedShare {
		return false
	}
	c.hold.prompt = size
	if c.ask().Tokens > left {
		return false
	}
	c.hold.uncounted = size
	g.uncounted.Add(size)
	return true
}

// dropSizeBound undoes takeSizeBound, for a call that was not decided with it.
func (g *Gateway) dropSizeBound(c *call) {
	g.uncounted.Add(-c.hold.uncounted)
	c.hold.uncounted = 0
}

// remainingTokens returns the smaller of what the minute and the quota have left.
func remainingTokens(s limit.Standing) int64 {
	left := int64(math.MaxInt64)
	if s.TokensPerMinute > 0 {
		left = s.Remaining
	}
	if s.Quota > 0 {
		left = min(left, s.QuotaRemaining)
	}
	return left
}

const (
	// sampleEvery: one in 16 prompts that were not counted is counted after its call.
	sampleEvery = 16
	// maxSample is the largest bound of such a prompt, in tokens: longer ones cost more
	// time than the comparison is worth.
	maxSample = 16 << 10
)

// sampleEstimate counts the prompts of some answered calls that had not been counted.
// Compared with upstream's usage, the counts show whether a model's template has
// changed.
func (g *Gateway) sampleEstimate(c *call) {
	if c.hold.uncounted > 0 && c.hold.uncounted <= maxSample && c.charge.fromUpstream && (g.uncountedCalls.Add(1)-1)%sampleEvery == 0 {
		_ = c.estimatePrompt()
	}
}
