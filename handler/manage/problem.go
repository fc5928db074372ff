package manage

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tollgate/handler/field"
	"tollgate/handler/price"
	"tollgate/handler/subscription"
)

// A Problem is an RFC 9457 problem with Tollgate's extensions: a code for programs, and
// the fields that are wrong. Its type is about:blank, which may be left out.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	// Errors lists the fields of the request that are wrong.
	Errors []FieldProblem `json:"errors,omitempty"`

	retryAfter int // seconds, for Retry-After; 0: none
}

// A FieldProblem says what is wrong with one field and how to fix it.
type FieldProblem struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
	Fix     string `json:"fix"`
}

// Codes of problems that clients act on.
const (
	codeInvalid     = "invalid"     // a field is wrong
	CodeNotFound    = "not_found"   // what the request names doesn't exist
	CodeExists      = "exists"      // what the request creates exists already
	CodeStale       = "stale"       // the version in If-Match is not the current one
	codeConflict    = "conflict"    // concurrent changes kept conflicting
	codeInUse       = "in_use"      // what the request deletes is in use
	CodeUnavailable = "unavailable" // the tables can't be reached
)

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

func (p *Problem) send(w http.ResponseWriter) {
	p.Title = http.StatusText(p.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="Tollgate"`)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // fails only if the operator has left
}

// retryAfterSeconds is the time that clients should wait before they try unavailable tables
// again.
const retryAfterSeconds = 5

// asProblem converts any error to a problem. An error of no known kind means that the tables
// can't be reached. Its text is sent, since no error holds a secret.
func asProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	detail := strings.ReplaceAll(err.Error(), "\n", "; ")
	fields := fieldProblems(err)
	_, inUse := errors.AsType[*subscription.InUseError](err)
	switch {
	case errors.Is(err, ErrUnauthorized):
		return &Problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: "Send an Entra ID token or the operator's key as Authorization: Bearer."}
	case errors.Is(err, ErrForbidden):
		return &Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: detail}
	case len(fields) > 0:
		return &Problem{Status: http.StatusUnprocessableEntity, Code: codeInvalid, Detail: detail, Errors: fields}
	case errors.Is(err, subscription.ErrOtherPepper):
		return &Problem{Status: http.StatusConflict, Code: "other_pepper", Detail: detail}
	case isNotFound(err):
		return &Problem{Status: http.StatusNotFound, Code: CodeNotFound, Detail: detail}
	case errors.Is(err, errStale):
		return &Problem{Status: http.StatusPreconditionFailed, Code: CodeStale, Detail: detail}
	case isExists(err):
		return &Problem{Status: http.StatusConflict, Code: CodeExists, Detail: detail}
	case inUse:
		return &Problem{Status: http.StatusConflict, Code: codeInUse, Detail: detail}
	case isConflict(err):
		return &Problem{Status: http.StatusConflict, Code: codeConflict, Detail: detail}
	}
	return &Problem{Status: http.StatusServiceUnavailable, Code: CodeUnavailable, Detail: detail, retryAfter: retryAfterSeconds}
}

// isNotFound reports whether what a request names doesn't exist in its store.
func isNotFound(err error) bool {
	return errors.Is(err, subscription.ErrNotFound) || errors.Is(err, price.ErrNotFound)
}

// isExists reports whether what a request creates exists already.
func isExists(err error) bool {
	return errors.Is(err, subscription.ErrExists) || errors.Is(err, price.ErrExists)
}

// isConflict reports whether a change conflicted with concurrent ones.
func isConflict(err error) bool {
	return errors.Is(err, subscription.ErrConflict) || errors.Is(err, price.ErrConflict)
}

// fieldProblems returns the field errors within an error.
func fieldProblems(err error) (all []FieldProblem) {
	if wrong, ok := err.(*field.Error); ok {
		return []FieldProblem{{wrong.Field, wrong.Problem, wrong.Fix}}
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return fieldProblems(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			all = append(all, fieldProblems(inner)...)
		}
	}
	return slices.Clip(all)
}

func badRequest(detail string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: codeInvalid, Detail: detail}
}

func fieldError(name, problem, fix string) error {
	return &field.Error{Field: name, Problem: problem, Fix: fix}
}
