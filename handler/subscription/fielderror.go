package subscription

import "errors"

// A FieldError says what is wrong with one field and how to fix it.
type FieldError struct {
	Field   string // its JSON name
	Problem string // a predicate of the field: "is out of range"
	Fix     string // an imperative: "use 0s to 2m"
}

// Error returns the field, the problem and the fix in one sentence.
func (e *FieldError) Error() string {
	return e.Field + " " + e.Problem + ": " + e.Fix
}

// faults collects everything that is wrong with a value.
type faults []error

// check adds a fault unless ok.
func (f *faults) check(ok bool, field, problem, fix string) {
	if !ok {
		*f = append(*f, &FieldError{field, problem, fix})
	}
}

func (f *faults) err() error { return errors.Join(*f...) }
