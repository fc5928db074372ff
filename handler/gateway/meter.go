package gateway

import (
	"fmt"
	"net/http"
	"time"

	"tollgate/handler/operation"
	"tollgate/handler/tokens"
	"tollgate/handler/upstream"
)

// A meter reads a stream's events on their way to the caller, and charges the call once.
type meter struct {
	*Gateway
	call         *call
	events       operation.Stream
	written      writtenText
	held         []byte // events held back until later ones decide what to do with them
	out          []byte // reused buffer for what the caller gets next
	ended        bool   // upstream's stream has ended
	doneSeen     bool   // the event that ends the stream has come
	doneReleased bool   // that event has been released
}

const (
	// maxHeldEvents is the most bytes of events that are held back: until an answer begins
	// and, from the event that ends it on, until its usage comes.
	maxHeldEvents = 64 << 10
	// endTimeout is the time that upstream has to end its stream after that event.
	endTimeout = time.Second
)

// meter returns a new meter for a call's stream.
func (g *Gateway) meter(c *call) *meter {
	m := &meter{Gateway: g, call: c, written: writtenText{encoding: c.prompt.family.Encoding}}
	m.events = c.route.operation.Follow(func(index int64, text []byte) {
		if c.upstream.firstTextAt.IsZero() {
			c.upstream.firstTextAt = time.Now()
		}
		m.written.add(index, text)
	})
	return m
}

// Split implements upstream.Splitter.
func (m *meter) Split(chunk []byte, yield func(event []byte)) { m.events.Split(chunk, yield) }

// End yields what is left at the stream's end, then an empty event, for which relayEvent
// releases what it holds back.
func (m *meter) End(yield func(event []byte)) {
	m.events.End(yield)
	m.ended = true
	yield(nil)
}

// relayEvent returns what the caller gets for an event. It holds everything back until an
// answer begins, so that another endpoint may still answer instead. The call is settled
// before its caller can know that the answer is complete: the caller's next call then
// meets a counter that includes this one.
func (m *meter) relayEvent(event []byte) []byte {
	if m.ended {
		return m.release(nil)
	}
	switch m.events.Inspect(event) {
	case operation.UsageOnly:
		if m.call.upstream.requestedUsage {
			event = nil
		}
	case operation.Failure:
		event = m.call.upstream.response.Scrub(event)
	}
	state := m.events.State()
	if state.Done && !m.doneSeen {
		m.doneSeen = true
		m.call.upstream.response.EndWithin(endTimeout)
	}
	waits := !state.IsAnswer || state.Done && !m.doneReleased && !state.UsageCurrent()
	if waits && len(m.held)+len(event) <= maxHeldEvents {
		m.held = append(m.held, event...)
		return nil
	}
	return m.release(event)
}

// release returns the events held back, followed by event. At the stream's end it first
// settles the call and, with TokensComment, adds the comments on its usage.
func (m *meter) release(event []byte) []byte {
	state := m.events.State()
	if m.ended && !state.IsAnswer {
		return nil
	}
	m.out = m.out[:0]
	if state.Done && !m.doneReleased {
		m.doneReleased = true
		m.settleStream()
		m.recordOwner(m.call, state.ID, m.call.upstream.endpoint)
		if m.config.TokensComment {
			m.out = m.appendUsage(m.out)
		}
	}
	if len(m.held)+len(m.out) == 0 {
		return event
	}
	m.out = append(append(m.out, m.held...), event...)
	m.held = m.held[:0]
	return m.out
}

// settleStream charges a call whose endpoint has finished with it: by upstream's usage, if
// the model wrote nothing after that; else by Tollgate's count, if that misses nothing; else
// by a bound. A stream that failed before the model wrote anything is charged as failed.
// It sets no headers: the relay may be sending them, with a keep-alive comment.
func (m *meter) settleStream() {
	f, state := follower{gateway: m.Gateway, call: m.call, meter: m}, m.events.State()
	switch c := m.call; {
	case c.charge.settled:
	case state.Failed && m.written.empty() && !state.UsageCurrent():
		c.settleFailed()
	default:
		c.settle(f.usage(true))
	}
}

