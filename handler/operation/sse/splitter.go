// Package sse cuts streams of server-sent events into events, and reads the data of the
// events. A [Splitter] passes every byte on unchanged, so that a stream can be relayed
// while it is read. It buffers one event; an event that is too long for that comes in
// pieces, which a [LongEvent] reads.
//
// Start reading at [Splitter.Split].
//
// Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
package sse

import "bytes"

// MaxEvent is the most that is buffered of an event, in bytes.
const MaxEvent = 1 << 20

// Splitter cuts a stream of server-sent events into events, however it is divided
// into chunks. It yields every byte, in order and unchanged, one event with its final
// blank line at a time.
//
// An event beyond 1 MiB is yielded in pieces as they arrive, so that memory is
// bounded; see Whole. The zero Splitter is ready for use.
type Splitter struct {
	held      []byte
	lineBytes int  // length of the current line so far
	afterCR   bool // the last byte was a CR, perhaps the first half of a CRLF
	bareCR    bool // the stream has ended a line with a CR alone
	skipLF    bool // the last line ended with a CR: an LF now belongs to that end
	pieces    bool // the current event is yielded in pieces
	whole     bool // a whole event is being yielded
	last      bool // the end of an event is being yielded
	joined    []byte
}

// Whole reports, during a yield, whether it got a whole event rather than a piece of
// one that is too long.
func (s *Splitter) Whole() bool { return s.whole }

// Last reports, during a yield, whether it got the end of an event.
func (s *Splitter) Last() bool { return s.last }

// Split takes the next bytes of the stream and yields the events they complete. An
// event is only valid during the call of yield.
//
// An event that ends in CR is held back until the next byte shows whether an LF belongs
// to it. After the first line that ended with CR alone, events are no longer held back,
// and such an LF is yielded with the next event.
func (s *Splitter) Split(chunk []byte, yield func(event []byte)) {
	start, lf := 0, -1
	for i := 0; i < len(chunk); {
		if lf < i {
			lf = index(chunk, i, '\n')
		}
		next, ended := s.step(chunk, i, lf)
		if ended {
			s.last = true
			s.give(chunk[start:next], yield)
			start, s.pieces, s.last = next, false, false
		}
		i = next
	}
	s.hold(chunk[start:], yield)
}

// End yields an unfinished event at the stream's end. An event that lacks its blank
// line counts as whole, as clients read it so.
func (s *Splitter) End(yield func(event []byte)) {
	if s.last = true; len(s.held) > 0 || s.pieces {
		s.give(nil, yield)
	}
}

// step reads from chunk[i] at most to the end of the line; the next LF is at lf. It
// reports whether the event has ended.
func (s *Splitter) step(chunk []byte, i, lf int) (next int, ended bool) {
	switch {
	case s.afterCR:
		s.afterCR = false
		if chunk[i] == '\n' {
			return i + 1, s.lineEnds()
		}
		s.bareCR = true
		return i, s.lineEnds()
	case s.skipLF:
		s.skipLF = false
		if chunk[i] == '\n' {
			return i + 1, false
		}
	}
	end := index(chunk[:lf], i, '\r')
	s.lineBytes += end - i
	switch {
	case end == len(chunk):
		return end, false
	case chunk[end] == '\r' && !s.bareCR:
		s.afterCR = true
		return end + 1, false
	}
	s.skipLF = chunk[end] == '\r'
	return end + 1, s.lineEnds()
}

// lineEnds starts the next line, and reports whether the last one was blank.
func (s *Splitter) lineEnds() bool {
	blank := s.lineBytes == 0
	s.lineBytes = 0
	return blank
}

// index returns the index of the first c in b from i on, or len(b).
func index(b []byte, i int, c byte) int {
	if n := bytes.IndexByte(b[i:], c); n >= 0 {
		return i + n
	}
	return len(b)
}

// hold buffers the start of an event, up to MaxEvent, until its end arrives.
func (s *Splitter) hold(rest []byte, yield func(event []byte)) {
	s.pieces = s.pieces || len(s.held)+len(rest) > MaxEvent
	switch {
	case len(rest) == 0:
	case s.pieces:
		s.give(rest, yield)
	default:
		s.held = append(s.held, rest...)
	}
}

// give yields the buffered start of the event followed by more.
func (s *Splitter) give(more []byte, yield func(event []byte)) {
	s.whole = !s.pieces && len(s.held)+len(more) <= MaxEvent
	if len(s.held) == 0 {
		yield(more)
		return
	}
	s.held = append(s.held, more...)
	yield(s.held)
	if s.held = s.held[:0]; cap(s.held) > MaxEvent/8 {
		s.held = nil
	}
}
