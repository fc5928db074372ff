package limit

import "time"

// Minute returns the UTC minute of a time, counted from 1970.
func Minute(t time.Time) int64 {
	seconds := t.Unix()
	if seconds < 0 {
		seconds -= 59 // so that the division rounds down
	}
	return seconds / 60
}

// MinuteStart returns the time when a minute begins. It is the inverse of Minute.
func MinuteStart(minute int64) time.Time { return time.Unix(minute*60, 0).UTC() }

// Start returns the start of the period that contains t; the zero time if p is no known
// period.
func (p Period) Start(t time.Time) time.Time {
	t = t.UTC()
	year, month, day := t.Date()
	switch p {
	case Hourly:
		return t.Truncate(time.Hour)
	case Daily:
	case Weekly:
		day -= (int(t.Weekday()) + 6) % 7 // days since Monday
	case Monthly:
		day = 1
	case Yearly:
		month, day = time.January, 1
	default:
		return time.Time{}
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// Next returns the start of the period after the one that began at start; the zero time
// if p is no known period.
func (p Period) Next(start time.Time) time.Time {
	switch p {
	case Hourly:
		return start.Add(time.Hour)
	case Daily:
		return start.AddDate(0, 0, 1)
	case Weekly:
		return start.AddDate(0, 0, 7)
	case Monthly:
		return start.AddDate(0, 1, 0)
	case Yearly:
		return start.AddDate(1, 0, 0)
	}
	return time.Time{}
}
