package chat

import "bytes"

// MaxEvent is the longest event that is held back to be read whole, in bytes.
// What is longer is passed on in pieces, unread.
const MaxEvent = 1 << 20

// Splitter cuts a stream of bytes, in whatever pieces it comes, into
// server-sent events. The zero value is ready.
type Splitter struct {
	pending []byte
	scanned int  // bytes of pending known to hold no event's end
	broken  bool // inside an event longer than MaxEvent
}

// Write calls each with every event that is whole now, its blank line included,
// and keeps the rest. whole is false for the pieces of an event longer than
// MaxEvent. Joined, what each is given is what was written.
func (s *Splitter) Write(data []byte, each func(event []byte, whole bool) error) error {
	s.pending = append(s.pending, data...)
	for {
		end, ok := eventEnd(s.pending, s.scanned)
		if !ok {
			s.scanned = end
			break
		}
		event := s.pending[:end]
		whole := !s.broken
		s.broken = false
		err := each(event, whole)
		s.pending, s.scanned = s.pending[end:], 0
		if err != nil {
			return err
		}
	}
	if len(s.pending) <= MaxEvent {
		return nil
	}
	s.broken = true
	// A line break at the very end may be the first half of the event's end.
	long := s.pending
	cut := len(bytes.TrimRight(long, "\r\n"))
	s.pending, s.scanned = bytes.Clone(long[cut:]), 0
	return each(long[:cut], false)
}

// Close calls each with what is left of an event that was never ended. The
// last event of a stream may lack its blank line.
func (s *Splitter) Close(each func(event []byte, whole bool) error) error {
	if len(s.pending) == 0 {
		return nil
	}
	rest := s.pending
	s.pending, s.scanned = nil, 0
	return each(rest, !s.broken)
}

// eventEnd finds the index after the first blank line's end, looking from
// scanned on. Lines end in \n, \r\n or \r. Without one it says from where to
// look when more has come.
func eventEnd(data []byte, scanned int) (end int, ok bool) {
	for i := scanned; i < len(data); {
		next := bytes.IndexAny(data[i:], "\r\n")
		if next < 0 {
			return len(data), false
		}
		first := i + next
		after, known := lineBreak(data, first)
		if !known {
			return first, false
		}
		if after >= len(data) {
			return first, false
		}
		if data[after] != '\r' && data[after] != '\n' {
			i = after
			continue
		}
		end, known := lineBreak(data, after)
		if !known {
			return first, false
		}
		return end, true
	}
	return scanned, false
}

// lineBreak is the index after the line break at i; unknown while a \r is the
// last byte, since a \n may follow.
func lineBreak(data []byte, i int) (after int, known bool) {
	if data[i] == '\n' {
		return i + 1, true
	}
	if i+1 >= len(data) {
		return i + 1, false
	}
	if data[i+1] == '\n' {
		return i + 2, true
	}
	return i + 1, true
}
