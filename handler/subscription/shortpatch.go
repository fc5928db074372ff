package subscription

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// errBothForms returns the error of a document that gives the limit named tokens twice.
func errBothForms(field string) error {
	return &FieldError{Field: field, Problem: "has the limit named tokens, which tokensPerMinute and the other fields of the short form set too", Fix: "give it once: in limits, or in the short form"}
}

// CheckSingleForm returns a *FieldError if the rules have both a limit named tokens and fields
// of the short form. Call it before ExpandShortForm.
func (r *Rules) CheckSingleForm() error {
	if r.ShortForm != (ShortForm{}) && FindLimit(r.Limits, TokensName) != nil {
		return errBothForms("limits")
	}
	return nil
}

// ZeroShortFormNulls replaces each null in the short form's fields of a merge patch of rules
// by 0 or "". Stored rules have no such fields for null to remove; ExpandShortForm takes 0 and
// "" to mean none. The patch is a JSON object.
func ZeroShortFormNulls(patch []byte) ([]byte, error) {
	fields, err := decodeObject("body", patch)
	if err != nil {
		return nil, err
	}
	for field, value := range removeShortForm(fields) {
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

// PatchOverrides applies a merge patch (RFC 7396), a JSON object, to overrides. Fields of the
// short form change the override of the limit named tokens, where null removes a value.
// merge applies all other fields to the overrides' JSON.
func PatchOverrides(o Overrides, patch []byte, merge func(document, patch []byte) ([]byte, error)) (Overrides, error) {
	fields, err := decodeObject("overrides", patch)
	if err != nil || fields == nil {
		return Overrides{}, err // null removes all overrides
	}
	short := removeShortForm(fields)
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
	if _, replaced := removeField(fields, "limits"); replaced && len(short) > 0 && after.indexOf(TokensName) >= 0 {
		return o, errBothForms("overrides.limits")
	}
	return after.setShortForm(short)
}

// removeShortForm removes the short form's fields from the fields of a JSON object, and
// returns them by name.
func removeShortForm(fields map[string]json.RawMessage) map[string]json.RawMessage {
	short := make(map[string]json.RawMessage)
	for field := range shortFields {
		if value, given := removeField(fields, field); given {
			short[field] = value
		}
	}
	return short
}

// setShortForm sets values in the override of the limit named tokens. They are given by their
// names in the short form. null removes a value, and an override without any value is removed.
func (o Overrides) setShortForm(short map[string]json.RawMessage) (Overrides, error) {
	if len(short) == 0 {
		return o, nil
	}
	o.Limits = slices.Clone(o.Limits)
	at := o.indexOf(TokensName)
	if at < 0 {
		o.Limits = slices.Insert(o.Limits, 0, LimitOverride{Name: TokensName})
		at = 0
	}
	values, err := decodeObject("overrides.limits", o.Limits[at].Values)
	if err != nil {
		return o, err
	}
	if values == nil {
		values = make(map[string]json.RawMessage)
	}
	for field, value := range short {
		removeField(values, shortFields[field])
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
