package lease

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// FormatSlots writes slots as text: id:seq:minute:leased:expiry for a slot, and
// id:seq:expiry for a tombstone, separated by spaces. Numbers are in base 36. Minutes
// and expiries count from window, the row's minute, to be short.
func FormatSlots(slots []Slot, window int64) string {
	var text strings.Builder
	for i, slot := range slots {
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(slot.ID)
		text.WriteByte(':')
		if slot.Gone {
			writeNumbers(&text, slot.Seq, slot.Expiry-window*60)
		} else {
			writeNumbers(&text, slot.Seq, slot.Window-window, slot.Leased, slot.Expiry-window*60)
		}
	}
	return text.String()
}

// ParseSlots reads what FormatSlots wrote.
func ParseSlots(text string, window int64) ([]Slot, error) {
	var slots []Slot
	for field := range strings.FieldsSeq(text) {
		id, numbers, _ := strings.Cut(field, ":")
		if id == "" {
			return nil, fmt.Errorf("slot %d: no id", len(slots))
		}
		slot := Slot{ID: id, Gone: strings.Count(numbers, ":") == 1}
		var err error
		if slot.Gone {
			err = readNumbers(numbers, &slot.Seq, &slot.Expiry)
		} else {
			err = readNumbers(numbers, &slot.Seq, &slot.Window, &slot.Leased, &slot.Expiry)
			slot.Window += window
		}
		slot.Expiry += window * 60
		if err != nil {
			return nil, fmt.Errorf("slot %d: %w", len(slots), err)
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

// FormatSpans writes spans as text: from:to in base 36, counted from window, the
// row's minute, and separated by spaces.
func FormatSpans(spans limit.Spans, window int64) string {
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
func ParseSpans(text string, window int64) (limit.Spans, error) {
	var spans limit.Spans
	for field := range strings.FieldsSeq(text) {
		var span limit.Span
		if err := readNumbers(field, &span.From, &span.To); err != nil {
			return nil, fmt.Errorf("span %d: %w", len(spans), err)
		}
		spans = append(spans, limit.Span{From: span.From + window, To: span.To + window})
	}
	return spans, nil
}

// FormatPeriods writes periods' charges as text: start:amount:alerted in base 36,
// with starts in Unix seconds, separated by spaces.
func FormatPeriods(periods []PeriodCharge) string {
	var text strings.Builder
	for i, c := range periods {
		if i > 0 {
			text.WriteByte(' ')
		}
		writeNumbers(&text, c.Start.Unix(), c.Amount, c.Alerted)
	}
	return text.String()
}

// ParsePeriods reads what FormatPeriods wrote.
func ParsePeriods(text string) ([]PeriodCharge, error) {
	var periods []PeriodCharge
	for field := range strings.FieldsSeq(text) {
		var start, amount, alerted int64
		if err := readNumbers(field, &start, &amount, &alerted); err != nil {
			return nil, fmt.Errorf("period %d: %w", len(periods), err)
		}
		periods = append(periods, PeriodCharge{time.Unix(start, 0).UTC(), amount, alerted})
	}
	return periods, nil
}

// writeNumbers writes numbers in base 36, separated by colons.
func writeNumbers(text *strings.Builder, numbers ...int64) {
	for i, n := range numbers {
		if i > 0 {
			text.WriteByte(':')
		}
		text.WriteString(strconv.FormatInt(n, 36))
	}
}

// readNumbers reads what writeNumbers wrote.
func readNumbers(text string, numbers ...*int64) error {
	parts := strings.Split(text, ":")
	if len(parts) != len(numbers) {
		return fmt.Errorf("got %d numbers, want %d", len(parts), len(numbers))
	}
	for i, part := range parts {
		n, err := strconv.ParseInt(part, 36, 64)
		if err != nil {
			return fmt.Errorf("number %d isn't a number in base 36", i+1)
		}
		*numbers[i] = n
	}
	return nil
}
