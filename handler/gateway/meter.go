package gateway

import (
	"fmt"
	"time"

	"tollgate/handler/chat"
	"tollgate/handler/limit"
	"tollgate/handler/tokens"
	"tollgate/handler/upstream"
)

// meter follows a stream on its way to the caller, and charges it once.
type meter struct {
	*Gateway
	call    *call
	events  chat.Stream
	written written
	held    []byte // events that wait for what comes after them
	out     []byte // what the caller is to get, put together
	over    bool   // upstream's stream is
	last    bool   // the end, [DONE], has been passed on
}

const (
	// heldEvents is how many bytes of events wait, be it for the beginning of an
	// answer or, from [DONE] on, for usage that comes after it.
	heldEvents = 64 << 10
	// afterDone is how long upstream may take to end a stream after [DONE].
	afterDone = time.Second
)

func (g *Gateway) meter(c *call) *meter {
	m := &meter{Gateway: g, call: c, written: written{encoding: c.family.Encoding}}
	m.events.Text = func(index int64, text []byte) {
		if c.wrote.IsZero() {
			c.wrote = time.Now()
		}
		m.written.add(index, text)
	}
	return m
}

// Split is an upstream.Splitter's.
func (m *meter) Split(chunk []byte, yield func(event []byte)) { m.events.Split(chunk, yield) }

// End yields what is left at the stream's end, and an empty event for what waits.
func (m *meter) End(yield func(event []byte)) {
	m.events.End(yield)
	m.over = true
	yield(nil)
}

// pass returns what the caller is to get in place of an event. Until an answer
// begins that is nothing, so that another endpoint's may take its place. The call is
// charged before its caller can know that the answer is complete, so that its next
// call meets a counter that knows of this one.
func (m *meter) pass(event []byte) []byte {
	if m.over {
		return m.release(nil)
	}
	switch m.events.Inspect(event) {
	case chat.UsageOnly:
		if m.call.askedUsage {
			event = nil
		}
	case chat.Failure:
		event = m.call.response.Scrub(event)
	case chat.Done:
		m.call.response.EndWithin(afterDone)
	}
	waits := !m.events.IsAnswer() || m.events.Done && !m.last && !m.events.UsageCurrent()
	if waits && len(m.held)+len(event) <= heldEvents {
		m.held = append(m.held, event...)
		return nil
	}
	return m.release(event)
}

// release returns what waits and an event after it. If that is the stream's end, the
// call is charged, and the caller told so.
func (m *meter) release(event []byte) []byte {
	if m.over && !m.events.IsAnswer() {
		return nil
	}
	m.out = m.out[:0]
	if m.events.Done && !m.last {
		m.last = true
		m.charge()
		if m.TokensComment {
			m.out = m.tell(m.out)
		}
	}
	if len(m.held)+len(m.out) == 0 {
		return event
	}
	m.out = append(append(m.out, m.held...), event...)
	m.held = m.held[:0]
	return m.out
}

// charge settles a call whose endpoint is done with it: by the usage that upstream
// told, unless it went on writing after it; by our count, where nothing escapes
// that; else by a bound. What failed before the model wrote anything costs nothing.
// It leaves the headers alone: the relay may be sending them with a comment that
// breaks upstream's silence.
func (m *meter) charge() {
	f := follower{gateway: m.Gateway, call: m.call, streamed: true, meter: m}
	switch c := m.call; {
	case c.settled:
	case m.events.Failed && m.written.empty() && !m.events.UsageCurrent():
		c.free()
	default:
		c.settle(f.usage(true))
	}
}

// end charges a call whose relay has ended. What breaks off before the model wrote
// anything costs nothing, unless the endpoint was at work when the caller left or
// the time ran out.
func (m *meter) end(ending upstream.Ending) {
	c := m.call
	switch {
	case c.settled || c.follow != nil:
	case ending == upstream.Cut && m.written.empty() && !m.events.UsageCurrent():
		c.free()
	case m.events.UsageCurrent() && m.complete() || m.events.Failed || m.events.Done || ending == upstream.Ended || ending == upstream.Cut:
		m.charge()
	default:
		m.leave(c, &follower{gateway: m.Gateway, call: c, streamed: true, meter: m}, c.response.Rest())
	}
}

