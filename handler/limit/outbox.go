package limit

import (
	"fmt"
	"strconv"
	"strings"
)

// Happened counts what calls did since UsageFrom.
type Happened struct {
	Usage
	Requests, Refused int64
	Forfeited         int64 // tokens of dead instances' leases, which count as spent
	Charged           int64 // tokens charged in earlier minutes that could not be closed
}

func (h *Happened) add(other Happened) {
	h.PromptTokens += other.PromptTokens
	h.CompletionTokens += other.CompletionTokens
	h.Requests += other.Requests
	h.Refused += other.Refused
	h.Forfeited += other.Forfeited
	h.Charged += other.Charged
}

// Closed is a minute that is over, as kept in the usage history. It never
// changes: a call settled later counts in the minute of its write.
type Closed struct {
	Minute int64 // counted from 1970
	From   int64 // first minute counted; before Minute only if the outbox was full
	Usage
	Requests, Refused, Forfeited int64
	Charged                      int64 // tokens charged to the limit: reservations, excess and leases, less refunds
}

// maxOutbox is the most closed minutes that wait for the history.
const maxOutbox = 60

// closeMinute moves Happened to the outbox when the next minute begins. If
// the outbox is full, the count goes on: nothing is dropped.
func (s *State) closeMinute(next int64) {
	s.Happened.Charged += s.Spent + s.leased()
	if s.Happened == (Happened{}) {
		s.UsageFrom = next
		return
	}
	if len(s.Outbox) >= maxOutbox {
		return
	}
	h := s.Happened
	s.Outbox = append(s.Outbox, Closed{Minute: s.Window, From: s.UsageFrom, Usage: h.Usage,
		Requests: h.Requests, Refused: h.Refused, Forfeited: h.Forfeited, Charged: h.Charged})
	s.Happened, s.UsageFrom = Happened{}, next
}

// FormatOutbox writes closed minutes as text, numbers in base 36:
// minute:minutes:prompt:completion:requests:refused:forfeited:charged,
// separated by blanks. minutes is the number of earlier minutes counted with
// it.
func FormatOutbox(outbox []Closed) string {
	var text strings.Builder
	for i, c := range outbox {
		if i > 0 {
			text.WriteByte(' ')
		}
		writeNumbers(&text, c.Minute, c.Minute-c.From, c.PromptTokens, c.CompletionTokens, c.Requests, c.Refused, c.Forfeited, c.Charged)
	}
	return text.String()
}

// ParseOutbox reads what FormatOutbox wrote.
func ParseOutbox(text string) ([]Closed, error) {
	var outbox []Closed
	for field := range strings.FieldsSeq(text) {
		var c Closed
		var before int64
		err := readNumbers(field, &c.Minute, &before, &c.PromptTokens, &c.CompletionTokens, &c.Requests, &c.Refused, &c.Forfeited, &c.Charged)
		if err != nil {
			return nil, fmt.Errorf("closed minute %d: %w", len(outbox), err)
		}
		c.From = c.Minute - before
		outbox = append(outbox, c)
	}
	return outbox, nil
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
