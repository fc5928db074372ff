package gateway

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/charge"
	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/upstream"
)

const (
	// maxFollowed is the most calls whose answers an instance goes on reading at a time.
	// Further calls are cancelled, and charged their bound.
	maxFollowed = 256
	// maxFollowedHeld is the most bytes kept of these answers together; maxFollowedRead is the
	// most bytes read of one.
	maxFollowedHeld = 32 << 20
	maxFollowedRead = 16 << 20

	// inTransit is how long to go on reading a countable stream after its caller left, for
	// what the endpoint had already written. Then the endpoint is cancelled.
	inTransit = 200 * time.Millisecond
	// cancelDelay is how long an endpoint may go on writing until the cancellation
	// reaches it: a round trip to a distant server. That text is charged unread.
	cancelDelay = 50 * time.Millisecond
)

// following counts the calls whose answers are read on.
type following struct {
	calls sync.WaitGroup
	count atomic.Int64
	held  atomic.Int64 // bytes
}

// tokensPerSecond returns the most tokens a second that the call's model writes of one completion.
func (g *Gateway) tokensPerSecond(c *call) int64 {
	if rate := g.config.TokensPerSecond[c.model]; rate > 0 {
		return rate
	}
	if rate := g.config.TokensPerSecond[""]; rate > 0 {
		return rate
	}
	return defaultTokensPerSecond
}

// defaultTokensPerSecond is the assumed maximum speed of a model without a setting of its
// own, in tokens a second and completion: few are faster.
const defaultTokensPerSecond = 100

// readOnTime returns how long to go on reading a call's answer after its caller left or its
// time ran out.
func (g *Gateway) readOnTime(c *call) time.Duration {
	if c.upstream.countable {
		return inTransit
	}
	return g.config.SettleTimeout
}

// settleUnfinished charges a call whose caller left, or whose time ran out, while an
// endpoint was working on it. It charges at once, before the subscription's next call is
// decided. If rest is nil or too many answers are read on already, the charge is final,
// and a bound. Otherwise finish reads the rest of the answer and settles the call.
func (g *Gateway) settleUnfinished(c *call, f *follower, rest *upstream.Rest) {
	switch {
	case rest == nil:
		c.settle(f.bound(0))
	case g.following.count.Add(1) > maxFollowed:
		g.following.count.Add(-1)
		rest.Close()
		c.settle(f.bound(0))
	default:
		c.charge.usage = c.totalUsage(f.provisionalUsage())
		c.raise(c.charge.usage)
		g.following.calls.Add(1)
		c.charge.readOn = func() { f.readOn(rest) }
	}
}

// Drain waits until all answers that are read on have ended. When ctx is done it stops the
// reading, and the calls are settled by what has come until then.
func (g *Gateway) Drain(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		g.following.calls.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
		g.stop()
	}
	<-done
}

// finish releases and reports a call: at once when its handler returns or, if its answer
// is read on, after that.
func (g *Gateway) finish(c *call) {
	took := time.Since(c.started)
	if c.charge.readOn == nil {
		g.release(c)
		g.report(c, took)
		return
	}
	go func() {
		defer g.following.calls.Done()
		defer g.following.count.Add(-1)
		c.charge.readOn()
		g.release(c)
		g.report(c, took)
	}()
}

// A follower reads an answer, streamed or not, for its usage and text, and computes the
// call's charge from them.
type follower struct {
	gateway *Gateway
	call    *call
	meter   *meter    // for a stream that has begun
	held    []byte    // the answer so far, if it isn't streamed
	bytes   int       // read so far
	lastAt  time.Time // when the last piece came
}

// readOn reads the rest of an answer until its usage or its end comes, or the time or
// the bytes for that are used up. Then it settles the call.
func (f *follower) readOn(rest *upstream.Rest) {
	ctx, cancel := context.WithTimeout(context.Background(), f.gateway.readOnTime(f.call))
	defer cancel()
	stop := context.AfterFunc(f.gateway.stopping, cancel)
	defer stop()
	f.gateway.following.held.Add(int64(cap(f.held)))
	ended := rest.Read(ctx, f.readChunk)
	if f.meter != nil && ended {
		f.meter.events.End(func(event []byte) { f.meter.events.Inspect(event) })
	}
	f.call.settle(f.finalUsage(ended))
	f.recordOwner()
	f.gateway.following.held.Add(-int64(cap(f.held)))
}

