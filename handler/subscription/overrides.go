package subscription

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Overrides replace values of a tier for one subscription. As JSON they are an object with
// fields of Rules, in which limits is a list of LimitOverrides.
type Overrides struct {
	// Limits override values of the tier's limits.
	Limits []LimitOverride
	// Rules is a JSON object with the other fields to replace; nil: none.
	Rules json.RawMessage
}

// A LimitOverride replaces values of one limit of a tier, permanently or until a time.
type LimitOverride struct {
	// Name is the limit's name, ignoring case.
	Name string
	// Until is when the override ends; zero: never.
	Until time.Time
	// Values is a JSON object with the fields of the limit to replace.
	Values json.RawMessage
}

// unoverridable are the fields of a limit that can't be overridden, because amounts counted
// so far would get another meaning.
var unoverridable = []string{"unit", "weights"}

// IsZero reports whether there are no overrides.
func (o Overrides) IsZero() bool { return len(o.Limits) == 0 && len(o.Rules) == 0 }

// MarshalJSON implements json.Marshaler.
func (o Overrides) MarshalJSON() ([]byte, error) {
	fields := make(map[string]any)
	if len(o.Rules) > 0 {
		if err := json.Unmarshal(o.Rules, &fields); err != nil {
			return nil, err
		}
	}
	if len(o.Limits) > 0 {
		fields["limits"] = o.Limits
	}
	return json.Marshal(fields)
}

// MarshalJSON implements json.Marshaler.
func (o LimitOverride) MarshalJSON() ([]byte, error) {
	fields := make(map[string]any)
	if len(o.Values) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(o.Values))
		decoder.UseNumber()
		if err := decoder.Decode(&fields); err != nil {
			return nil, err
		}
	}
	fields["name"] = o.Name
	if !o.Until.IsZero() {
		fields["until"] = o.Until
	}
	return json.Marshal(fields)
}

// UnmarshalJSON implements json.Unmarshaler. It accepts the fields of a ShortForm as an
// override of the limit named tokens.
func (o *Overrides) UnmarshalJSON(text []byte) error {
	*o = Overrides{}
	fields, err := decodeObject("overrides", text)
	if err != nil || fields == nil {
		return err
	}
	if limits, given := removeField(fields, "limits"); given {
		if err := Decode(limits, &o.Limits); err != nil {
			return inField("overrides", err)
		}
	}
	if err := o.moveShortForm(fields); err != nil || len(fields) == 0 {
		return err
	}
	o.Rules, err = json.Marshal(fields)
	return err
}

// moveShortForm moves the short form's fields to an override of the limit named tokens.
func (o *Overrides) moveShortForm(fields map[string]json.RawMessage) (err error) {
	short := removeShortForm(fields)
	if len(short) > 0 && o.indexOf(TokensName) >= 0 {
		return errBothForms("overrides.limits")
	}
	*o, err = o.setShortForm(short)
	return err
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *LimitOverride) UnmarshalJSON(text []byte) error {
	*o = LimitOverride{}
	fields, err := decodeObject("limits", text)
	if err != nil {
		return err
	}
	if name, given := removeField(fields, "name"); given && json.Unmarshal(name, &o.Name) != nil {
		return newFieldError(limitField("", "name"), "is not a string", "give the name of a limit of the tier")
	}
	if until, given := removeField(fields, "until"); given && json.Unmarshal(until, &o.Until) != nil {
		return newFieldError(limitField(o.Name, "until"), "is not a time", "use a time such as 2026-12-31T18:00:00Z, or leave it out for an override without an end")
	}
	for _, field := range unoverridable {
		if _, given := removeField(fields, field); given {
			return newFieldError(limitField(o.Name, field), "can't be overridden", "leave it out, or add a limit to the tier")
		}
	}
	if len(fields) > 0 {
		o.Values, err = json.Marshal(fields)
	}
	return err
}

// decodeObject returns the fields of a JSON object, or nil for null and for no text.
func decodeObject(field string, text json.RawMessage) (fields map[string]json.RawMessage, err error) {
	if len(text) == 0 {
		return nil, nil
	}
	if json.Unmarshal(text, &fields) != nil {
		return nil, newFieldError(field, "is not a JSON object", "use an object with the values to replace")
	}
	return fields, nil
}

