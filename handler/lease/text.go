package lease

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/limit"
)

// FormatSlots writes slots as text: id:seq:minute:leased:expiry, tombstones
// id:seq:expiry, separated by blanks. Numbers are in base 36; minutes and
// expiries count from the window, to stay short.
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
		slot := Slot{ID: id, Gone: strings.Count(numbers, ":") == 1}
		var err error
		if slot.Gone {
			err = readNumbers(numbers, &slot.Seq, &slot.Expiry)
		} else {
			err = readNumbers(numbers, &slot.Seq, &slot.Window, &slot.Leased, &slot.Expiry)
			slot.Window += window
		}
		slot.Expiry += window * 60
		if err != nil || id == "" {
			return nil, fmt.Errorf("slot %d: %w", len(slots), errors.Join(err, missing(id)))
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

func missing(id string) error {
	if id == "" {
		return errors.New("no id")
	}
	return nil
}

// FormatSpans writes spans as text: from:to in base 36, counted from the
// window, separated by blanks.
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

// FormatPeriods writes the periods' charges as text: start:amount:told in base 36,
// starts in Unix seconds, separated by blanks.
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
		var start, amount, told int64
		if err := readNumbers(field, &start, &amount, &told); err != nil {
			return nil, fmt.Errorf("period %d: %w", len(periods), err)
		}
		periods = append(periods, PeriodCharge{time.Unix(start, 0).UTC(), amount, told})
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
		return fmt.Errorf("%d numbers, not %d", len(parts), len(numbers))
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
