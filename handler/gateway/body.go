package gateway

import (
	"bytes"
	"io"
	"net/http"
	"runtime"

	"tollgate/handler/charge"
	"tollgate/handler/chat"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// readBody reads a call's body, as soon as the budget has room for it. Beyond the
// limit it is an *http.MaxBytesError, where the size is known before anything is
// read; a *problem where there is no room, or nothing left for the caller to
// spend.
func (g *Gateway) readBody(c *call) ([]byte, error) {
	size := c.r.ContentLength
	if size > g.MaxBody {
		return nil, &http.MaxBytesError{Limit: g.MaxBody}
	}
	if size < 0 {
		return g.readUnsized(c)
	}
	if err := g.room(c, size, c.r.Body); err != nil {
		return nil, err
	}
	body := make([]byte, size)
	_, err := io.ReadFull(c.r.Body, body)
	return body, err
}

// readUnsized reads a body whose size isn't known: mostly a small one, else one
// that takes as much room as the largest until it is read.
func (g *Gateway) readUnsized(c *call) ([]byte, error) {
	from := http.MaxBytesReader(c.w, c.r.Body, g.MaxBody)
	small := min(smallBody, g.MaxBody)
	if err := g.room(c, small, from); err != nil {
		return nil, err
	}
	begun, err := io.ReadAll(io.LimitReader(from, small))
	if err != nil || int64(len(begun)) < small {
		return begun, err
	}
	if err := g.room(c, g.MaxBody, from); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.MultiReader(bytes.NewReader(begun), from))
	c.held.shrink(int64(cap(body)))
	return body, err
}

// room waits for room for so many bytes of the body, of which the rest is still to
// come. A caller that has nothing left to spend has a large one thrown away.
func (g *Gateway) room(c *call, bytes int64, rest io.Reader) error {
	if bytes > smallBody {
		if refusal := g.exhausted(c); refusal != nil {
			throwAway(rest)
			return refusal
		}
	}
	if err := c.held.growBody(c.r.Context(), bytes); err != nil {
		throwAway(rest)
		return noRoomProblem(err)
	}
	return nil
}

// throwAway reads a body that isn't wanted: many clients read no answer before
// they have sent everything.
func throwAway(body io.Reader) { _, _ = io.Copy(io.Discard, body) }

// exhausted is the refusal of a call whose caller has nothing left, nil where it
// may have, or where the body might change the answer: it may wait for tokens,
// be let pass, or belong to another counter.
func (g *Gateway) exhausted(c *call) error {
	tier := c.grant.Tier
	if tier.MaxWait > 0 || tier.Shadow || len(tier.Models) > 0 || tier.CounterKey.Has(subscription.ModelPart) {
		return nil
	}
	key := g.counterKey(c, "")
	if known, ok := g.Counter.Known(key); !ok || remainingTokens(known) > 0 {
		return nil
	}
	reservation, decision, err := g.Counter.Reserve(c.r.Context(), key, terms(tier), limit.Ask{Tokens: 1})
	switch {
	case err != nil: // the same will be found once the body is read
		return nil
	case decision.Verdict == limit.Granted:
		reservation.Cancel()
		return nil
	}
	g.canonical.setLimits(c.w.Header(), decision.Standing, g.Counter.Now())
	c.standing = decision.Standing
	return c.limitProblem(decision)
}

// counting has a place for each long body that is walked or counted at a time: one
// a core, but for a core that is left to everything else. More of them would have
// short calls and the counters wait for their turn, and end no sooner.
var counting = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))

// turn waits for a place among long bodies, for a body of so many bytes. Call what
// it returns when the work is done.
func turn(bytes int64) (done func()) {
	if bytes <= smallBody {
		return func() {}
	}
	counting <- struct{}{}
	return func() { <-counting }
}

// lateWeight is what a prompt takes, found beside its call.
type lateWeight struct {
	done    chan struct{} // closed when weights are there, or nobody wants them any more
	dropped chan struct{} // closed when nobody wants them
	weights []charge.Prompt
}

// countMeanwhile begins to weigh a prompt that was not weighed before, if its
// body is let go before anybody may need to know.
func (c *call) countMeanwhile() {
	if c.weights != nil || c.late != nil || c.size <= smallBody {
		return
	}
	c.late = &lateWeight{done: make(chan struct{}), dropped: make(chan struct{})}
	go func(late *lateWeight, request chat.Request, counted int64) { // a copy, which keeps the body
		defer close(late.done)
		select {
		case counting <- struct{}{}:
			defer func() { <-counting }()
			late.weights = c.weigh(&request, counted)
		case <-late.dropped:
		}
	}(c.late, *c.request, c.estimate)
}

// weighAll weighs a prompt for each model that may answer.
func (c *call) weighAll(request *chat.Request, counted int64) []charge.Prompt {
	defer turn(c.size)()
	return c.weigh(request, counted)
}

// weigh is weighAll without waiting for a turn. A prompt that was counted before,
// for the first of the models, isn't counted again where the count is what it takes.
func (c *call) weigh(request *chat.Request, counted int64) []charge.Prompt {
	weights := make([]charge.Prompt, len(c.families))
	known := false
	if counted > 0 {
		weights[0], known = charge.Counted(request, c.families[0], counted)
	}
	for i, family := range c.families {
		if i > 0 || !known {
			weights[i] = charge.PromptOf(request, family)
		}
	}
	return weights
}

// final notes that no other endpoint will be asked. A stream may take minutes from
// here, and needs the body no more.
func (c *call) final() {
	c.finally = true
	if c.request.Stream {
		c.letGo()
	}
}

// letGo drops the call's body, if no other endpoint can need it; a small one
// stays.
func (c *call) letGo() {
	if c.size <= smallBody || !c.finally {
		return
	}
	c.request.ReleaseBody()
	c.dropHeld()
}

// dropHeld gives the body's room back once nothing reads it any more.
func (c *call) dropHeld() {
	if c.late == nil {
		c.held.shrink(0)
		return
	}
	go func(late *lateWeight) {
		<-late.done
		c.held.shrink(0)
	}(c.late)
}

// drop ends what may still hold the call's body, when the call is over.
func (c *call) drop() {
	if c.late != nil {
		close(c.late.dropped)
	}
	if c.held != nil {
		c.dropHeld()
	}
}
