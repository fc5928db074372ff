package ledger

import "time"

// Floor returns when the span that has a time begins.
func (s Span) Floor(at time.Time) time.Time {
	at = at.UTC()
	if s == Month {
		return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return at.Truncate(s.Length()) // of time since year 1, which began with a whole day
}

// Next returns when the span after the one that has a time begins.
func (s Span) Next(at time.Time) time.Time {
	if s == Month {
		return s.Floor(at).AddDate(0, 1, 0)
	}
	return s.Floor(at).Add(s.Length())
}

// ceil returns the first time at or after a time at which a span begins.
func (s Span) ceil(at time.Time) time.Time {
	if floor := s.Floor(at); floor.Equal(at) {
		return floor
	}
	return s.Next(at)
}
