package subscription

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// errBothForms says that a document gives the limit named tokens twice.
func errBothForms(field string) error {
	return &FieldError{Field: field, Problem: "has the limit named tokens, which tokensPerMinute and the other fields of the short form set too", Fix: "give it once: in limits, or in the short form"}
}

// CheckOneForm returns a *FieldError if rules, as an operator gave them, have both the
// limit named tokens and values in the short form.
func (r *Rules) CheckOneForm() error {
	if r.ShortForm != (ShortForm{}) && FindLimit(r.Limits, TokensName) != nil {
		return errBothForms("limits")
	}
	return nil
}

// ShortFormZeros replaces null by the value that Fold takes for none, in the short-form
// fields of a merge patch of rules: a tier has no such fields that null could remove. The
// patch is a JSON object.
func ShortFormZeros(patch []byte) ([]byte, error) {
	fields, err := fieldsOf("body", patch)
	if err != nil {
		return nil, err
	}
	for field, value := range takeShort(fields) {
		if string(value) == "null" {
			value = json.RawMessage(`0`)
			if field == "tokenQuotaPeriod" || field == "counterKey" {
				value = json.RawMessage(`""`)
			}
		}
		fields[field] = value
	}
	return json.Marshal(fields)
}

// PatchOverrides applies a merge patch, a JSON object, to overrides: merge applies its
// fields other than the short form's to the overrides' JSON. Those of the short form set
// values of the override of the limit named tokens, and null removes them from it.
func PatchOverrides(o Overrides, patch []byte, merge func(document, patch []byte) ([]byte, error)) (Overrides, error) {
	fields, err := fieldsOf("overrides", patch)
	if err != nil || fields == nil {
		return Overrides{}, err // null removes all
	}
	short := takeShort(fields)
	rest, e1 := json.Marshal(fields)
	document, e2 := json.Marshal(o)
	if err := errors.Join(e1, e2); err != nil {
		return o, err
	}
	merged, err := merge(document, rest)
	if err != nil {
		return o, err
	}
	var after Overrides
	if err := Decode(merged, &after); err != nil {
		return o, err
	}
	if _, replaced := take(fields, "limits"); replaced && len(short) > 0 && after.indexOf(TokensName) >= 0 {
		return o, errBothForms("overrides.limits")
	}
	return after.withShortForm(short)
}

// takeShort removes the short form's fields from a JSON object's and returns them by their
// names.
func takeShort(fields map[string]json.RawMessage) map[string]json.RawMessage {
	short := make(map[string]json.RawMessage)
	for field := range shortFields {
		if value, given := take(fields, field); given {
			short[field] = value
		}
	}
	return short
}

// withShortForm sets values, by their names in the short form, in the override of the
// limit named tokens. null removes a value, and an override that has none left goes.
func (o Overrides) withShortForm(short map[string]json.RawMessage) (Overrides, error) {
	if len(short) == 0 {
		return o, nil
	}
	o.Limits = slices.Clone(o.Limits)
	at := o.indexOf(TokensName)
	if at < 0 {
		o.Limits = slices.Insert(o.Limits, 0, LimitOverride{Name: TokensName})
		at = 0
	}
	values, err := fieldsOf("overrides.limits", o.Limits[at].Values)
	if err != nil {
		return o, err
	}
	if values == nil {
		values = make(map[string]json.RawMessage)
	}
	for field, value := range short {
		take(values, shortFields[field])
		if string(value) != "null" {
			values[shortFields[field]] = value
		}
	}
	if len(values) == 0 {
		o.Limits = slices.Delete(o.Limits, at, at+1)
		return o, nil
	}
	o.Limits[at].Values, err = json.Marshal(values)
	return o, err
}

// indexOf returns where the override of a limit is, ignoring case, or -1.
func (o Overrides) indexOf(name string) int {
	return slices.IndexFunc(o.Limits, func(l LimitOverride) bool { return strings.EqualFold(l.Name, name) })
}
