package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// limitSyntax describes a limit on the command line, as parsed and as printed.
const limitSyntax = `  [NAME:] UNIT [AMOUNT/minute] [burst AMOUNT] [AMOUNT/PERIOD] [by TEMPLATE]
      [models A,B] [alert 50,80,95] [shadow] [weights prompt=1000,cached=100]

UNIT is tokens, prompt-tokens, completion-tokens, calls or cost; PERIOD is hour,
day, week, month or year. Without NAME the limit is named as its unit.`

// A windowWord is the word for the window of a period.
type windowWord struct {
	word   string
	period limit.Period
}

// minuteWord is the word for the window of a minute.
const minuteWord = "minute"

var periodWords = []windowWord{{"hour", limit.Hourly}, {"day", limit.Daily}, {"week", limit.Weekly}, {"month", limit.Monthly}, {"year", limit.Yearly}}

// parseLimit reads a limit, as limitSyntax says.
func parseLimit(text string) (subscription.Limit, error) {
	name, words := cutName(text)
	unit, words, err := cutUnit(words)
	if err != nil {
		return subscription.Limit{}, err
	}
	values, err := parseClauses(words, unit, false)
	if err != nil {
		return subscription.Limit{}, err
	}
	if values["perMinute"] == nil && values["quota"] == nil {
		return subscription.Limit{}, errors.New("it has no amount: add one, such as 60/minute or 1000/day")
	}
	values["name"], values["unit"] = string(unit), unit
	if name != "" {
		values["name"] = name
	}
	text, err = marshal(values)
	if err != nil {
		return subscription.Limit{}, err
	}
	var l subscription.Limit
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return l, err
	}
	return l, (&subscription.Rules{Limits: []subscription.Limit{l}}).Validate()
}

// parseOverride reads an override: the name of a limit, and its clauses. limits are the tier's:
// a limit's unit decides whether amounts are money.
func parseOverride(text string, limits []subscription.Limit) (subscription.LimitOverride, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return subscription.LimitOverride{}, errors.New("it is empty: give the name of a limit, and what to replace")
	}
	name := strings.TrimSuffix(words[0], ":")
	o := subscription.LimitOverride{Name: name}
	var unit limit.Unit
	if l := subscription.FindLimit(limits, name); l != nil {
		unit = l.Unit
	}
	values, err := parseClauses(words[1:], unit, true)
	if err != nil {
		return o, err
	}
	if until, given := values["until"].(time.Time); given {
		o.Until = until
		delete(values, "until")
	}
	if len(values) == 0 {
		return o, fmt.Errorf("it replaces nothing of %s: add an amount, such as 5000/minute", name)
	}
	text, err = marshal(values)
	o.Values = json.RawMessage(text)
	return o, err
}

func marshal(values map[string]any) (string, error) {
	text, err := json.Marshal(values)
	return string(text), err
}

// cutName cuts the name and its colon off a limit.
func cutName(text string) (name string, words []string) {
	before, after, named := strings.Cut(text, ":")
	if named && len(strings.Fields(before)) == 1 {
		return strings.TrimSpace(before), strings.Fields(after)
	}
	return "", strings.Fields(text)
}

var units = []limit.Unit{limit.Tokens, limit.PromptTokens, limit.CompletionTokens, limit.Calls, limit.Cost}

// cutUnit cuts the unit off a limit's words.
func cutUnit(words []string) (limit.Unit, []string, error) {
	const fix = "use tokens, prompt-tokens, completion-tokens, calls or cost"
	if len(words) == 0 || strings.Contains(words[0], "/") || clauses[words[0]] != nil || words[0] == "shadow" {
		return "", nil, errors.New("it has no unit: " + fix + " before the amount")
	}
	unit := limit.Unit(words[0])
	if !slices.Contains(units, unit) {
		return "", nil, fmt.Errorf("%q is not a unit: %s", words[0], fix)
	}
	return unit, words[1:], nil
}

// clauses holds, by a clause's word, the function that reads the clause's value. It returns the
// field of JSON that the value is for.
var clauses = map[string]func(text string, unit limit.Unit) (field string, value any, err error){
	"burst": func(text string, unit limit.Unit) (string, any, error) {
		n, err := parseAmount(text, unit)
		return "burst", n, err
	},
	"by":     func(text string, _ limit.Unit) (string, any, error) { return "counterKey", text, nil },
	"models": func(text string, _ limit.Unit) (string, any, error) { return "models", strings.Split(text, ","), nil },
	"alert": func(text string, _ limit.Unit) (string, any, error) {
		percents, err := parsePercents(text)
		return "alertAt", percents, err
	},
	"weights": func(text string, _ limit.Unit) (string, any, error) {
		weights, err := parseWeights(text)
		return "weights", weights, err
	},
	"until": func(text string, _ limit.Unit) (string, any, error) {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return "", nil, fmt.Errorf("until is %q: use a time such as 2026-12-31T18:00:00Z", text)
		}
		return "until", at.UTC(), nil
	},
}

// parseClauses reads what follows a limit's unit or an override's name, as fields of JSON.
func parseClauses(words []string, unit limit.Unit, override bool) (map[string]any, error) {
	values := make(map[string]any)
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		field, value := "shadow", any(true)
		read, valued := clauses[word]
		var err error
		switch {
		case strings.Contains(word, "/"):
			field, value, err = parseWindow(word, unit, values)
		case word == "shadow":
		case !valued || override && word == "weights" || !override && word == "until":
			return nil, fmt.Errorf("%q is not understood: use AMOUNT/minute, AMOUNT/day, burst, by, models, alert, shadow or %s", word, ifElse(override, "until", "weights"))
		case len(words) == 0:
			return nil, fmt.Errorf("%s has no value: add it, or leave %[1]s out", word)
		default:
			field, value, err = read(words[0], unit)
			words = words[1:]
		}
		if err != nil {
			return nil, err
		}
		if values[field] != nil {
			return nil, fmt.Errorf("it has %s twice: give it once", word)
		}
		values[field] = value
	}
	return values, nil
}

