package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

// A listFlag is a flag that may be given several times. Each adds an item.
type listFlag[T any] struct {
	items []T
	kind  string
	parse func(string) (T, error)
}

func (f *listFlag[T]) String() string { return "" }
func (f *listFlag[T]) Type() string   { return f.kind }

func (f *listFlag[T]) Set(text string) error {
	item, err := f.parse(text)
	if err == nil {
		f.items = append(f.items, item)
	}
	return err
}

// limitListFlags holds the flags that change the list of limits of a tier or group.
type limitListFlags struct {
	add    listFlag[subscription.Limit]
	remove []string
	file   string
}

// addLimitList adds the flags of a list of limits to a command.
func addLimitList(cmd *cobra.Command) *limitListFlags {
	f := &limitListFlags{add: listFlag[subscription.Limit]{kind: "limit", parse: parseLimit}}
	cmd.Flags().Var(&f.add, "limit", "add a limit, such as 'calls 60/minute', or replace the one of its name; repeatable, see above")
	cmd.Flags().StringArrayVar(&f.remove, "remove-limit", nil, "remove the limit of this name; repeatable")
	cmd.Flags().StringVar(&f.file, "limits-file", "", "replace all limits by those in a file with a JSON list; -: stdin")
	return f
}

// given reports whether any of the flags was given.
func (f *limitListFlags) given() bool {
	return len(f.add.items) > 0 || len(f.remove) > 0 || f.file != ""
}

// edit returns a list of limits with the flags' changes: it starts with the file's list, if
// there is one, removes limits, then adds and replaces others.
func (f *limitListFlags) edit(cmd *cobra.Command, limits []subscription.Limit, file []subscription.Limit) ([]subscription.Limit, error) {
	if f.file != "" {
		limits = file
	}
	limits = slices.Clone(limits)
	for _, name := range f.remove {
		at := slices.IndexFunc(limits, func(l subscription.Limit) bool { return l.Name == name })
		if at < 0 {
			return nil, &usageError{cmd.CommandPath(), fmt.Sprintf("--remove-limit: there is no limit %q: there %s", name, limitNames(limits))}
		}
		limits = slices.Delete(limits, at, at+1)
	}
	for _, l := range f.add.items {
		if at := slices.IndexFunc(limits, func(other subscription.Limit) bool { return other.Name == l.Name }); at >= 0 {
			limits[at] = l
		} else {
			limits = append(limits, l)
		}
	}
	return limits, nil
}

// limitNames lists limits, to follow "there": "is none", "are a, b".
func limitNames(limits []subscription.Limit) string {
	if len(limits) == 0 {
		return "is none"
	}
	names := make([]string, len(limits))
	for i, l := range limits {
		names[i] = l.Name
	}
	return ifElse(len(names) == 1, "is ", "are ") + strings.Join(names, ", ")
}

// maxLimitsFile is the largest file of limits, in bytes, like the API's largest request.
const maxLimitsFile = 64 << 10

// readFile reads the list in the file that --limits-file names; nil without the flag.
func (f *limitListFlags) readFile(cmd *cobra.Command) ([]subscription.Limit, error) {
	if f.file == "" {
		return nil, nil
	}
	in := cmd.InOrStdin()
	if f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, &usageError{cmd.CommandPath(), "--limits-file: " + err.Error()}
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxLimitsFile))
	if err != nil {
		return nil, &usageError{cmd.CommandPath(), "--limits-file: " + err.Error()}
	}
	var limits []subscription.Limit
	if err := subscription.Decode(text, &limits); err != nil {
		return nil, &usageError{cmd.CommandPath(), fmt.Sprintf("--limits-file: %s: %s", f.file, strings.TrimPrefix(err.Error(), "json: "))}
	}
	return limits, nil
}

// shortFields are the JSON names of the short form's flags.
var shortFields = []string{"tokensPerMinute", "burstTokens", "tokenQuota", "tokenQuotaPeriod", "counterKey"}

// folded returns a merge patch of a tier with an edited list of limits and the other changes.
// The short form's changes go into the list, because the API accepts only one of the two.
func (f *limitListFlags) folded(cmd *cobra.Command, limits []subscription.Limit, changes map[string]any) (map[string]any, error) {
	body, short := make(map[string]any), make(map[string]any)
	for name, value := range changes {
		if slices.Contains(shortFields, name) {
			short[name] = value
		} else {
			body[name] = value
		}
	}
	text, err := json.Marshal(short)
	if err != nil {
		return nil, err
	}
	rules := subscription.Rules{Limits: f.add.items}
	err = json.Unmarshal(text, &rules.ShortForm)
	if err == nil {
		err = rules.CheckSingleForm()
	}
	if rules.Limits = limits; err == nil {
		err = rules.ExpandShortForm()
	}
	if err != nil {
		return nil, &usageError{cmd.CommandPath(), err.Error()}
	}
	body["limits"] = rules.Limits
	return body, nil
}

// printLimits prints limits, one a line, each with its owner and a remark.
func printLimits(w io.Writer, limits []subscription.Limit, owner string, remark func(subscription.Limit) string) {
	for _, l := range limits {
		cells := []string{"Limit", formatLimit(l), owner}
		if text := remark(l); text != "" {
			cells = append(cells, text)
		}
		row(w, cells...)
	}
}

// noRemark has no remark about any limit.
func noRemark(subscription.Limit) string { return "" }
