package chat

import (
	"math"
	"strconv"

	"tollgate/handler/jsonscan"
)

// Usage is the usage of a call, as reported by upstream, in tokens.
type Usage struct {
	// PromptTokens and CompletionTokens are charged. CompletionTokens includes the
	// reasoning. TotalTokens is upstream's total, or their sum.
	PromptTokens, CompletionTokens, TotalTokens int64

	reasoning int64 // part of the completion; 0 if upstream doesn't report it
}

// A Report classifies the usage in upstream's answer: missing, null, impossible or good.
type Report int

const (
	// UsageMissing: there is no usage.
	UsageMissing Report = iota
	// UsageNull: usage is null, as in streams with include_usage before the end.
	UsageNull
	// UsageBad: usage can't be true. It has a wrong type, a fraction or a negative
	// number, is beyond maxUsage or all zeros, or has no completion though there is
	// text.
	UsageBad
	// UsageGood: usage can be charged.
	UsageGood
)

func (r Report) String() string {
	return [...]string{"missing", "null", "bad", "good"}[r]
}

// maxUsage is the highest count that is believed: no model has a context of two
// billion tokens. A larger one comes from a broken upstream, and would empty a quota
// with one call.
const maxUsage = 1 << 31

// unknown marks a count that upstream didn't report.
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
		case "reasoning_tokens": // some servers send it here and no details
			count, _, err = readTokens(s)
			u.reasoning = max(u.reasoning, count)
		case "completion_tokens_details":
			count, err = readReasoning(s)
			u.reasoning = max(u.reasoning, count)
		default:
			err = s.Skip()
		}
		sound = sound && good
		return err
	})
	if err != nil || !sound || !u.complete() {
		return Usage{}, UsageBad, err
	}
	return u, UsageGood, nil
}

// readTokens consumes a number of tokens; null is unknown. good reports whether the
// number can be true.
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

// wholeNumber parses a number without a fraction, even if written as a float: 700.0,
// 7e2.
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

// readReasoning consumes the details of a completion and returns its reasoning
// tokens, or 0 if they are missing or bad: bad details don't make the usage bad.
func readReasoning(s *jsonscan.Scanner) (n int64, err error) {
	if s.Peek() != '{' {
		return 0, s.Skip()
	}
	err = s.Object(func(key []byte) error {
		if string(key) != "reasoning_tokens" {
			return s.Skip()
		}
		tokens, _, err := readTokens(s)
		n = max(0, tokens)
		return err
	})
	return n, err
}

// complete fills in one missing count of the three, and reports whether all are known
// and not all zero: some upstreams send zeros for "not counted", and no prompt is
// empty.
//
// If the total exceeds prompt and completion, the rest is charged too: as the prompt
// if that is 0, and otherwise as reasoning that the completion leaves out, as with
// Grok's and Gemini's models. Without a total, reasoning greater than the completion
// is added to it.
// Source: https://docs.x.ai/docs/key-information/consumption-and-rate-limits
func (u *Usage) complete() bool {
	switch {
	case u.TotalTokens == unknown && u.PromptTokens != unknown && u.CompletionTokens != unknown:
		if u.CompletionTokens < u.reasoning {
			u.CompletionTokens += u.reasoning
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

// plus returns the usage together with that of another choice of the same call. They
// share the prompt.
func (u Usage) plus(other Usage) Usage {
	sum := Usage{
		PromptTokens:     max(u.PromptTokens, other.PromptTokens),
		CompletionTokens: u.CompletionTokens + other.CompletionTokens,
		reasoning:        u.reasoning + other.reasoning,
	}
	sum.TotalTokens = sum.PromptTokens + sum.CompletionTokens
	return sum
}
