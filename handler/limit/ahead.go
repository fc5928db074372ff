package limit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Span is the minutes From to To, both included.
type Span struct{ From, To int64 }

// maxSpans is the most spans in a list.
const maxSpans = 8

// Spans are minutes in ascending order; no two spans are adjacent.
type Spans []Span

// with returns the spans and another. If they are too many, it fills the
// smallest gap.
func (s Spans) with(span Span) Spans {
	all := append(slices.Clone(s), span)
	slices.SortFunc(all, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	merged := all[:1]
	for _, next := range all[1:] {
		if last := &merged[len(merged)-1]; next.From <= last.To+1 {
			last.To = max(last.To, next.To)
		} else {
			merged = append(merged, next)
		}
	}
	if len(merged) > maxSpans {
		nearest := 0
		for i := range len(merged) - 1 {
			if merged[i+1].From-merged[i].To < merged[nearest+1].From-merged[nearest].To {
				nearest = i
			}
		}
		merged[nearest].To = merged[nearest+1].To
		merged = slices.Delete(merged, nearest+1, nearest+2)
	}
	return merged
}

// since returns the minutes from this one on.
func (s Spans) since(minute int64) Spans {
	var later Spans
	for _, span := range s {
		if span.To >= minute {
			later = append(later, Span{max(span.From, minute), span.To})
		}
	}
	return later
}

// wellFormed reports whether the spans are in order, apart and not too many.
func (s Spans) wellFormed() bool {
	for i, span := range s {
		if span.From > span.To || i > 0 && span.From <= s[i-1].To+1 {
			return false
		}
	}
	return len(s) <= maxSpans
}

// overlaps reports whether any of the minutes lies in the period.
func (s Spans) overlaps(p Period, start time.Time) bool {
	first, next := Minute(start), Minute(p.Next(start))
	return slices.ContainsFunc(s, func(span Span) bool { return span.To >= first && span.From < next })
}

// credit returns the credit that a minute begins with, if an earlier window
// had this much left and the spans were given out by a fast clock. Those
// minutes bring nothing again. Minutes before a span get no burst and pay for
// it, as the minutes given out may have had it.
func (s Spans) credit(l Limits, left, window, minute int64) int64 {
	for i, span := range s {
		switch {
		case span.To < window:
			continue
		case minute < span.From:
			return creditAfter(l.TokensPerMinute, 0, left, minute-window)
		case window < span.From:
			left = min(0, creditAfter(l.TokensPerMinute, 0, left, span.From-1-window))
		}
		if minute <= span.To {
			return left
		}
		if i < len(s)-1 && l.TokensPerMinute > 0 {
			left -= l.Burst
		}
		window = span.To
	}
	return creditAfter(l.TokensPerMinute, l.Burst, left, minute-window)
}

// FormatSpans writes spans as text: from:to in base 36, counted from the
// window, separated by blanks.
func FormatSpans(spans Spans, window int64) string {
	var text strings.Builder
	for i, span := range spans {
		if i > 0 {
			text.WriteByte(' ')
		}
		writeNumbers(&text, span.From-window, span.To-window)
	}
	return text.String()
}

// ParseSpans reads what FormatSpans wrote.
func ParseSpans(text string, window int64) (Spans, error) {
	var spans Spans
	for field := range strings.FieldsSeq(text) {
		var span Span
		if err := readNumbers(field, &span.From, &span.To); err != nil {
			return nil, fmt.Errorf("span %d: %w", len(spans), err)
		}
		spans = append(spans, Span{span.From + window, span.To + window})
	}
	return spans, nil
}

// Charged is the tokens that a quota was charged in a period.
type Charged struct {
	Start  time.Time // of the period
	Tokens int64
}

// maxPeriods is the most other periods that a counter remembers.
const maxPeriods = 4

// openPeriod opens a period. Leases count as charged to the one before.
func (s *State) openPeriod(start time.Time) {
	s.remember(Charged{s.PeriodStart, s.PeriodSpent + s.leasedOfPeriod()})
	s.PeriodStart, s.PeriodSpent = start, s.takeRemembered(start)
}

// remember keeps what a period was charged, and drops the oldest if they are
// too many.
func (s *State) remember(c Charged) {
	s.Periods = append(s.Periods, c)
	slices.SortFunc(s.Periods, func(a, b Charged) int { return a.Start.Compare(b.Start) })
	if n := len(s.Periods); n > maxPeriods {
		s.Periods = slices.Delete(s.Periods, 0, n-maxPeriods)
	}
}

// takeRemembered returns what a period was charged, and no longer remembers
// it. A period that a fast clock began and that is forgotten has nothing
// left.
func (s *State) takeRemembered(start time.Time) int64 {
	for i, c := range s.Periods {
		if c.Start.Equal(start) {
			s.Periods = slices.Delete(s.Periods, i, i+1)
			return c.Tokens
		}
	}
	if s.Given.overlaps(s.Period, start) {
		return s.Quota
	}
	return 0
}

// FormatPeriods writes the periods' charges as text: start:tokens in base 36,
// starts in Unix seconds, separated by blanks.
func FormatPeriods(periods []Charged) string {
	var text strings.Builder
	for i, c := range periods {
		if i > 0 {
			text.WriteByte(' ')
		}
		writeNumbers(&text, c.Start.Unix(), c.Tokens)
	}
	return text.String()
}

// ParsePeriods reads what FormatPeriods wrote.
func ParsePeriods(text string) ([]Charged, error) {
	var periods []Charged
	for field := range strings.FieldsSeq(text) {
		var start, tokens int64
		if err := readNumbers(field, &start, &tokens); err != nil {
			return nil, fmt.Errorf("period %d: %w", len(periods), err)
		}
		periods = append(periods, Charged{time.Unix(start, 0).UTC(), tokens})
	}
	return periods, nil
}
