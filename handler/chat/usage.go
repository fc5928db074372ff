package chat

import (
	"math"
	"strconv"

	"tollgate/handler/jsonscan"
)

// Usage is what upstream says a call took, in tokens.
type Usage struct {
	// PromptTokens, and CompletionTokens, which include the reasoning, are what
	// is charged. TotalTokens is what upstream says, or their sum.
	PromptTokens, CompletionTokens, TotalTokens int64
	// ReasoningTokens and CachedTokens are parts of the completion and of the
	// prompt, 0 where upstream doesn't say.
	ReasoningTokens, CachedTokens int64
}

// Report says what upstream told of a call's usage.
type Report int

const (
	// UsageMissing is no usage at all.
	UsageMissing Report = iota
	// UsageNull is "usage": null, as streams with include_usage have it before
	// the end.
	UsageNull
	// UsageBad is usage that can't be: of a wrong type, negative, with a fraction,
	// beyond maxUsage, all zeros, or no completion where there was text.
	UsageBad
	// UsageTold is usage to be believed.
	UsageTold
)

func (r Report) String() string {
	return [...]string{"missing", "null", "bad", "told"}[r]
}

// maxUsage is beyond what any one call can take: a context of two billion
// tokens. More is a broken upstream, and would empty a quota at one stroke.
const maxUsage = 1 << 31

// unknown marks a count that upstream didn't give.
const unknown = -1

// readUsage consumes the value of a usage field.
func readUsage(s *jsonscan.Scanner) (Usage, Report, error) {
	if s.Literal("null") {
		return Usage{}, UsageNull, nil
	}
	if s.Peek() != '{' {
		return Usage{}, UsageBad, s.Skip()
	}
	u := Usage{PromptTokens: unknown, CompletionTokens: unknown, TotalTokens: unknown}
	sound := true
	err := s.Object(func(key []byte) (err error) {
		count, good := int64(unknown), true
		switch string(key) {
		case "prompt_tokens":
			count, good, err = readTokens(s)
			u.PromptTokens = count
		case "completion_tokens":
			count, good, err = readTokens(s)
			u.CompletionTokens = count
		case "total_tokens":
			count, good, err = readTokens(s)
			u.TotalTokens = count
		case "reasoning_tokens": // beside the others, where there are no details
			count, _, err = readTokens(s)
			u.ReasoningTokens = max(u.ReasoningTokens, count)
		case "completion_tokens_details":
			count, err = readDetail(s, "reasoning_tokens")
			u.ReasoningTokens = max(u.ReasoningTokens, count)
		case "prompt_tokens_details":
			u.CachedTokens, err = readDetail(s, "cached_tokens")
		default:
			err = s.Skip()
		}
		sound = sound && good
		return err
	})
	if err != nil || !sound || !u.complete() {
		return Usage{}, UsageBad, err
	}
	return u, UsageTold, nil
}

// readTokens consumes a number of tokens; null is unknown. It reports whether that
// is a number that can be.
func readTokens(s *jsonscan.Scanner) (n int64, good bool, err error) {
	if s.Literal("null") {
		return unknown, true, nil
	}
	value, err := s.Value()
	if err != nil {
		return unknown, false, err
	}
	n, good = wholeNumber(string(value))
	if !good || n < 0 || n > maxUsage {
		return unknown, false, nil
	}
	return n, true, nil
}

// wholeNumber reads a number that has no fraction, also one written as a float:
// 700.0, 7e2.
func wholeNumber(text string) (n int64, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > maxUsage {
		return 0, false
	}
	return int64(f), true
}

// readDetail consumes an object of details and returns the named one, 0 unless it
// is there and sound: details that can't be are no reason to doubt the usage.
func readDetail(s *jsonscan.Scanner, name string) (n int64, err error) {
	if s.Peek() != '{' {
		return 0, s.Skip()
	}
	err = s.Object(func(key []byte) error {
		if string(key) != name {
			return s.Skip()
		}
		told, _, err := readTokens(s)
		n = max(0, told)
		return err
	})
	return n, err
}

// complete derives the one count of three that may be missing. Where the total is
// more than prompt and completion, the rest is charged too: it is reasoning that
// the completion leaves out, as Grok's and Gemini's do, or the prompt if that is
// given as 0. Without a total, reasoning that the completion can't include is
// added to it. It reports whether all three are known and not all zero: some
// upstreams send zeros for "not counted", while no prompt is empty.
// Source: https://docs.x.ai/docs/key-information/consumption-and-rate-limits
func (u *Usage) complete() bool {
	switch {
	case u.TotalTokens == unknown && u.PromptTokens != unknown && u.CompletionTokens != unknown:
		if u.CompletionTokens < u.ReasoningTokens {
			u.CompletionTokens += u.ReasoningTokens
		}
		u.TotalTokens = u.PromptTokens + u.CompletionTokens
	case u.CompletionTokens == unknown && u.PromptTokens != unknown:
		u.CompletionTokens = u.TotalTokens - u.PromptTokens
	case u.PromptTokens == unknown && u.CompletionTokens != unknown:
		u.PromptTokens = u.TotalTokens - u.CompletionTokens
	}
	if u.PromptTokens < 0 || u.CompletionTokens < 0 {
		return false
	}
	if rest := u.TotalTokens - u.PromptTokens - u.CompletionTokens; rest > 0 {
		if u.PromptTokens == 0 {
			u.PromptTokens = rest
		} else {
			u.CompletionTokens += rest
		}
	}
	return u.PromptTokens+u.CompletionTokens > 0
}

// plus adds the usage of another choice of the same call, which has the same
// prompt.
func (u Usage) plus(other Usage) Usage {
	sum := Usage{
		PromptTokens:     max(u.PromptTokens, other.PromptTokens),
		CompletionTokens: u.CompletionTokens + other.CompletionTokens,
		ReasoningTokens:  u.ReasoningTokens + other.ReasoningTokens,
		CachedTokens:     max(u.CachedTokens, other.CachedTokens),
	}
	sum.TotalTokens = sum.PromptTokens + sum.CompletionTokens
	return sum
}
