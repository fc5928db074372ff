package gateway

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"slices"

	"tollgate/handler/charge"
	"tollgate/handler/limit"
	"tollgate/handler/operation"
)

// readBody waits until the budget has room for the body, and reads it. The error is an
// *http.MaxBytesError for a body above MaxBody, before anything is read if its size is
// declared; a *problem if there is no room, or the caller has nothing left to spend.
func (g *Gateway) readBody(c *call) ([]byte, error) {
	size := c.r.ContentLength
	if size > g.config.MaxBody {
		return nil, &http.MaxBytesError{Limit: g.config.MaxBody}
	}
	if size < 0 {
		return g.readUnsized(c)
	}
	if err := g.waitForRoom(c, size, c.r.Body); err != nil {
		return nil, err
	}
	body := make([]byte, size)
	_, err := io.ReadFull(c.r.Body, body)
	return body, err
}

// readUnsized reads a body without a declared size. It takes the room of a small body
// first and, if there is more to read, the room of the largest until all is read.
func (g *Gateway) readUnsized(c *call) ([]byte, error) {
	from := http.MaxBytesReader(c.w, c.r.Body, g.config.MaxBody)
	small := min(smallBody, g.config.MaxBody)
	if err := g.waitForRoom(c, small, from); err != nil {
		return nil, err
	}
	begun, err := io.ReadAll(io.LimitReader(from, small))
	if err != nil || int64(len(begun)) < small {
		return begun, err
	}
	if err := g.waitForRoom(c, g.config.MaxBody, from); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.MultiReader(bytes.NewReader(begun), from))
	c.room.shrink(int64(cap(body)))
	return body, err
}

// waitForRoom waits until the budget has room for a body of the given size. If there is
// none, or the body is large and its caller has nothing left to spend, it discards the
// rest of the body and returns the problem.
func (g *Gateway) waitForRoom(c *call, bytes int64, rest io.Reader) error {
	if bytes > smallBody {
		if err := g.exhaustedProblem(c); err != nil {
			discard(rest)
			return err
		}
	}
	if err := c.room.growBody(c.r.Context(), bytes); err != nil {
		discard(rest)
		return noRoomProblem(err)
	}
	return nil
}

// discard reads a body that isn't needed: many clients read no answer before they have
// sent everything.
func discard(body io.Reader) { _, _ = io.Copy(io.Discard, body) }

// exhaustedProblem returns the refusal of a call if a limit that every call is charged to
// has nothing left. It returns nil if something may be left, or if the body must be read to
// decide: the call may wait, shadow mode may let it pass, or its model may not be served.
func (g *Gateway) exhaustedProblem(c *call) error {
	if c.grant.Tier.MaxWait > 0 || c.grant.Tier.Shadow || len(c.grant.Tier.Models) > 0 {
		return nil
	}
	spent := slices.DeleteFunc(g.limitsOf(c, ""), func(l callLimit) bool {
		known, ok := g.config.Counter.Known(l.key)
		return !ok || l.Shadow || remaining(known) > 0
	})
	if len(spent) == 0 {
		return nil
	}
	reservations, decisions, err := g.config.Counter.Reserve(c.r.Context(), c.parts(spent, func(*callLimit) limit.Ask { return limit.Ask{Amount: 1} }))
	if err != nil || reservations != nil { // the call is decided once its body is read
		reservations.Cancel()
		return nil
	}
	c.hold.limits = spent
	return g.applyDecisions(c, decisions)
}

// cores limits how many long bodies are parsed or counted at a time: all cores but one,
// which is left for everything else. More would finish no sooner, and delay short calls
// and the counters.
var cores = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))

// waitForCore waits for one of cores if a body of this size is long. The caller must
// call done when the work is finished.
func waitForCore(bytes int64) (done func()) {
	if bytes <= smallBody {
		return func() {}
	}
	cores <- struct{}{}
	return func() { <-cores }
}

// pendingPrompts are a prompt's weights while another goroutine computes them.
type pendingPrompts struct {
	done    chan struct{} // closed when weights are set, or the work was dropped
	dropped chan struct{} // closed when the call no longer needs the weights
	weights []charge.Prompt
}

// weighInBackground starts to weigh a prompt in the background, if its body will be
// dropped before its weight may be needed.
func (c *call) weighInBackground() {
	if c.prompt.weights != nil || c.prompt.pending != nil || c.prompt.bytes <= smallBody {
		return
	}
	c.prompt.pending = &pendingPrompts{done: make(chan struct{}), dropped: make(chan struct{})}
	go func(pending *pendingPrompts, request operation.Request, counted int64) { // request keeps the body in memory
		defer close(pending.done)
		select {
		case cores <- struct{}{}:
			defer func() { <-cores }()
			pending.weights = c.weigh(request, counted)
		case <-pending.dropped:
		}
	}(c.prompt.pending, c.request, c.prompt.estimate)
}

// weighPrompts weighs a prompt for each family that may answer. For a long one it first
// waits for a core.
func (c *call) weighPrompts(request operation.Request, counted int64) []charge.Prompt {
	defer waitForCore(c.prompt.bytes)()
	return c.weigh(request, counted)
}

// weigh weighs a prompt for each family, without waiting. counted is its count for the
// first family, or 0. Where that count is the weight, the prompt isn't counted again.
func (c *call) weigh(request operation.Request, counted int64) []charge.Prompt {
	weights := make([]charge.Prompt, len(c.prompt.families))
	known := false
	if counted > 0 {
		weights[0], known = charge.Counted(request, c.prompt.families[0], counted)
	}
	for i, family := range c.prompt.families {
		if i > 0 || !known {
			weights[i] = charge.PromptOf(request, family)
		}
	}
	return weights
}

// noteLastEndpoint records that no other endpoint will be asked. It drops the body of a
// stream, which may still take minutes and no longer needs it.
func (c *call) noteLastEndpoint() {
	c.upstream.isLast = true
	if c.request.Envelope().Stream {
		c.dropBody()
	}
}

// dropBody frees the body's memory, unless it is small or another endpoint may need it.
func (c *call) dropBody() {
	if c.prompt.bytes <= smallBody || !c.upstream.isLast {
		return
	}
	c.request = c.request.WithoutBody()
	c.releaseRoom()
}

// releaseRoom gives the body's room back once it is no longer read.
func (c *call) releaseRoom() {
	if c.prompt.pending == nil {
		c.room.shrink(0)
		return
	}
	go func(pending *pendingPrompts) {
		<-pending.done
		c.room.shrink(0)
	}(c.prompt.pending)
}

// endBody stops the work on an ended call's body, and gives its room back.
func (c *call) endBody() {
	if c.prompt.pending != nil {
		close(c.prompt.pending.dropped)
	}
	if c.room != nil {
		c.releaseRoom()
	}
}
