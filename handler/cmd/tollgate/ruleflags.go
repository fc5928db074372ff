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

// ruleFlags holds the flags for the rules of a tier and the short form of its limit. Those
// that are given change a tier or override it for one subscription.
type ruleFlags struct {
	changes map[string]any // by JSON name
	flags   []string
}

// A ruleFlag is one of these flags. Set stores its value in changes under its JSON name:
// tokens-per-minute becomes tokensPerMinute.
type ruleFlag struct {
	changes map[string]any
	field   string
	kind    string
	text    string
	parse   func(string) (any, error)
}

func (f *ruleFlag) String() string { return f.text }
func (f *ruleFlag) Type() string   { return f.kind }

func (f *ruleFlag) Set(text string) (err error) {
	f.text = text
	f.changes[f.field], err = f.parse(text)
	return err
}

// jsonName returns the JSON name of a flag: maxWait of max-wait.
func jsonName(flag string) string {
	words := strings.Split(flag, "-")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// addRules adds these flags to a command.
func addRules(cmd *cobra.Command) *ruleFlags {
	l := &ruleFlags{changes: make(map[string]any)}
	add := func(name, kind, usage string, parse func(string) (any, error)) {
		cmd.Flags().Var(&ruleFlag{changes: l.changes, field: jsonName(name), kind: kind, parse: parse}, name, usage)
		l.flags = append(l.flags, name)
	}
	add("tokens-per-minute", "tokens", "tokens of a UTC minute, in the limit named tokens; 0: none", parseTokens)
	add("token-quota", "tokens", "tokens of a --token-quota-period; 0: none", parseTokens)
	add("token-quota-period", "period", `Hourly, Daily, Weekly, Monthly or Yearly, in UTC; "": none`, parseWord)
	add("burst-tokens", "tokens", "unused tokens of past minutes that may be carried over", parseTokens)
	add("reserve", "how", "what a call reserves before it is forwarded: none, prompt, or full (no limit can be exceeded)", parseWord)
	add("max-completion-tokens", "tokens", "cap for calls that set none; 0: none", parseTokens)
	add("max-wait", "time", "how long a call may queue for its limits, such as 2s, at most 2m", parseSpan)
	add("max-concurrent", "calls", "concurrent calls of a subscription on one instance; 0: no limit (default 100)", parseCalls)
	add("shadow", "bool", "decide and report, never refuse", parseBool)
	add("on-store-down", "how", "how to decide calls while the counters can't be reached: degrade, closed or open (default closed with reserve full, else degrade)", parseWord)
	add("stored-content", "what", "calls that name content stored at endpoints whose owner is unknown, such as conversations and files: refuse (default) or allow", parseWord)
	add("counter-key", "template", "which calls are counted together: {subscription} (default), {client-ip}, {model}, {header:NAME}, or several joined", parseWord)
	add("models", "names", `models that calls may name, separated by commas; "": all`, parseList)
	cmd.Flags().Lookup("shadow").NoOptDefVal = "true"
	complete(cmd, "token-quota-period", "Hourly", "Daily", "Weekly", "Monthly", "Yearly")
	complete(cmd, "reserve", "none", "prompt", "full")
	complete(cmd, "on-store-down", "degrade", "closed", "open")
	complete(cmd, "stored-content", "refuse", "allow")
	complete(cmd, "counter-key", "{subscription}", "{client-ip}", "{model}")
	return l
}

func parseTokens(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("use a whole number of tokens")
	}
	return n, nil
}

func parseCalls(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("use a whole number of calls")
	}
	return n, nil
}

func parseWord(text string) (any, error) { return text, nil }

func parseSpan(text string) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("use a time with its unit, such as 2s")
	}
	return d.String(), nil
}

func parseBool(text string) (any, error) {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return nil, fmt.Errorf("use true or false")
	}
	return b, nil
}

func parseList(text string) (any, error) {
	if text == "" {
		return []string{}, nil
	}
	return strings.Split(text, ","), nil
}

// overrides returns a merge patch for a subscription's overrides: the given values, and
// null for those to inherit from the tier again.
func (l *ruleFlags) overrides(inherit []string) map[string]any {
	values := make(map[string]any)
	for _, name := range inherit {
		values[jsonName(name)] = nil
	}
	maps.Copy(values, l.changes)
	return values
}

// printRules prints rules other than limits, one value a line.
func printRules(w io.Writer, r subscription.Rules) {
	r.Normalize()
	row(w, "Reserve", string(r.Reserve))
	row(w, "Max completion tokens", number(r.MaxCompletionTokens))
	row(w, "Max wait", ifElse(r.MaxWait > 0, time.Duration(r.MaxWait).String(), ""))
	row(w, "Max concurrent", ifElse(r.ConcurrencyLimit() > 0, strconv.FormatInt(r.ConcurrencyLimit(), 10), "any number"))
	row(w, "Shadow", ifElse(r.Shadow, "yes", "no"))
	row(w, "On store down", string(r.OnStoreDown))
	row(w, "Stored content", string(r.StoredContent))
	row(w, "Models", ifElse(len(r.Models) > 0, strings.Join(r.Models, ", "), "all"))
}
