package ledger

import "time"

// Floor returns the start of the span that contains a time.
func (s Span) Floor(at time.Time) time.Time {
	at = at.UTC()
	if s == Month {
		return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return at.Truncate(s.Length()) // Truncate counts from a midnight in UTC
}

// Next returns the end of the span that contains a time, which is the start of the next one.
func (s Span) Next(at time.Time) time.Time {
	if s == Month {
		return s.Floor(at).AddDate(0, 1, 0)
	}
	return s.Floor(at).Add(s.Length())
}

// ceil returns the first start of a span at or after a time.
func (s Span) ceil(at time.Time) time.Time {
	if floor := s.Floor(at); floor.Equal(at) {
		return floor
	}
	return s.Next(at)
}
