package gateway

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/charge"
	"tollgate/handler/chat"
	"tollgate/handler/limit"
	"tollgate/handler/upstream"
)

const (
	// maxFollowed bounds the calls of an instance that are read on after their
	// callers' part is over. What is beyond is cancelled, and its bound stays.
	maxFollowed = 256
	// followedHeld bounds what is held of their answers together, and
	// followedRead how much of one is read, in bytes.
	followedHeld = 32 << 20
	followedRead = 16 << 20

	// onTheWay is how long a stream that shows all that it takes is read on, for
	// what the endpoint had written when its caller left. Then the call is cancelled.
	onTheWay = 200 * time.Millisecond
	// cancelHeard bounds the time until the endpoint hears of that: a round trip to
	// a server far away. What it writes meanwhile nobody reads.
	cancelHeard = 50 * time.Millisecond
)

// following counts the calls that are read on, and ends that when the gateway stops.
type following struct {
	calls sync.WaitGroup
	count atomic.Int64
	held  atomic.Int64 // bytes
}

// rate is how many tokens a second a call's model writes at most.
func (g *Gateway) rate(c *call) int64 {
	if rate := g.TokensPerSecond[c.model]; rate > 0 {
		return rate
	}
	if rate := g.TokensPerSecond[""]; rate > 0 {
		return rate
	}
	return DefaultTokensPerSecond
}

// DefaultTokensPerSecond is what a model is taken to write at most, in tokens a
// second of one completion: few are faster.
const DefaultTokensPerSecond = 100

// readsOn is how long a call is read on when its caller's part is over.
func (g *Gateway) readsOn(c *call) time.Duration {
	if c.shown {
		return onTheWay
	}
	return g.SettleTimeout
}

// leave charges a call that an endpoint is at work on while its caller leaves or
// its time runs out: at once, before the subscription's next call is decided. If
// its stream shows all that it takes, the charge is what came, with what is still
// on its way. Else it is the call's bound, until the endpoint, which is read on,
// tells its usage.
func (g *Gateway) leave(c *call, f *follower, rest *upstream.Rest) {
	switch {
	case rest == nil:
		c.settle(f.leastUsage(c.bounded(f.seen(), 0, g.rate(c))))
	case g.following.count.Add(1) > maxFollowed:
		g.following.count.Add(-1)
		rest.Close()
		c.settle(f.leastUsage(c.bounded(f.seen(), 0, g.rate(c))))
	default:
		if c.shown {
			c.usage = c.withReads(c.counted(f.seen()))
		} else {
			c.usage = c.withReads(f.leastUsage(c.bounded(f.seen(), g.SettleTimeout, g.rate(c))))
		}
		c.standing = c.reservation.Raise(c.usage.Total())
		g.following.calls.Add(1)
		c.follow = func() { f.follow(rest) }
	}
}

// Drain waits until no call is read on any more, or until ctx is done: then it
// ends them, and what they were charged stays.
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

// over ends a call: when its handler returns, or once what its endpoint still
// sends is read.
func (g *Gateway) over(c *call) {
	took := time.Since(c.started)
	if c.follow == nil {
		g.release(c)
		g.report(c, took)
		return
	}
	go func() {
		defer g.following.calls.Done()
		defer g.following.count.Add(-1)
		c.follow()
		g.release(c)
		g.report(c, took)
	}()
}

// follower reads what an endpoint sends, in whatever form, for its usage and text.
type follower struct {
	gateway  *Gateway
	call     *call
	streamed bool      // the answer is, or was to be, a stream
	meter    *meter    // of a stream that has begun
	held     []byte    // of an answer that isn't streamed
	read     int       // bytes
	came     time.Time // when the last piece did
}

// follow reads on until usage is told, the answer ends, or it takes too long or
// too much, and settles the call.
func (f *follower) follow(rest *upstream.Rest) {
	ctx, cancel := context.WithTimeout(context.Background(), f.gateway.readsOn(f.call))
	defer cancel()
	stop := context.AfterFunc(f.gateway.stopping, cancel)
	defer stop()
	f.gateway.following.held.Add(int64(cap(f.held)))
	ended := rest.Read(ctx, f.take)
	if f.meter != nil && ended {
		events := &f.meter.events
		events.End(func(event []byte) { events.Inspect(event) })
	}
	f.call.settle(f.final(ended))
	f.gateway.following.held.Add(-int64(cap(f.held)))
}

