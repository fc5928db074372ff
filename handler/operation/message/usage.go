package message

import (
	"bytes"

	"tollgate/handler/jsonscan"
	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
)

// counts are the counts of a usage object. Those that it lacks are lax.Unknown.
type counts struct {
	input, cacheWrite, cacheRead, output, thinking int64
	// shortWrite is the part of cacheWrite that the cache keeps for five minutes only.
	shortWrite int64
	// extra is the usage of calls to a model within this call, such as for a compaction,
	// that the counts above leave out.
	extra limit.Usage
}

var noCounts = counts{input: lax.Unknown, cacheWrite: lax.Unknown, cacheRead: lax.Unknown, output: lax.Unknown, thinking: lax.Unknown, shortWrite: lax.Unknown}

// readCounts consumes a usage object. good reports whether all of it can be true.
func readCounts(s *jsonscan.Scanner) (c counts, good bool, err error) {
	c, good = noCounts, true
	err = s.Object(func(key []byte) (err error) {
		sound := true
		switch string(key) {
		case "input_tokens":
			c.input, sound, err = lax.Tokens(s)
		case "cache_creation_input_tokens":
			c.cacheWrite, sound, err = lax.Tokens(s)
		case "cache_read_input_tokens":
			c.cacheRead, sound, err = lax.Tokens(s)
		case "output_tokens":
			c.output, sound, err = lax.Tokens(s)
		case "output_tokens_details":
			err = readDetail(s, "thinking_tokens", &c.thinking)
		case "cache_creation":
			err = readDetail(s, "ephemeral_5m_input_tokens", &c.shortWrite)
		case "iterations":
			sound, err = c.readIterations(s)
		default:
			err = s.Skip()
		}
		good = good && sound
		return err
	})
	return c, good && err == nil, err
}

// readDetail consumes an object of details, and keeps the one called name. Bad details
// don't make the usage bad.
// Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
func readDetail(s *jsonscan.Scanner, name string, into *int64) error {
	if s.Peek() != '{' {
		return s.Skip()
	}
	return s.Object(func(key []byte) (err error) {
		if string(key) != name {
			return s.Skip()
		}
		*into, _, err = lax.Tokens(s)
		return err
	})
}

// included are the types of iterations whose tokens are part of the usage's own counts.
// Those of any other type, such as a compaction or an advisor's answer, come on top.
// Source: https://platform.claude.com/docs/en/build-with-claude/compaction
var included = map[string]bool{"message": true, "fallback_message": true}

// readIterations consumes the list of the calls to a model that the endpoint made within
// this call, and adds the usage of those that aren't included to extra.
func (c *counts) readIterations(s *jsonscan.Scanner) (good bool, err error) {
	if s.Peek() != '[' {
		return s.Literal("null"), s.Skip()
	}
	good = true
	err = s.Array(func(int) error {
		if s.Peek() != '{' {
			good = false
			return s.Skip()
		}
		kind := kindOf(*s)
		one, sound, err := readCounts(s)
		good = good && sound
		if !included[kind] {
			c.extra = plus(c.extra, one.usage())
		}
		return err
	})
	return good, err
}

// kindOf returns the type of the object that comes next.
func kindOf(s jsonscan.Scanner) (kind string) {
	_ = s.Object(func(key []byte) error { // a fault is found again when the object is read
		value, err := s.Value()
		if string(key) == "type" {
			kind = string(bytes.Trim(value, `"`))
		}
		return err
	})
	return kind
}

// update replaces the counts that newer has: the counts of a stream's events are
// cumulative.
func (c *counts) update(newer counts) {
	for _, count := range []struct{ to, from *int64 }{
		{&c.input, &newer.input}, {&c.cacheWrite, &newer.cacheWrite}, {&c.cacheRead, &newer.cacheRead},
		{&c.output, &newer.output}, {&c.thinking, &newer.thinking}, {&c.shortWrite, &newer.shortWrite},
	} {
		if *count.from != lax.Unknown {
			*count.to = *count.from
		}
	}
	if newer.extra != (limit.Usage{}) {
		c.extra = newer.extra
	}
}

// report reports whether the counts can be charged: prompt and output are known, the
// prompt isn't empty, and neither is the output if the model has written something.
func (c counts) report(written bool) operation.Report {
	if c.input == lax.Unknown || c.output == lax.Unknown || c.prompt() == 0 || written && c.output == 0 {
		return operation.UsageBad
	}
	return operation.UsageGood
}

// prompt returns the whole prompt in tokens: the input leaves out what is read from or
// written to the cache.
func (c counts) prompt() int64 { return max(c.input, 0) + max(c.cacheWrite, 0) + max(c.cacheRead, 0) }

// usage returns what the limits are charged.
func (c counts) usage() limit.Usage {
	return plus(limit.Usage{
		PromptTokens: c.prompt(), CachedTokens: max(c.cacheRead, 0), CacheWriteTokens: max(c.cacheWrite, 0), ShortCacheWriteTokens: max(c.shortWrite, 0),
		CompletionTokens: max(c.output, 0), ReasoningTokens: max(c.thinking, 0),
	}.WithoutImpossibleParts(), c.extra)
}

// promptUsage returns the usage of the prompt alone, all zeros if the input is unknown.
func (c counts) promptUsage() limit.Usage {
	if c.input == lax.Unknown {
		return limit.Usage{}
	}
	u := c.usage()
	u.CompletionTokens, u.ReasoningTokens = 0, 0
	return u
}

// plus adds up the usage of two calls to a model.
func plus(a, b limit.Usage) limit.Usage {
	return limit.Usage{
		PromptTokens:          a.PromptTokens + b.PromptTokens,
		CompletionTokens:      a.CompletionTokens + b.CompletionTokens,
		CachedTokens:          a.CachedTokens + b.CachedTokens,
		CacheWriteTokens:      a.CacheWriteTokens + b.CacheWriteTokens,
		ShortCacheWriteTokens: a.ShortCacheWriteTokens + b.ShortCacheWriteTokens,
		ReasoningTokens:       a.ReasoningTokens + b.ReasoningTokens,
	}
}
