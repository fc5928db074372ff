package r1sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Header asks for another Behaviour for one call, in the form that Behaviour.With reads.
const Header = "X-R1sim"

// Behaviour is how the endpoint answers. The zero value is DeepSeek-R1's usual.
type Behaviour struct {
	// Status is an error, 400 or above, to answer with; 0: none.
	Status int
	// RetryAfter is what an error says in Retry-After and retry-after-ms; 0: nothing.
	RetryAfter time.Duration
	// FirstToken is how long the model thinks before its answer begins.
	FirstToken time.Duration
	// Pace is the time from one event of a stream to the next.
	Pace time.Duration
	// CutAfter breaks the connection off in the midst of an answer: of a stream
	// after so many events and half of the next. 0: never.
	CutAfter int
	// NoUsage leaves usage out.
	NoUsage bool
	// Bill charges prompts as a stranger does, and not as the gateway counts.
	Bill bool
	// Hidden is how many tokens the model thinks, while FirstToken passes, without
	// writing them.
	Hidden int64
	// HoldAfter has a stream stop after so many events until its caller leaves; 0: never.
	HoldAfter int
	// Completion is how many tokens an answer takes; 0: the usual.
	Completion int64
}

// With is the behaviour changed as a text says: settings separated by commas,
// status=429, retry-after=7s, first-token=2s, pace=10ms, cut-after=3, no-usage
// completion=500, bill, hidden=100 and hold-after=3. The error names what can't be read.
func (b Behaviour) With(text string) (Behaviour, error) {
	for setting := range strings.SplitSeq(text, ",") {
		if setting = strings.TrimSpace(setting); setting == "" {
			continue
		}
		name, value, _ := strings.Cut(setting, "=")
		if err := b.set(name, value); err != nil {
			return b, fmt.Errorf("%s: %s can't be %q: %w", Header, name, value, err)
		}
	}
	return b, nil
}

func (b *Behaviour) set(name, value string) (err error) {
	switch name {
	case "status":
		if b.Status, err = strconv.Atoi(value); err == nil && (b.Status < 400 || b.Status > 599) {
			err = fmt.Errorf("use 400 to 599")
		}
	case "retry-after":
		b.RetryAfter, err = time.ParseDuration(value)
	case "first-token":
		b.FirstToken, err = time.ParseDuration(value)
	case "pace":
		b.Pace, err = time.ParseDuration(value)
	case "cut-after":
		b.CutAfter, err = strconv.Atoi(value)
	case "no-usage":
		b.NoUsage = true
	case "bill":
		b.Bill = true
	case "hidden":
		b.Hidden, err = strconv.ParseInt(value, 10, 64)
	case "hold-after":
		b.HoldAfter, err = strconv.Atoi(value)
	case "completion":
		b.Completion, err = strconv.ParseInt(value, 10, 64)
	default:
		err = fmt.Errorf("use status, retry-after, first-token, pace, cut-after, no-usage, completion, bill, hidden or hold-after")
	}
	return err
}
