package limit

import (
	"cmp"
	"slices"
	"time"
)

// A Span is the minutes From to To, both included.
type Span struct{ From, To int64 }

// maxSpans is the most spans in a list.
const maxSpans = 8

// Spans are a set of minutes, in ascending order. There is a gap between any two spans.
type Spans []Span

// With returns the spans with another one. If there are too many, it fills the smallest
// gap.
func (s Spans) With(span Span) Spans {
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

// Since returns the minutes from this one on.
func (s Spans) Since(minute int64) Spans {
	var later Spans
	for _, span := range s {
		if span.To >= minute {
			later = append(later, Span{max(span.From, minute), span.To})
		}
	}
	return later
}

// WellFormed reports whether the spans are in order, with gaps, and not too many.
func (s Spans) WellFormed() bool {
	for i, span := range s {
		if span.From > span.To || i > 0 && span.From <= s[i-1].To+1 {
			return false
		}
	}
	return len(s) <= maxSpans
}

// Overlaps reports whether any of the minutes lies in the period.
func (s Spans) Overlaps(p Period, start time.Time) bool {
	first, next := Minute(start), Minute(p.Next(start))
	return slices.ContainsFunc(s, func(span Span) bool { return span.To >= first && span.From < next })
}

// credit returns the credit that a minute begins with, if an earlier minute, window, had
// this much left, and a fast clock has already given out the credit of the spans. The
// minutes of a span get no credit again. The spans may have had the burst, so the minutes
// before them get none, and pay for it.
func (s Spans) credit(l Limits, left, window, minute int64) int64 {
	for i, span := range s {
		switch {
		case span.To < window:
			continue
		case minute < span.From:
			return creditAfter(l.PerMinute, 0, left, minute-window)
		case window < span.From:
			left = min(0, creditAfter(l.PerMinute, 0, left, span.From-1-window))
		}
		if minute <= span.To {
			return left
		}
		if i < len(s)-1 && l.PerMinute > 0 {
			left -= l.Burst
		}
		window = span.To
	}
	return creditAfter(l.PerMinute, l.Burst, left, minute-window)
}
