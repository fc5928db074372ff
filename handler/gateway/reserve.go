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
	"time"

	"tollgate/handler/chat"
	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// parse reads the body and finds the model.
func (g *Gateway) parse(c *call) error {
	if encoding := c.r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &problem{status: http.StatusUnsupportedMediaType, code: "unsupported_content_encoding", kind: kindRequest,
			param: "Content-Encoding", message: "The body is compressed. Send it as it is, without Content-Encoding."}
	}
	body, err := g.readBody(c)
	if refusal, ok := errors.AsType[*problem](err); ok {
		return refusal
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{status: http.StatusRequestEntityTooLarge, code: "request_too_large", kind: kindRequest,
			message: fmt.Sprintf("The body is larger than %d bytes. Send a smaller one: images and files count as they are sent, in base64. "+
				"The gateway's operator sets the limit, as MAX_BODY_BYTES.", tooLarge.Limit)}
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		err = errors.New("malformed trailer") // which it quotes, and there may be a key in it
	}
	if err != nil {
		return &problem{status: http.StatusBadRequest, code: "incomplete_request", kind: kindRequest,
			message: "The body ended early.", cause: err}
	}
	if body, err = unmarked(body); err != nil {
		return err
	}
	c.size = int64(len(body))
	c.request, err = parsed(body)
	if wrong, ok := errors.AsType[*chat.FieldError](err); ok {
		return badRequest(cmp.Or(wrong.Field, "body"), wrong.Error())
	}
	if err != nil {
		return err
	}
	if c.drops() {
		c.request.MaxCompletionTokens = nil
	}
	return g.choose(c)
}

// parsed reads a body, a long one when it is its turn.
func parsed(body []byte) (*chat.Request, error) {
	defer turn(int64(len(body)))()
	return chat.Parse(body)
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
		return g.noModel(c)
	}
	c.model = model // what isn't a model's name is the caller's text, and not for the log
	return nil
}

func (g *Gateway) noModel(c *call) *problem {
	message := "There is no model for this subscription."
	if served := g.served(c.grant.Tier); len(served) > 0 {
		message = "There is no such model for this subscription. Name one of: " + strings.Join(served, ", ") + "."
	}
	return &problem{status: http.StatusNotFound, code: "model_not_found", kind: kindRequest, param: "model", message: message}
}

// served are the models that a tier may use.
func (g *Gateway) served(tier subscription.Tier) []string {
	return slices.DeleteFunc(slices.Clone(g.Models), func(model string) bool { return !tier.Serves(model) })
}

// reserve takes what the tier's way of reserving asks for.
func (g *Gateway) reserve(c *call) error {
	key := g.counterKey(c, c.model)
	if c.reservesAll() {
		if err := c.boundable(); err != nil {
			return err
		}
	}
	if !g.trustBytes(c, key) {
		if err := c.count(); err != nil {
			return err
		}
	}
	reservation, decision, err := g.Counter.Reserve(c.r.Context(), key, terms(c.grant.Tier), c.ask())
	if err == nil && reservation == nil && c.trusted > 0 { // so many don't fit any more, but what the call takes may
		g.distrust(c)
		if err := c.count(); err != nil {
			return err
		}
		reservation, decision, err = g.Counter.Reserve(c.r.Context(), key, terms(c.grant.Tier), c.ask())
	}
	if err != nil {
		g.distrust(c)
		return g.undecided(err)
	}
	c.reservation, c.standing, c.degraded = reservation, decision.Standing, decision.Degraded
	g.names.standing(c.w.Header(), decision.Standing, time.Now())
	if decision.Verdict != limit.Granted {
		refusal := g.refused(c, decision)
		if reservation == nil {
			return refusal
		}
		c.shadow = refusal.code
		c.w.Header().Set(headerShadow, refusal.code)
	}
	c.cap = c.completionCap(decision)
	return nil
}

// undecided is the answer where the counters decided nothing.
func (g *Gateway) undecided(err error) error {
	if errors.Is(err, counter.ErrUnavailable) {
		return unavailable("counters", counterRetry, err)
	}
	return clientClosed(err)
}

// release gives back what a call still holds when it ends; a reservation that
// is settled holds nothing.
func (g *Gateway) release(c *call) {
	defer c.slot.release()
	c.drop()
	if c.reservation != nil {
		c.reservation.Cancel()
	}
	g.uncounted.Add(-c.trusted)
}

const (
	// longPrompt is from how many bytes a prompt is worth not to be counted: less
	// takes a few microseconds.
	longPrompt = 512
	// bytesShare bounds what all calls under way may hold for prompts that were not
	// counted: one part in so many of what their counter has left.
	bytesShare = 64
)

// trustBytes takes a bound on the prompt's tokens, which is about its bytes, for
// their count, where that makes no difference: where there is so much left that the
// call passes either way, and what it holds too much doesn't refuse another.
// Then counting, which is what a prompt costs most, waits until somebody needs
// to know; where upstream tells usage, nobody does.
func (g *Gateway) trustBytes(c *call, key string) bool {
	size := c.sizeBound()
	if size < longPrompt || c.grant.Tier.Shadow {
		return false
	}
	known, ok := g.Counter.Known(key)
	left := roomIn(known)
	if !ok || g.uncounted.Load()+size > left/bytesShare {
		return false
	}
	c.prompt = size
	if c.ask().Tokens > left {
		return false
	}
	c.trusted = size
	g.uncounted.Add(size)
	return true
}

// distrust undoes trustBytes for a call that was not decided by it.
func (g *Gateway) distrust(c *call) {
	g.uncounted.Add(-c.trusted)
	c.trusted = 0
}

// roomIn is what both limits have left, as far as is known.
func roomIn(s limit.Standing) int64 {
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
	// comparedEach is of how many calls whose prompt was not counted one is, when
	// it is over.
	comparedEach = 16
	// comparedMost bounds such a prompt, in bytes: more takes longer than it tells.
	comparedMost = 16 << 10
)

// compare counts the prompts of some of the calls that passed uncounted, once
// they are answered: beside what upstream told, the counts show whether a
// model's template has drifted.
func (g *Gateway) compare(c *call) {
	if c.trusted > 0 && c.trusted <= comparedMost && c.told && (g.passed.Add(1)-1)%comparedEach == 0 {
		_ = c.estimatePrompt()
	}
}
