package fakemodel

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Header is the request header that changes the Behaviour for one call, in the form that
// Behaviour.With reads.
const Header = "X-Fake-Model"

// A Behaviour says how the endpoint answers. The zero value is DeepSeek-R1's normal
// behaviour.
type Behaviour struct {
	// Status is an error status, 400 or above, to answer with; 0: none.
	Status int
	// RetryAfter is the value of an error's Retry-After and retry-after-ms; 0: neither.
	RetryAfter time.Duration
	// FirstToken is the time before the answer begins.
	FirstToken time.Duration
	// Pace is the time between a stream's events.
	Pace time.Duration
	// CutAfter drops the connection in the middle of an answer: of a stream, after this
	// many events and half of the next. 0: never.
	CutAfter int
	// NoUsage omits usage.
	NoUsage bool
	// Bill counts prompts with code that is independent of the gateway's.
	Bill bool
	// Hidden is the number of reasoning tokens that are not written; they are generated
	// while FirstToken passes.
	Hidden int64
	// HoldAfter stops a stream after this many events until its caller leaves; 0: never.
	HoldAfter int
	// Completion is the size of an answer in tokens; 0: the default.
	Completion int64
}

// With returns the behaviour with the changes of a text: settings separated by commas,
// such as status=429, retry-after=7s, first-token=2s, pace=10ms, cut-after=3, no-usage,
// completion=500, bill, hidden=100 and hold-after=3. The error names the faulty setting.
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