// complete is whether nothing of the answer is missing, as far as its events
// tell: some endpoints leave out [DONE], but none the finish_reason.
func (m *meter) complete() bool { return m.events.Done || m.events.Finished || m.events.Failed }

// tell appends what the call took and what remains, a comment for each.
func (m *meter) tell(text []byte) []byte {
	c, s := m.call, m.call.standing
	if c.settled {
		text = fmt.Appendf(text, ": %s: %d\n", m.Headers.TokensConsumed, c.usage.Total())
	}
	if s.TokensPerMinute > 0 {
		text = fmt.Appendf(text, ": %s: %d\n", m.Headers.RemainingTokens, s.Remaining)
	}
	if s.Quota > 0 {
		text = fmt.Appendf(text, ": %s: %d\n", m.Headers.RemainingQuotaTokens, s.QuotaRemaining)
	}
	if len(text) > 0 {
		text = append(text, '\n')
	}
	return text
}

// charged is what is charged of the usage that upstream told. As no prompt is
// empty, one of 0 tokens is one that upstream didn't count.
func (c *call) charged(u chat.Usage) limit.Usage {
	prompt := u.PromptTokens
	if prompt == 0 {
		prompt = c.promptTokens()
	}
	return limit.Usage{PromptTokens: prompt, CompletionTokens: u.CompletionTokens}
}

// settle charges what the call took. The counter writes it in its own time,
// whether or not the caller is still there.
func (c *call) settle(usage limit.Usage) {
	c.usage, c.settled = c.withReads(usage), true
	c.standing = c.reservation.Settle(c.usage)
}

// settle charges what the call took and has the headers say so.
func (g *Gateway) settle(c *call, usage limit.Usage) {
	c.settle(usage)
	g.say(c)
}

// free charges nothing but what endpoints had read before that failed.
func (c *call) free() {
	if c.reads > 0 {
		c.settle(limit.Usage{})
		return
	}
	c.standing = c.reservation.Cancel()
}

// refund frees the call and has the headers say so.
func (g *Gateway) refund(c *call) {
	c.free()
	g.say(c)
}

// say has the headers say what the call took, if anything, and what is left.
func (g *Gateway) say(c *call) {
	g.canonical.setLimits(c.w.Header(), c.standing, g.Counter.Now())
	if c.settled {
		g.canonical.setConsumed(c.w.Header(), c.usage)
	}
}

// written is what a model wrote. Its tokens are counted only when they are asked
// for, since usage nearly always tells them.
type written struct {
	encoding *tokens.Encoding
	choices  []*choice
}

// choice is the text of one of a call's completions, whose tokens don't run
// into another's.
type choice struct {
	index int64
	held  []byte
	count *tokens.Stream
}

const (
	// heldText is how many bytes of text wait to be counted, each choice's share of
	// them until it is full.
	heldText = 64 << 10
	// maxChoices bounds the texts kept apart: OpenAI's most for n.
	maxChoices = 128
)

// add is a chat.Text.
func (w *written) add(index int64, text []byte) {
	c := w.choice(index)
	if c.held = append(c.held, text...); len(c.held) >= heldText/len(w.choices) {
		c.flush()
	}
}

func (w *written) choice(index int64) *choice {
	for _, c := range w.choices {
		if c.index == index {
			return c
		}
	}
	if len(w.choices) == maxChoices {
		return w.choices[0]
	}
	c := &choice{index: index, count: w.encoding.Stream()}
	w.choices = append(w.choices, c)
	return c
}

func (c *choice) flush() {
	c.count.Write(string(c.held))
	c.held = c.held[:0]
}

func (w *written) empty() bool { return len(w.choices) == 0 }

// count is how many tokens were written.
func (w *written) count() (total int64) {
	for _, c := range w.choices {
		c.flush()
		total += int64(c.count.Count())
	}
	return total
}
