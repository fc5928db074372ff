package limit_test

import (
	"testing"
	"time"

	"tollgate/handler/limit"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// at parses a time such as 2026-03-02 12:00:00 +0000.
func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05 -0700", text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestPeriodsAreFixedWindowsInUTC(t *testing.T) {
	for _, c := range []struct {
		period            limit.Period
		now, start, after string
	}{
		{limit.Hourly, "2026-03-02 12:59:59 +0000", "2026-03-02 12:00:00 +0000", "2026-03-02 13:00:00 +0000"},
		{limit.Hourly, "2026-03-02 12:59:59 +0545", "2026-03-02 07:00:00 +0000", "2026-03-02 08:00:00 +0000"},
		{limit.Daily, "2026-12-31 23:59:59 +0000", "2026-12-31 00:00:00 +0000", "2027-01-01 00:00:00 +0000"},
		{limit.Daily, "2027-01-01 01:00:00 +0200", "2026-12-31 00:00:00 +0000", "2027-01-01 00:00:00 +0000"},
		{limit.Weekly, "2026-03-02 00:00:00 +0000", "2026-03-02 00:00:00 +0000", "2026-03-09 00:00:00 +0000"}, // a Monday
		{limit.Weekly, "2026-03-01 23:59:59 +0000", "2026-02-23 00:00:00 +0000", "2026-03-02 00:00:00 +0000"}, // a Sunday
		{limit.Weekly, "2027-01-02 12:00:00 +0000", "2026-12-28 00:00:00 +0000", "2027-01-04 00:00:00 +0000"},
		{limit.Monthly, "2026-01-31 23:59:59 +0000", "2026-01-01 00:00:00 +0000", "2026-02-01 00:00:00 +0000"},
		{limit.Monthly, "2028-02-29 12:00:00 +0000", "2028-02-01 00:00:00 +0000", "2028-03-01 00:00:00 +0000"},
		{limit.Monthly, "2026-12-31 23:30:00 -0100", "2027-01-01 00:00:00 +0000", "2027-02-01 00:00:00 +0000"},
		{limit.Yearly, "2028-12-31 23:59:59 +0000", "2028-01-01 00:00:00 +0000", "2029-01-01 00:00:00 +0000"},
	} {
		start := c.period.Start(at(c.now))
		if !start.Equal(at(c.start)) || start.Location() != time.UTC {
			t.Errorf("the start of %s of %s: got %v, want %s", c.period, c.now, start, c.start)
		}
		if next := c.period.Next(start); !next.Equal(at(c.after)) {
			t.Errorf("%s after %v: got %v, want %s", c.period, start, next, c.after)
		}
	}
}

func TestMinutesAreCountedFrom1970(t *testing.T) {
	for text, want := range map[string]int64{
		"1970-01-01 00:00:59 +0000": 0, "1970-01-01 00:01:00 +0000": 1, "1969-12-31 23:59:59 +0000": -1, "1969-12-31 23:59:00 +0000": -1,
		"1970-01-02 01:00:00 +0100": 1440,
	} {
		if got := limit.Minute(at(text)); got != want {
			t.Errorf("the minute of %s: got %d, want %d", text, got, want)
		}
	}
	if start := limit.MinuteStart(limit.Minute(noon.Add(59 * time.Second))); !start.Equal(noon) {
		t.Errorf("the start of noon's minute: got %v, want %v", start, noon)
	}
}
