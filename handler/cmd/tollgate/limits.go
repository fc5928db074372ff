package main

import (
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

// limitFlags holds the flags for the values of a tier. Those that are given change a tier
// or override it for one subscription.
type limitFlags struct {
	changes map[string]any // by JSON name
	flags   []string
}

// A limitFlag is one of these flags. Set stores its value in changes under its JSON name:
// tokens-per-minute becomes tokensPerMinute.
type limitFlag struct {
	changes map[string]any
	field   string
	kind    string
	text    string
	parse   func(string) (any, error)
}

func (f *limitFlag) String() string { return f.text }
func (f *limitFlag) Type() string   { return f.kind }

func (f *limitFlag) Set(text string) (err error) {
	f.text = text
	f.changes[f.field], err = f.parse(text)
	return err
}

// field returns the JSON name of a flag.
func field(flag string) string {
	words := strings.Split(flag, "-")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// addLimits adds the flags of all limits to a command.
func addLimits(cmd *cobra.Command) *limitFlags {
	l := &limitFlags{changes: make(map[string]any)}
	add := func(name, kind, usage string, parse func(string) (any, error)) {
		cmd.Flags().Var(&limitFlag{changes: l.changes, field: field(name), kind: kind, parse: parse}, name, usage)
		l.flags = append(l.flags, name)
	}
	add("tokens-per-minute", "tokens", "token limit of a UTC minute; 0: none", tokens)
	add("token-quota", "tokens", "token limit of a --token-quota-period; 0: none", tokens)
	add("token-quota-period", "period", `Hourly, Daily, Weekly, Monthly or Yearly, in UTC; "": none`, word)
	add("burst-tokens", "tokens", "unused tokens of past minutes that may be carried over", tokens)
	add("reserve", "how", "what a call reserves before it is forwarded: none, prompt, or full (the limit can't be exceeded)", word)
	add("max-completion-tokens", "tokens", "cap for calls that set none; 0: none", tokens)
	add("max-wait", "time", "how long a call may queue for tokens, such as 2s, at most 2m", span)
	add("max-concurrent", "calls", "concurrent calls of a subscription on one instance; 0: no limit (default 100)", calls)
	add("shadow", "bool", "decide and report, never refuse", yes)
	add("on-store-down", "how", "how to decide calls while the counters can't be reached: degrade, closed or open (default closed with reserve full, else degrade)", word)
	add("stored-content", "what", "calls that name content stored at endpoints whose owner nobody knows, such as conversations and files: refuse (default) or allow", word)
	add("counter-key", "template", "which calls are counted together: {subscription} (default), {client-ip}, {model}, {header:NAME}, or several joined", word)
	add("models", "names", `models that calls may name, separated by commas; "": all`, list)
	cmd.Flags().Lookup("shadow").NoOptDefVal = "true"
	complete(cmd, "token-quota-period", "Hourly", "Daily", "Weekly", "Monthly", "Yearly")
	complete(cmd, "reserve", "none", "prompt", "full")
	complete(cmd, "on-store-down", "degrade", "closed", "open")
	complete(cmd, "stored-content", "refuse", "allow")
	complete(cmd, "counter-key", "{subscription}", "{client-ip}", "{model}")
	return l
}

func tokens(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("use a whole number of tokens")
	}
	return n, nil
}

func calls(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("use a whole number of calls")
	}
	return n, nil
}

func word(text string) (any, error) { return text, nil }

func span(text string) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("use a time with its unit, such as 2s")
	}
	return d.String(), nil
}

func yes(text string) (any, error) {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return nil, fmt.Errorf("use true or false")
	}
	return b, nil
}

func list(text string) (any, error) {
	if text == "" {
		return []string{}, nil
	}
	return strings.Split(text, ","), nil
}

// overrides returns a merge patch for a subscription's overrides: the given values, and
// null for those to inherit from the tier again.
func (l *limitFlags) overrides(inherit []string) map[string]any {
	values := make(map[string]any)
	for _, name := range inherit {
		values[field(name)] = nil
	}
	maps.Copy(values, l.changes)
	return values
}

// printLimits prints all limits, one a line.
func printLimits(w io.Writer, l subscription.Limits) {
	l.Normalize()
	row(w, "Tokens per minute", number(l.TokensPerMinute))
	row(w, "Burst tokens", number(l.BurstTokens))
	row(w, "Token quota", quota(l))
	row(w, "Reserve", string(l.Reserve))
	row(w, "Max completion tokens", number(l.MaxCompletionTokens))
	row(w, "Max wait", when(l.MaxWait > 0, time.Duration(l.MaxWait).String(), ""))
	row(w, "Max concurrent", when(l.Concurrent() > 0, strconv.FormatInt(l.Concurrent(), 10), "any number"))
	row(w, "Shadow", when(l.Shadow, "yes", "no"))
	row(w, "On store down", string(l.OnStoreDown))
	row(w, "Stored content", string(l.StoredContent))
	row(w, "Counter key", string(l.CounterKey))
	row(w, "Models", models(l))
}

func quota(l subscription.Limits) string {
	return when(l.TokenQuota > 0, number(l.TokenQuota)+" "+string(l.TokenQuotaPeriod), "")
}

func models(l subscription.Limits) string {
	return when(len(l.Models) > 0, strings.Join(l.Models, ", "), "all")
}
