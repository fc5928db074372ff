package fakemodel

import (
	"encoding/json"
	"net/http"
)

// A stream sends an answer event by event.
type stream struct {
	*call
	control *http.ResponseController
	format  format
	sent    int  // events
	over    bool // the caller has left, or the stream has failed
}

// write sends an event, given its data and its name; the name is empty if the operation's
// events have none. It reports false if nothing more can be sent.
func (s *stream) write(name string, data json.RawMessage) bool {
	b := s.behaviour
	if b.FailAfter > 0 && s.sent == b.FailAfter && !s.over {
		s.behaviour.FailAfter = 0 // or the failure itself would fail
		s.format.failure(s)
		s.over = true
	}
	if b.HoldAfter > 0 && s.sent == b.HoldAfter {
		<-s.r.Context().Done()
		s.over = true
	}
	if s.over || s.sent > 0 && !wait(s.r, b.Pace) {
		s.over = true
		return false
	}
	event := "data: " + string(data) + "\n\n"
	if name != "" {
		event = "event: " + name + "\n" + event
	}
	if b.CutAfter > 0 && s.sent == b.CutAfter {
		_, _ = s.w.Write([]byte(event[:len(event)/2]))
		breakOff(s.w)
	}
	s.sent++
	_, err := s.w.Write([]byte(event))
	s.over = err != nil || s.control.Flush() != nil
	return !s.over
}

// bill charges tokens that were written.
func (s *stream) bill(tokens int64, written bool) {
	if written {
		s.e.billed.Add(tokens)
	}
}
