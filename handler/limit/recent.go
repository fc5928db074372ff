package limit

import "time"

// Recent is what happened to a counter that the history may not have yet, by
// minute: those that are over and wait for it, and then the last one that
// anything happened in, which may be the running one. What this holder has not
// written counts in the running minute, as it will. What instances lease counts
// as charged where the minute is over.
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

// unwritten is what this holder has not written, or not known to be.
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

// closed is a minute's count, or nothing where nothing happened.
func (h Happened) closed(minute, from int64) []Closed {
	if h == (Happened{}) {
		return nil
	}
	return []Closed{{Minute: minute, From: from, Usage: h.Usage, Requests: h.Requests, Refused: h.Refused, Forfeited: h.Forfeited, Charged: h.Charged}}
}