// parseWindow reads the amount of a window, such as 60/minute. It sets the period of a
// quota in values.
func parseWindow(word string, unit limit.Unit, values map[string]any) (field string, amount any, err error) {
	number, window, _ := strings.Cut(word, "/")
	if amount, err = parseAmount(number, unit); err != nil {
		return "", nil, err
	}
	if window == minuteWord {
		if before := values["perMinute"]; before != nil {
			return "", nil, fmt.Errorf("it has two amounts a minute, %v and %v: give one", before, amount)
		}
		return "perMinute", amount, nil
	}
	at := slices.IndexFunc(periodWords, func(p windowWord) bool { return p.word == window })
	if at < 0 {
		return "", nil, fmt.Errorf("%q has the window %q: use minute, hour, day, week, month or year", word, window)
	}
	if before := values["quota"]; before != nil {
		return "", nil, fmt.Errorf("it has two quotas, %v and %v: give one, or make two limits with names of their own", before, amount)
	}
	values["period"] = periodWords[at].period
	return "quota", amount, nil
}

var (
	plainNumber   = regexp.MustCompile(`^\d+$`)
	groupedNumber = regexp.MustCompile(`^\d{1,3}(,\d{3})+$`)
	decimal       = regexp.MustCompile(`^\d+(\.\d{1,9})?$`)
)

// parseAmount reads an amount: a whole number, also with commas between thousands, or, of cost,
// a decimal, which stays text. If the unit is unknown, it may be either.
func parseAmount(text string, unit limit.Unit) (any, error) {
	if groupedNumber.MatchString(text) {
		text = strings.ReplaceAll(text, ",", "")
	}
	switch {
	case unit == limit.Cost && decimal.MatchString(text), unit == "" && strings.Contains(text, ".") && decimal.MatchString(text):
		return text, nil
	case unit == limit.Cost:
		return nil, fmt.Errorf("%q is not an amount of money: use a decimal with at most 9 decimals, such as 12.50", text)
	case !plainNumber.MatchString(text):
		return nil, fmt.Errorf("%q is not an amount: use a whole number, such as 1000", text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is too large: use at most 10^15", text)
	}
	return n, nil
}

// parsePercents reads percentages separated by commas.
func parsePercents(text string) (percents []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSuffix(part, "%"))
		if err != nil {
			return nil, fmt.Errorf("alert is %q: use percents, such as 50,80,95", text)
		}
		percents = append(percents, n)
	}
	return percents, nil
}

var weightNames = []string{"prompt", "cached", "cacheWrite", "completion", "reasoning"}

// parseWeights reads weights such as prompt=1000,cached=100.
func parseWeights(text string) (map[string]int64, error) {
	weights := make(map[string]int64)
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		_, twice := weights[name]
		switch {
		case !slices.Contains(weightNames, name):
			return nil, fmt.Errorf("weights have %q: use %s", name, strings.Join(weightNames, ", "))
		case err != nil:
			return nil, fmt.Errorf("the weight %q is not a number: use thousandths, such as %s=1000", part, name)
		case twice:
			return nil, fmt.Errorf("weights have %s twice: give it once", name)
		}
		weights[name] = n
	}
	return weights, nil
}

// formatLimit writes a limit as parseLimit reads it.
func formatLimit(l subscription.Limit) string {
	parts := []string{string(l.Unit)}
	if l.Name != string(l.Unit) {
		parts = []string{l.Name + ":", string(l.Unit)}
	}
	add := func(set bool, words ...string) {
		if set {
			parts = append(parts, words...)
		}
	}
	add(l.PerMinute > 0, formatAmount(l.Unit, l.PerMinute)+"/"+minuteWord)
	add(l.Burst > 0, "burst", formatAmount(l.Unit, l.Burst))
	for _, p := range periodWords {
		add(l.Quota > 0 && l.Period == p.period, formatAmount(l.Unit, l.Quota)+"/"+p.word)
	}
	add(l.CounterKey != "", "by", string(l.CounterKey))
	add(len(l.Models) > 0, "models", strings.Join(l.Models, ","))
	add(len(l.AlertAt) > 0, "alert", strings.Trim(strings.ReplaceAll(fmt.Sprint(l.AlertAt), " ", ","), "[]"))
	add(l.Shadow, "shadow")
	add(l.Weights != nil, "weights", formatWeights(l.Weights))
	return strings.Join(parts, " ")
}

// formatWeights writes weights as parseWeights reads them.
func formatWeights(w *subscription.Weights) string {
	if w == nil {
		return ""
	}
	var parts []string
	for i, weight := range []*int64{w.Prompt, w.Cached, w.CacheWrite, w.Completion, w.Reasoning} {
		if weight != nil {
			parts = append(parts, fmt.Sprintf("%s=%d", weightNames[i], *weight))
		}
	}
	return strings.Join(parts, ",")
}

// formatAmount writes an amount: money as a decimal, else a number with commas between
// thousands.
func formatAmount(unit limit.Unit, amount int64) string {
	if unit == limit.Cost {
		return limit.FormatMoney(amount)
	}
	return number(amount)
}
