package limit

import "time"

// Recent returns a counter's usage, by minute, that the history may not have
// yet: the minutes in the outbox, and then the last minute with any usage,
// which may be the running one. What this holder has not written counts in
// the running minute, as it will. Leases of a minute that is over count as
// charged.
func (h *Holder) Recent(s *State, now time.Time) []Closed {
	recent := append([]Closed(nil), s.Outbox...)
	running := max(Minute(now), s.Window)
	unwritten := h.unconfirmed(s, running)
	last := s.Happened
	last.Charged += s.Spent
	from := s.UsageFrom
	if s.Window < running {
		last.Charged += s.leased()
		recent = append(recent, last.closed(s.Window, from)...)
		last, from = Happened{}, running
	}
	last.add(unwritten)
	return append(recent, last.closed(running, from)...)
}

// unconfirmed returns what this holder has not written, or doesn't know to be
// written.
func (h *Holder) unconfirmed(s *State, running int64) Happened {
	all := h.pending.happened
	all.Charged += h.pending.excess
	ours := h.joined && h.window == running && s.Window == running
	if ours {
		all.Charged += h.consumed
	}
	if b := h.inFlight; b != nil {
		all.add(b.report.happened)
		all.Charged += b.report.excess - b.undone
		if ours && b.window == running {
			all.Charged += b.consumed
		}
	}
	return all
}

// closed returns the minute's count, or nothing if it is empty.
func (h Happened) closed(minute, from int64) []Closed {
	if h == (Happened{}) {
		return nil
	}
	return []Closed{{Minute: minute, From: from, Usage: h.Usage, Requests: h.Requests, Refused: h.Refused, Forfeited: h.Forfeited, Charged: h.Charged}}
}
