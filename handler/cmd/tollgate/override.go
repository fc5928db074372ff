package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

// overrideFlags holds the flags that override limits of a tier by name.
type overrideFlags struct {
	set     []string // as parseOverride reads them
	inherit []string
}

// given reports whether any of the flags was given.
func (f *overrideFlags) given() bool { return len(f.set) > 0 || len(f.inherit) > 0 }

// edit returns overrides with the flags' changes. limits are those of the tier.
func (f *overrideFlags) edit(cmd *cobra.Command, o subscription.Overrides, limits []subscription.Limit) (subscription.Overrides, error) {
	o.Limits = slices.Clone(o.Limits)
	find := func(name string) int {
		return slices.IndexFunc(o.Limits, func(l subscription.LimitOverride) bool { return strings.EqualFold(l.Name, name) })
	}
	for _, name := range f.inherit {
		at := find(name)
		if at < 0 {
			return o, &usageError{cmd.CommandPath(), fmt.Sprintf("--inherit-limit: %q is not overridden", name)}
		}
		o.Limits = slices.Delete(o.Limits, at, at+1)
	}
	for _, text := range f.set {
		override, err := parseOverride(text, limits)
		if err != nil {
			return o, &usageError{cmd.CommandPath(), fmt.Sprintf("--limit-override %q: %v", text, err)}
		}
		if at := find(override.Name); at >= 0 {
			o.Limits[at] = override
		} else {
			o.Limits = append(o.Limits, override)
		}
	}
	return o, nil
}

// names reports whether the flags override the limit with a name.
func (f *overrideFlags) names(name string) bool {
	return slices.ContainsFunc(f.set, func(text string) bool {
		words := strings.Fields(text)
		return len(words) > 0 && strings.EqualFold(strings.TrimSuffix(words[0], ":"), name)
	})
}

// overridesBody returns a merge patch of overrides with an edited list of limits. The short
// form's changes go into the list, because the API accepts only one of the two.
func (f *subscriptionFlags) overridesBody(cmd *cobra.Command, before subscription.Overrides, limits []subscription.Limit) (map[string]any, error) {
	after, err := f.overrides.edit(cmd, before, limits)
	if err != nil {
		return nil, err
	}
	body, short := make(map[string]any), make(map[string]any)
	for name, value := range f.rules.overrides(f.inherit) {
		if slices.Contains(shortFields, name) {
			short[name] = value
		} else {
			body[name] = value
		}
	}
	if len(short) > 0 && f.overrides.names(subscription.TokensName) {
		return nil, &usageError{cmd.CommandPath(), "the limit tokens is overridden twice: use --limit-override, or the flags such as --tokens-per-minute"}
	}
	patch, err := json.Marshal(short)
	if err != nil {
		return nil, err
	}
	after, err = subscription.PatchOverrides(after, patch, func(document, _ []byte) ([]byte, error) { return document, nil })
	body["limits"] = after.Limits
	return body, err
}

// tierLimits returns the limits of the tier that a subscription has or gets.
func (a *app) tierLimits(cmd *cobra.Command, id string) ([]subscription.Limit, error) {
	var tier subscription.Tier
	err := a.call(cmd, request{method: http.MethodGet, path: tierPath(id)}, &tier)
	return tier.Limits, err
}

// editSubscription changes the list of a subscription's overrides, and other values.
func (a *app) editSubscription(cmd *cobra.Command, id string, given *subscriptionFlags) (changed subscription.Details, err error) {
	err = retryStale(func() error {
		var before subscription.Details
		if err := a.call(cmd, request{method: http.MethodGet, path: subscriptionPath(id)}, &before); err != nil {
			return err
		}
		tier := before.Tier
		if given.tier != "" {
			tier = given.tier
		}
		limits, err := a.tierLimits(cmd, tier)
		if err != nil {
			return err
		}
		body := given.changes(cmd)
		if body["overrides"], err = given.overridesBody(cmd, before.Overrides, limits); err != nil {
			return err
		}
		return a.call(cmd, request{method: http.MethodPatch, path: subscriptionPath(id), body: body, version: before.Version}, &changed)
	})
	return changed, err
}

// overrideRemark returns a function that returns the remark about a limit: whether the overrides
// change it, and until when.
func overrideRemark(o subscription.Overrides) func(subscription.Limit) string {
	return func(l subscription.Limit) string {
		for _, override := range o.Limits {
			switch {
			case !strings.EqualFold(override.Name, l.Name):
			case override.Until.IsZero():
				return "overridden"
			case time.Now().Before(override.Until):
				return "overridden until " + date(override.Until)
			default:
				return "overridden until " + date(override.Until) + ", which has passed"
			}
		}
		return ""
	}
}

// describeOverrides writes overrides as JSON; nothing if there are none.
func describeOverrides(o subscription.Overrides) string {
	if o.IsZero() {
		return ""
	}
	text, err := json.Marshal(o)
	if err != nil {
		return "?"
	}
	return string(text)
}
