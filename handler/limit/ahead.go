package limit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Span is the minutes From to To.
type Span struct{ From, To int64 }

// maxSpans bounds the spans that a list holds.
const maxSpans = 8

// Spans are minutes, in their order, no two spans adjacent.
type Spans []Span

// with is the spans and another. Where there are too many, the minutes between
// the two nearest are taken in.
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

// since is those of the minutes that are not before one.
func (s Spans) since(minute int64) Spans {
	var later Spans
	for _, span := range s {
		if span.To >= minute {
			later = append(later, Span{max(span.From, minute), span.To})
		}
	}
	return later
}

// sound says whether the spans are as they are made.
func (s Spans) wellFormed() bool {
	for i, span := range s {
		if span.From > span.To || i > 0 && span.From <= s[i-1].To+1 {
			return false
		}
	}
	return len(s) <= maxSpans
}

// meets says whether any of the minutes is in a period.
func (s Spans) overlaps(p Period, start time.Time) bool {
	first, next := Minute(start), Minute(p.Next(start))
	return slices.ContainsFunc(s, func(span Span) bool { return span.To >= first && span.From < next })
}

// credit is what a minute begins with, where a window before it had so much
// left and the spans were given out by a clock that ran ahead. They bring nothing
// again. Whatever comes before one of them does without the burst, and pays
// for it: the minutes that were given out may have had it.
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

// FormatSpans writes spans as one readable text: from:to in base 36, counted from
// the window, separated by blanks.
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

// Charged is what a quota was charged in a period, in tokens.
type Charged struct {
	Start  time.Time // of the period
	Tokens int64
}

// maxPeriods bounds the periods that are remembered beside the running one.
const maxPeriods = 4

// turnPeriod opens a period. What is leased counts as charged to the one before.
func (s *State) openPeriod(start time.Time) {
	s.remember(Charged{s.PeriodStart, s.PeriodSpent + s.leasedOfPeriod()})
	s.PeriodStart, s.PeriodSpent = start, s.takeRemembered(start)
}

// remember keeps what a period was charged, in the place of the oldest where
// there are too many.
func (s *State) remember(c Charged) {
	s.Periods = append(s.Periods, c)
	slices.SortFunc(s.Periods, func(a, b Charged) int { return a.Start.Compare(b.Start) })
	if n := len(s.Periods); n > maxPeriods {
		s.Periods = slices.Delete(s.Periods, 0, n-maxPeriods)
	}
}

// recall takes what a period was charged out of what is remembered. One that was
// begun by a clock that ran ahead, and is forgotten, has nothing left.
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

// FormatPeriods writes what periods were charged as one readable text:
// start:tokens in base 36, starts in Unix seconds, separated by blanks.
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