// final is the charge of a call that was read on, to its end or not: the same as
// if its caller had stayed, where the answer is whole.
func (f *follower) final(ended bool) limit.Usage {
	if f.whole(ended) {
		return f.usage(true)
	}
	c, rate := f.call, f.gateway.rate(f.call)
	if !c.shown || len(f.held) > 0 || f.meter != nil && f.meter.events.Unread > 0 {
		return f.leastUsage(c.bounded(f.seen(), 0, rate))
	}
	seen := f.seen()
	if time.Since(f.came) < onTheWay/2 { // it was writing when it was cancelled
		unread := charge.Completion{Choices: c.request.N, Elapsed: cancelHeard, Rate: rate}
		seen = min(seen+unread.Bound(), max(seen, c.mostOfAll()))
	}
	return c.counted(seen)
}

// whole is whether nothing of the answer is missing, nor of an error in its place
// that tells the usage.
func (f *follower) whole(ended bool) bool {
	if f.meter != nil {
		events := &f.meter.events
		return f.meter.complete() && (events.UsageCurrent() || !events.Failed)
	}
	answer := chat.ReadAnswer(f.held)
	return answer.Report == chat.UsageGood || ended && answer.IsAnswer() && !answer.Failed
}

// leastUsage is a bound, and no less than what an unfinished stream has told of
// its usage so far.
func (f *follower) leastUsage(bound limit.Usage) limit.Usage {
	if f.meter == nil || f.meter.events.Report != chat.UsageGood {
		return bound
	}
	told := f.meter.events.Usage
	bound.PromptTokens = max(bound.PromptTokens, told.PromptTokens)
	bound.CompletionTokens = max(bound.CompletionTokens, told.CompletionTokens)
	return bound
}

// take reads a piece of the answer, and says whether more is wanted.
func (f *follower) take(chunk []byte) bool {
	f.came = time.Now()
	if f.read += len(chunk); f.read > followedRead {
		return false
	}
	if f.meter == nil && len(f.held) == 0 && looksStreamed(chunk) {
		f.meter = f.gateway.meter(f.call)
	}
	if f.meter != nil {
		events := &f.meter.events
		events.Split(chunk, func(event []byte) { events.Inspect(event) })
		return !(events.UsageCurrent() && f.meter.complete()) && !events.Done
	}
	before := cap(f.held)
	f.held = append(f.held, chunk...)
	return f.gateway.following.held.Add(int64(cap(f.held)-before)) <= followedHeld
}

// looksStreamed is whether an answer that begins so is no JSON.
func looksStreamed(chunk []byte) bool {
	chunk = bytes.TrimLeft(chunk, " \t\r\n")
	return len(chunk) > 0 && chunk[0] != '{'
}

// usage is the charge by what came: what upstream told, else our count where the
// answer is whole and nothing escapes that, else a bound.
func (f *follower) usage(whole bool) limit.Usage {
	if f.meter != nil {
		return f.ofStream(whole)
	}
	c := f.call
	answer := chat.ReadAnswer(f.held)
	if answer.Report == chat.UsageGood {
		c.told = true
		return c.charged(answer.Usage)
	}
	seen := f.seen()
	if usage, known := c.known(seen, !whole || answer.Unread); known {
		return usage
	}
	return c.bounded(seen, 0, f.gateway.rate(c))
}

// ofStream is the charge by a stream's events.
func (f *follower) ofStream(whole bool) limit.Usage {
	m := f.meter
	if m.events.UsageCurrent() {
		f.call.told = true
		return f.call.charged(m.events.Usage)
	}
	seen := m.written.count()
	if usage, known := f.call.known(seen, !whole || m.events.Unread > 0); known {
		return usage
	}
	return f.call.bounded(seen, 0, f.gateway.rate(f.call))
}

// seen is how many tokens of text have come so far.
func (f *follower) seen() int64 {
	if f.meter != nil {
		return f.meter.written.count()
	}
	text := written{encoding: f.call.family.Encoding}
	chat.EachText(f.held, text.add)
	return text.count()
}
