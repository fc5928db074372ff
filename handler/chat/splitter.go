package chat

import "bytes"

// maxEvent is how many bytes of an event are held while waiting for its end.
const maxEvent = 1 << 20

// Splitter cuts a stream of server-sent events into events. It takes the bytes
// in whatever chunks they come and gives them all back, in order and
// unchanged, a whole event with the blank line that ends it at a time.
//
// Of an event beyond 1 MiB it gives pieces as they come, so that what it holds
// is bounded; Whole tells these apart. The zero Splitter is ready for use.
type Splitter struct {
	held      []byte
	lineBytes int  // of the line being read
	afterCR   bool // the last byte was a CR, and may be half of a line's end
	bareCR    bool // the stream has ended a line with CR alone
	skipLF    bool // a line has ended with that CR: an LF next ends no other
	pieces    bool // the event being read is given in pieces
	whole     bool // what is given is a whole event
	last      bool // what is given ends its event
}

// Whole reports whether what yield is being given is a whole event, not a piece
// of one that is too long.
func (s *Splitter) Whole() bool { return s.whole }

// Split takes the next bytes of the stream and yields the events which they
// complete. An event is only valid during the call.
//
// An event that ends in CR is held until the next byte shows whether an LF
// belongs to it, unless the stream has ended a line with CR alone before: then
// an LF after it goes with the next event.
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

// End yields what is left when the stream has ended: nothing, if that was with
// an event's blank line. A last event that lacks it counts as whole, since
// clients read it so.
func (s *Splitter) End(yield func(event []byte)) {
	if s.last = true; len(s.held) > 0 || s.pieces {
		s.give(nil, yield)
	}
}

// step reads on from chunk[i] to the end of the line, or less. The next LF is
// at lf. It reports whether the event has ended.
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

// lineEnds starts the next line. It reports whether the last one was blank.
func (s *Splitter) lineEnds() bool {
	blank := s.lineBytes == 0
	s.lineBytes = 0
	return blank
}

// index returns where c is in b from i on, or b's length.
func index(b []byte, i int, c byte) int {
	if n := bytes.IndexByte(b[i:], c); n >= 0 {
		return i + n
	}
	return len(b)
}

// hold keeps the start of an event until its end comes, up to maxEvent.
func (s *Splitter) hold(rest []byte, yield func(event []byte)) {
	s.pieces = s.pieces || len(s.held)+len(rest) > maxEvent
	switch {
	case len(rest) == 0:
	case s.pieces:
		s.give(rest, yield)
	default:
		s.held = append(s.held, rest...)
	}
}

// give yields what is held with more after it.
func (s *Splitter) give(more []byte, yield func(event []byte)) {
	s.whole = !s.pieces && len(s.held)+len(more) <= maxEvent
	if len(s.held) == 0 {
		yield(more)
		return
	}
	s.held = append(s.held, more...)
	yield(s.held)
	if s.held = s.held[:0]; cap(s.held) > maxEvent/8 {
		s.held = nil
	}
}