// settleAtEnd charges a call whose relay has ended, if it wasn't charged before. A stream
// that breaks off before anything shows that the model began is a failure. If the caller left
// or the time ran out while the endpoint was working, the call is unfinished.
func (m *meter) settleAtEnd(ending upstream.Ending) {
	c, state := m.call, m.events.State()
	switch {
	case c.charge.settled || c.charge.readOn != nil:
	case ending == upstream.Cut && m.written.empty() && !state.Begun && !state.UsageCurrent():
		c.settleFailed()
	case state.UsageCurrent() && state.Complete() || state.Failed || state.Done || ending == upstream.Ended || ending == upstream.Cut:
		m.settleStream()
	default:
		m.settleUnfinished(c, &follower{gateway: m.Gateway, call: c, meter: m}, c.upstream.response.Rest())
	}
	if c.charge.readOn == nil { // else it is recorded once the charge is known
		m.recordOwner(c, state.ID, c.upstream.endpoint)
	}
}

// checkComplete returns Cut and an error if a stream that ended properly lacks its answer or
// the answer's end, else ending.
func (m *meter) checkComplete(ending upstream.Ending) (upstream.Ending, error) {
	switch state := m.events.State(); {
	case !state.IsAnswer:
		return upstream.Cut, errNoAnswer
	case !state.Complete():
		return upstream.Cut, errUnfinished
	}
	return ending, nil
}

// appendUsage appends comments with what the call used and what remains.
func (m *meter) appendUsage(text []byte) []byte {
	c := m.call
	if c.charge.settled {
		text = fmt.Appendf(text, ": %s: %d\n", m.config.Headers.TokensConsumed, c.charge.usage.Total())
	}
	left := make(http.Header)
	m.canonical.setLimits(left, c.hold.limits, c.hold.standings, m.config.Counter.Now())
	for _, name := range []struct{ shown, canonical string }{
		{m.config.Headers.RemainingTokens, m.canonical.RemainingTokens}, {m.config.Headers.RemainingQuotaTokens, m.canonical.RemainingQuotaTokens},
	} {
		if value := left[name.canonical]; value != nil {
			text = fmt.Appendf(text, ": %s: %s\n", name.shown, value[0])
		}
	}
	if len(text) > 0 {
		text = append(text, '\n')
	}
	return text
}

// writtenText holds the text that a model wrote. Its tokens are counted only on demand, since
// upstream nearly always reports them.
type writtenText struct {
	encoding *tokens.Encoding
	choices  []*choice
}

// A choice is the text of one completion, which is counted apart from the others.
type choice struct {
	index int64
	held  []byte
	count *tokens.Stream
}

const (
	// maxHeldText is the most bytes of text that are kept uncounted, shared between the
	// choices.
	maxHeldText = 64 << 10
	// maxChoices is the most texts that are kept apart: OpenAI's maximum for n.
	maxChoices = 128
)

// add appends a choice's text. It is an operation.Text.
func (w *writtenText) add(index int64, text []byte) {
	c := w.choice(index)
	if c.held = append(c.held, text...); len(c.held) >= maxHeldText/len(w.choices) {
		c.flush()
	}
}

// choice returns the choice of an index; beyond maxChoices, the first.
func (w *writtenText) choice(index int64) *choice {
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

// flush counts the text held.
func (c *choice) flush() {
	c.count.Write(string(c.held))
	c.held = c.held[:0]
}

// empty reports whether the model has written nothing.
func (w *writtenText) empty() bool { return len(w.choices) == 0 }

// count returns how many tokens were written.
func (w *writtenText) count() (total int64) {
	for _, c := range w.choices {
		c.flush()
		total += int64(c.count.Count())
	}
	return total
}
