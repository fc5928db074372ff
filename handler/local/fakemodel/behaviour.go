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

// A Behaviour is how the endpoint answers. The zero value is a model's normal behaviour.
type Behaviour struct {
	// Status is an error status, 400 or above, to answer with; 0: none.
	Status int
	// RetryAfter is the value of an error's Retry-After and retry-after-ms; 0: neither.
	RetryAfter time.Duration
	// FirstToken is the time before the answer begins, or before a response in the
	// background is completed.
	FirstToken time.Duration
	// Pace is the time between a stream's events.
	Pace time.Duration
	// CutAfter drops the connection in the middle of an answer: of a stream, after this
	// many events and half of the next. 0: never.
	CutAfter int
	// FailAfter ends a stream with an error in place of the event after this many; an
	// answer that isn't streamed is then an error, with status 200. 0: never.
	FailAfter int
	// HoldAfter stops a stream after this many events until its caller leaves; 0: never.
	HoldAfter int
	// Completion is the size of an answer in tokens; 0: the default.
	Completion int64
	// Hidden is the number of reasoning tokens that are not written; they are generated
	// while FirstToken passes.
	Hidden int64
	// Cached and CacheWrite are the numbers of the prompt's tokens that are read from the
	// prompt cache and written to it.
	Cached, CacheWrite int64
	// Compaction is the number of tokens that a message's compaction reads; it writes a
	// quarter of them. It needs the beta header that turns compaction on.
	Compaction int64
	// NoUsage omits usage; OddUsage makes its completion tokens negative.
	NoUsage, OddUsage bool
	// Bill counts a chat's prompt with code that is independent of the gateway's. The
	// prompts of other operations are always counted so.
	Bill bool
	// Novelty adds events of an unknown type to the streams of responses and messages.
	Novelty bool
}

// With returns the behaviour with the changes of a text: settings separated by commas,
// such as status=429, retry-after=7s, first-token=2s, pace=10ms, cut-after=3, fail-after=3,
// hold-after=3, completion=500, hidden=100, cached=10, cache-write=10, compaction=400,
// no-usage, odd-usage, bill and novelty. The error names the faulty setting.
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
	times := map[string]*time.Duration{"retry-after": &b.RetryAfter, "first-token": &b.FirstToken, "pace": &b.Pace}
	events := map[string]*int{"cut-after": &b.CutAfter, "fail-after": &b.FailAfter, "hold-after": &b.HoldAfter}
	amounts := map[string]*int64{"completion": &b.Completion, "hidden": &b.Hidden, "cached": &b.Cached, "cache-write": &b.CacheWrite, "compaction": &b.Compaction}
	switches := map[string]*bool{"no-usage": &b.NoUsage, "odd-usage": &b.OddUsage, "bill": &b.Bill, "novelty": &b.Novelty}
	switch {
	case name == "status":
		if b.Status, err = strconv.Atoi(value); err == nil && (b.Status < 400 || b.Status > 599) {
			err = fmt.Errorf("use 400 to 599")
		}
	case times[name] != nil:
		*times[name], err = time.ParseDuration(value)
	case events[name] != nil:
		*events[name], err = strconv.Atoi(value)
	case amounts[name] != nil:
		*amounts[name], err = strconv.ParseInt(value, 10, 64)
	case switches[name] != nil:
		*switches[name] = true
	default:
		err = fmt.Errorf("there is no such setting; see fakemodel.Behaviour.With")
	}
	return err
}