// removeField removes a field and returns its value. It ignores the case of the name, as
// encoding/json does.
func removeField(fields map[string]json.RawMessage, name string) (value json.RawMessage, given bool) {
	for field := range fields {
		if strings.EqualFold(field, name) {
			value = fields[field]
			delete(fields, field)
			return value, true
		}
	}
	return nil, false
}

// inField adds an enclosing field to the path of a *FieldError, and its name to other errors.
func inField(field string, err error) error {
	if wrong, ok := errors.AsType[*FieldError](err); ok {
		return newFieldError(field+"."+wrong.Field, wrong.Problem, wrong.Fix)
	}
	return fmt.Errorf("%s %w", field, err)
}

// apply returns rules with the overrides that have not ended applied, and the number of those
// that have ended.
func (o Overrides) apply(r Rules, now time.Time) (after Rules, ended int64, err error) {
	after, err = r.with(o.Rules)
	if err != nil {
		return after, 0, inField("overrides", err)
	}
	after.Limits = slices.Clone(r.Limits)
	for _, override := range o.Limits {
		if override.ended(now) {
			ended++
			continue
		}
		l := FindLimit(after.Limits, override.Name)
		if l == nil {
			return after, 0, newFieldError("overrides.limits", fmt.Sprintf("has %q, which is not a limit of the tier", override.Name), "use "+namesOf(r.Limits))
		}
		*l = l.clone()
		if len(override.Values) == 0 {
			continue
		}
		if err := l.UnmarshalJSON(override.Values); err != nil {
			return after, 0, inField("overrides", err)
		}
		if l.Quota == 0 {
			l.Period = ""
		}
	}
	after.Limits = slices.DeleteFunc(after.Limits, func(l Limit) bool { // overriding all amounts with 0 removes a limit
		return l.PerMinute == 0 && l.Quota == 0 && l.Burst == 0
	})
	return after, ended, nil
}

// namesOf lists the names of limits, for the fix of an error.
func namesOf(limits []Limit) string {
	if len(limits) == 0 {
		return "no override: the tier has no limits"
	}
	names := make([]string, len(limits))
	for i, l := range limits {
		names[i] = l.Name
	}
	return "one of " + strings.Join(names, ", ")
}

// ended reports whether the override has ended.
func (o LimitOverride) ended(now time.Time) bool { return !o.Until.IsZero() && !now.Before(o.Until) }

// nextEnd returns the time of the next end of an override; zero: none will end.
func (o Overrides) nextEnd(now time.Time) (next time.Time) {
	for _, override := range o.Limits {
		if end := override.Until; !end.IsZero() && now.Before(end) && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	return next
}

// withoutEnded returns the overrides that have not ended.
func (o Overrides) withoutEnded(now time.Time) Overrides {
	o.Limits = slices.DeleteFunc(slices.Clone(o.Limits), func(l LimitOverride) bool { return l.ended(now) })
	return o
}

// overrides reports whether a limit has an override that has not ended.
func (o Overrides) overrides(name string, now time.Time) bool {
	return slices.ContainsFunc(o.Limits, func(l LimitOverride) bool { return strings.EqualFold(l.Name, name) && !l.ended(now) })
}

// check adds the faults of the overrides themselves. apply finds those that depend on the
// tier.
func (o Overrides) check(f *faults, now time.Time) {
	seen := make(map[string]bool)
	for _, l := range o.Limits {
		folded := strings.ToLower(l.Name)
		f.check(l.Name != "", "overrides."+limitField("", "name"), "is missing", "give the name of a limit of the tier")
		f.check(!seen[folded], "overrides."+limitField(l.Name, "name"), "is used by two overrides", "merge the two")
		f.check(!l.ended(now), "overrides."+limitField(l.Name, "until"), "has passed", "use a later time, or leave the override out")
		f.check(len(l.Values) > 0, "overrides."+limitField(l.Name, "perMinute"), "is missing, and so is every other value", "give the values to override, or leave the override out")
		seen[folded] = true
	}
}

// replaces reports whether the override sets the field of its limit at the end of a path, or
// the period of that field's quota.
func (o LimitOverride) replaces(path string) bool {
	fields, _ := decodeObject("overrides", o.Values)
	field := path[strings.LastIndex(path, ".")+1:]
	for name := range fields {
		if strings.EqualFold(name, field) || field == "quota" && strings.EqualFold(name, "period") {
			return true
		}
	}
	return false
}
