package manage

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tollgate/handler/subscription"
)

// Problem is an error as RFC 9457 writes it, with what Tollgate adds: a code
// that programs can tell apart, and each field that is wrong. Its type is
// about:blank, which a document may leave out.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	// Errors name the fields of the request that are wrong.
	Errors []FieldProblem `json:"errors,omitempty"`

	retry int // seconds, for Retry-After; 0: none
}

// FieldProblem says what is wrong with one field, and what would be right.
type FieldProblem struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
	Fix     string `json:"fix"`
}

// Codes of problems that clients act on.
const (
	CodeInvalid     = "invalid"     // a field is wrong
	CodeNotFound    = "not_found"   // what it names isn't there
	CodeExists      = "exists"      // what it makes is there already
	CodeStale       = "stale"       // the version in If-Match is an older one
	CodeConflict    = "conflict"    // other changes kept coming in between
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
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retry))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // an operator who has left is told nothing more
}

// retryAfter is how long to wait before the tables are asked again, in seconds.
const retryAfter = 5

// asProblem makes any error answerable. What fits nothing else means that the
// tables can't be reached; its text holds no secret.
func asProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	detail := strings.ReplaceAll(err.Error(), "\n", "; ")
	fields := wrongFields(err)
	switch {
	case errors.Is(err, ErrUnauthorized):
		return &Problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: "Send an Entra ID token or the operator's key as Authorization: Bearer."}
	case errors.Is(err, ErrForbidden):
		return &Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: detail}
	case len(fields) > 0:
		return &Problem{Status: http.StatusUnprocessableEntity, Code: CodeInvalid, Detail: detail, Errors: fields}
	case errors.Is(err, subscription.ErrOtherPepper):
		return &Problem{Status: http.StatusConflict, Code: "other_pepper", Detail: detail}
	case errors.Is(err, subscription.ErrNotFound):
		return &Problem{Status: http.StatusNotFound, Code: CodeNotFound, Detail: detail}
	case errors.Is(err, errStale):
		return &Problem{Status: http.StatusPreconditionFailed, Code: CodeStale, Detail: detail}
	case errors.Is(err, subscription.ErrExists):
		return &Problem{Status: http.StatusConflict, Code: CodeExists, Detail: detail}
	case errors.Is(err, subscription.ErrConflict):
		return &Problem{Status: http.StatusConflict, Code: CodeConflict, Detail: detail}
	}
	return &Problem{Status: http.StatusServiceUnavailable, Code: CodeUnavailable, Detail: detail, retry: retryAfter}
}

// wrongFields lists the field errors that an error is made of.
func wrongFields(err error) (all []FieldProblem) {
	if wrong, ok := err.(*subscription.FieldError); ok {
		return []FieldProblem{{wrong.Field, wrong.Problem, wrong.Fix}}
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return wrongFields(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			all = append(all, wrongFields(inner)...)
		}
	}
	return slices.Clip(all)
}

func badRequest(detail string) *Problem {
	return &Problem{Status: http.StatusBadRequest, Code: CodeInvalid, Detail: detail}
}

func fieldError(field, problem, fix string) error {
	return &subscription.FieldError{Field: field, Problem: problem, Fix: fix}
}
