package subscription

import "tollgate/handler/field"

// A FieldError says what is wrong with a field of a document and how to fix it.
type FieldError = field.Error

// faults collects everything that is wrong with a value.
type faults field.Faults

// check adds a fault unless ok.
func (f *faults) check(ok bool, name, problem, fix string) {
	(*field.Faults)(f).Check(ok, name, problem, fix)
}

func (f *faults) err() error { return (*field.Faults)(f).Err() }

func newFieldError(name, problem, fix string) *FieldError {
	return &FieldError{Field: name, Problem: problem, Fix: fix}
}