// readChunk reads a piece of the answer, and reports whether to go on.
func (f *follower) readChunk(chunk []byte) (more bool) {
	f.lastAt = time.Now()
	if f.bytes += len(chunk); f.bytes > maxFollowedRead {
		return false
	}
	if f.meter == nil && len(f.held) == 0 && looksStreamed(chunk) && f.call.route.operation.Follow != nil {
		f.meter = f.gateway.meter(f.call)
	}
	if f.meter != nil {
		f.meter.events.Split(chunk, func(event []byte) { f.meter.events.Inspect(event) })
		state := f.meter.events.State()
		return !(state.UsageCurrent() && state.Complete()) && !state.Done
	}
	before := cap(f.held)
	f.held = append(f.held, chunk...)
	return f.gateway.following.held.Add(int64(cap(f.held)-before)) <= maxFollowedHeld
}

// looksStreamed reports whether an answer that begins with chunk isn't JSON.
func looksStreamed(chunk []byte) bool {
	chunk = bytes.TrimLeft(chunk, " \t\r\n")
	return len(chunk) > 0 && chunk[0] != '{'
}

// provisionalUsage returns the charge until the rest of the answer has been read: for a
// countable stream the count of what has come, else the bound of everything that may still
// come.
func (f *follower) provisionalUsage() limit.Usage {
	if f.call.upstream.countable {
		return f.call.countedUsage(f.textTokens())
	}
	return f.bound(f.gateway.config.SettleTimeout)
}

// finalUsage returns the charge of a call whose answer was read on. If the answer is
// complete, the charge is the same as if the caller had stayed. ended says whether upstream
// ended the answer.
func (f *follower) finalUsage(ended bool) limit.Usage {
	unread := len(f.held) > 0 || f.meter != nil && f.meter.events.State().Unread > 0
	switch {
	case f.complete(ended):
		return f.usage(true)
	case f.call.upstream.countable && !unread:
		return f.cancelledUsage()
	}
	return f.bound(0)
}

// cancelledUsage returns the charge of a countable stream that was cancelled: the text that
// came and, if the model was still writing, the most that it can have written before it
// stopped.
func (f *follower) cancelledUsage() limit.Usage {
	c, tokens := f.call, f.textTokens()
	if time.Since(f.lastAt) < inTransit*3/4 {
		unread := charge.Completion{Choices: c.request.Envelope().Completions, Elapsed: cancelDelay, Rate: f.gateway.tokensPerSecond(c)}
		tokens = min(tokens+unread.Bound(), max(tokens, c.totalCompletionBound()))
	}
	return c.countedUsage(tokens)
}

// complete reports whether the answer has come to its end, or reported its usage. An error
// in place of an answer is complete only if it reports usage.
func (f *follower) complete(ended bool) bool {
	if f.meter != nil {
		state := f.meter.events.State()
		return state.Complete() && (state.UsageCurrent() || !state.Failed)
	}
	answer := f.call.route.operation.Read(f.held, nil)
	return answer.Report == operation.UsageGood || ended && answer.IsAnswer && !answer.Failed
}

// bound returns the most that the call can have used if its endpoint works on it for
// goesOn from now, and no less than what an unfinished stream has reported.
func (f *follower) bound(goesOn time.Duration) limit.Usage {
	bound := f.call.boundedUsage(f.textTokens(), goesOn, f.gateway.tokensPerSecond(f.call))
	if f.meter == nil {
		return bound
	}
	state := f.meter.events.State()
	bound = f.call.withReportedPrompt(bound, state.Prompt)
	if state.Report == operation.UsageGood {
		more := max(state.Usage.PromptTokens-bound.PromptTokens, 0)
		bound.PromptTokens, bound.EstimatedPromptTokens = bound.PromptTokens+more, bound.EstimatedPromptTokens+more
		bound.CompletionTokens = max(bound.CompletionTokens, state.Usage.CompletionTokens)
	}
	return bound
}

// usage returns the charge for what came of an answer. That is upstream's usage; else
// Tollgate's count, if the answer is complete and the count misses nothing; else a bound.
func (f *follower) usage(complete bool) limit.Usage {
	reported, found, unread := f.reported()
	if found {
		f.call.charge.fromUpstream = true
		return f.call.reportedUsage(reported)
	}
	if usage, known := f.call.knownUsage(f.textTokens(), !complete || unread); known {
		return usage
	}
	return f.bound(0)
}

// reported returns the usage that upstream reported for the whole answer, if it did, and
// whether a part of the answer could not be read.
func (f *follower) reported() (usage limit.Usage, found, unread bool) {
	if f.meter != nil {
		state := f.meter.events.State()
		return state.Usage, state.UsageCurrent(), state.Unread > 0
	}
	answer := f.call.route.operation.Read(f.held, nil)
	return answer.Usage, answer.Report == operation.UsageGood, answer.Unread
}

// textTokens counts the text that has come so far, in tokens.
func (f *follower) textTokens() int64 {
	if f.meter != nil {
		return f.meter.written.count()
	}
	text := writtenText{encoding: f.call.prompt.family.Encoding}
	f.call.route.operation.Read(f.held, text.add)
	return text.count()
}
