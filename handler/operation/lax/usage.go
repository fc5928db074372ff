package lax

import (
	"math"
	"strconv"

	"tollgate/handler/jsonscan"
	"tollgate/handler/limit"
	"tollgate/handler/operation"
)

// maxUsage is the highest count that is believed: no model has a context of two
// billion tokens. A larger one comes from a broken upstream, and would empty a quota
// with one call.
const maxUsage = 1 << 31

// Unknown marks a count that upstream didn't report.
const Unknown = -1

// Usage consumes the value of a usage field in OpenAI's form.
func Usage(s *jsonscan.Scanner) (limit.Usage, operation.Report, error) {
	return readUsage(s, chatNames, Unknown)
}

// ResponseUsage consumes the value of the usage field of a response, which has other
// names for the counts.
func ResponseUsage(s *jsonscan.Scanner) (limit.Usage, operation.Report, error) {
	return readUsage(s, responseNames, Unknown)
}

// names are the names of the two counts in a usage. The names of the fields with their
// details begin with them.
type names struct{ prompt, completion string }

var (
	chatNames     = names{"prompt_tokens", "completion_tokens"}
	responseNames = names{"input_tokens", "output_tokens"}
)

// PromptUsage consumes the value of the usage field of an answer without a completion,
// such as an embedding.
func PromptUsage(s *jsonscan.Scanner) (limit.Usage, operation.Report, error) {
	u, report, err := readUsage(s, chatNames, 0)
	u.PromptTokens, u.CompletionTokens, u.ReasoningTokens = u.Total(), 0, 0
	return u, report, err
}

// readUsage consumes the value of a usage field. completion is the count of completion
// tokens if the field doesn't report it.
func readUsage(s *jsonscan.Scanner, named names, completion int64) (limit.Usage, operation.Report, error) {
	if s.Literal("null") {
		return limit.Usage{}, operation.UsageNull, nil
	}
	if s.Peek() != '{' {
		return limit.Usage{}, operation.UsageBad, s.Skip()
	}
	u := counts{Usage: limit.Usage{PromptTokens: Unknown, CompletionTokens: completion}, total: Unknown}
	sound := true
	err := s.Object(func(key []byte) (err error) {
		good := true
		switch string(key) {
		case named.prompt:
			u.PromptTokens, good, err = Tokens(s)
		case named.completion:
			u.CompletionTokens, good, err = Tokens(s)
		case "total_tokens":
			u.total, good, err = Tokens(s)
		case named.prompt + "_details", named.completion + "_details":
			err = u.readDetails(s)
		default:
			err = u.readPart(s, key)
		}
		sound = sound && good
		return err
	})
	if err != nil || !sound || !u.complete() {
		return limit.Usage{}, operation.UsageBad, err
	}
	return u.WithoutImpossibleParts(), operation.UsageGood, nil
}

// counts are the counts of a usage field as they are read.
type counts struct {
	limit.Usage
	total int64 // total_tokens
}

// readDetails consumes the details of a prompt or completion. Bad details don't make the
// usage bad.
func (u *counts) readDetails(s *jsonscan.Scanner) error {
	if s.Peek() != '{' {
		return s.Skip()
	}
	return s.Object(func(key []byte) error { return u.readPart(s, key) })
}

// readPart consumes a field of the details, which some servers send beside the prompt and
// the completion instead. If a part is sent twice, the larger count is kept.
// Source: https://api-docs.deepseek.com/guides/kv_cache
func (u *counts) readPart(s *jsonscan.Scanner, key []byte) error {
	var part *int64
	switch string(key) {
	case "cached_tokens", "prompt_cache_hit_tokens": // the second is DeepSeek's own
		part = &u.CachedTokens
	case "cache_write_tokens":
		part = &u.CacheWriteTokens
	case "reasoning_tokens":
		part = &u.ReasoningTokens
	default:
		return s.Skip()
	}
	tokens, _, err := Tokens(s)
	*part = max(*part, tokens)
	return err
}

// Tokens consumes a number of tokens; null is Unknown. good reports whether the
// number can be true.
func Tokens(s *jsonscan.Scanner) (n int64, good bool, err error) {
	if s.Literal("null") {
		return Unknown, true, nil
	}
	value, err := s.Value()
	if err != nil {
		return Unknown, false, err
	}
	n, good = wholeNumber(string(value))
	if !good || n < 0 || n > maxUsage {
		return Unknown, false, nil
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

// complete computes one missing count of the three from the others, and reports whether
// all are known and not all zero: some upstreams send zeros for "not counted", and no
// prompt is empty.
//
// If the total exceeds prompt and completion, the rest is charged too: as the prompt
// if that is 0, and otherwise as reasoning that the completion leaves out, as with
// Grok's and Gemini's models. Without a total, reasoning greater than the completion
// is added to it.
// Source: https://docs.x.ai/docs/key-information/consumption-and-rate-limits
func (u *counts) complete() bool {
	switch {
	case u.total == Unknown && u.PromptTokens != Unknown && u.CompletionTokens != Unknown:
		if u.CompletionTokens < u.ReasoningTokens {
			u.CompletionTokens += u.ReasoningTokens
		}
		u.total = u.PromptTokens + u.CompletionTokens
	case u.CompletionTokens == Unknown && u.PromptTokens != Unknown:
		u.CompletionTokens = u.total - u.PromptTokens
	case u.PromptTokens == Unknown && u.CompletionTokens != Unknown:
		u.PromptTokens = u.total - u.CompletionTokens
	}
	if u.PromptTokens < 0 || u.CompletionTokens < 0 {
		return false
	}
	if rest := u.total - u.PromptTokens - u.CompletionTokens; rest > 0 {
		if u.PromptTokens == 0 {
			u.PromptTokens = rest
		} else {
			u.CompletionTokens += rest
		}
	}
	return u.PromptTokens+u.CompletionTokens > 0
}

// Plus adds up the usage of two choices of one call, which share its prompt.
func Plus(a, b limit.Usage) limit.Usage {
	return limit.Usage{
		PromptTokens:     max(a.PromptTokens, b.PromptTokens),
		CompletionTokens: a.CompletionTokens + b.CompletionTokens,
		CachedTokens:     max(a.CachedTokens, b.CachedTokens),
		CacheWriteTokens: max(a.CacheWriteTokens, b.CacheWriteTokens),
		ReasoningTokens:  a.ReasoningTokens + b.ReasoningTokens,
	}.WithoutImpossibleParts()
}
