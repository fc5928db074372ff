package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"time"
)

// Reason is the reason why a call got no answer.
type Reason string

const (
	// Unreachable: no connection, or one that broke before an answer began.
	Unreachable Reason = "upstream_unreachable"
	// TimedOut: the answer didn't begin, or end, in time.
	TimedOut Reason = "upstream_timeout"
	// Broken: the answer broke off.
	Broken Reason = "upstream_broken"
	// BadAnswer: upstream sent a redirect, or a body that is compressed, too large or not
	// an answer.
	BadAnswer Reason = "upstream_junk"
	// NoCredential: no token could be obtained for the endpoint.
	NoCredential Reason = "upstream_credential"
	// Left: the caller's own context ended.
	Left Reason = "client_closed"
)

// Error is the failure of a call that got no answer. Its text is for the log, not
// for callers, as it may name hosts.
type Error struct {
	Endpoint string // by name
	Reason   Reason
	Err      error
	// Accepted reports whether the endpoint was sent the whole call, so that it may
	// have worked on it.
	Accepted bool
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Endpoint, e.Reason, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// StatusError is upstream's own answer with a status of 400 or more. It may be passed on
// to the caller unless Ours is true.
type StatusError struct {
	Endpoint string // by name
	Status   int
	// Header holds those of the answer's headers that the caller may see.
	Header http.Header
	// Body is the answer's body if it is a JSON object or array of at most 64 KiB,
	// without the endpoint's credential; otherwise empty.
	Body []byte
	// RetryAfter is the pause that upstream asks for, 0 if it asks for none.
	RetryAfter time.Duration
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s: answered %d", e.Endpoint, e.Status) }

// Ours reports whether upstream rejected Tollgate's own credential or account. If that were
// passed on, the caller would take it for a rejection of its own credential.
func (e *StatusError) Ours() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusProxyAuthRequired:
		return true
	}
	return false
}

// UnavailableError is returned while every endpoint of the model is paused because it
// failed too often or asked for a pause.
type UnavailableError struct {
	// RetryAfter is the time until the first of them is tried again.
	RetryAfter time.Duration
	// Throttled reports whether a 429 asked for any of the pauses.
	Throttled bool
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("every endpoint for the model is paused, the first for %v", e.RetryAfter)
}

// Errors of a call that no endpoint can serve, whatever their state.
var (
	// ErrModel is returned if no endpoint serves the model.
	ErrModel = errors.New("no endpoint serves the model")
	// ErrEndpoint is returned if Call.Endpoint isn't the name of any endpoint.
	ErrEndpoint = errors.New("there is no such endpoint")
	// ErrOperation is returned if endpoints serve the model but none of them serves the
	// call's operation.
	ErrOperation = errors.New("no endpoint of the model serves the operation")
	// ErrExtraParameters is returned if the header extra-parameters isn't error, drop
	// or pass-through, or if it is error or drop and no endpoint of the model has the
	// models shape, the only one that implements them.
	ErrExtraParameters = errors.New("extra-parameters can't be honoured")
)

// errLate is the cause of a context that ends because upstream took too long.
var errLate = errors.New("upstream took too long")

// errorFor returns an Error for err. If ctx, a context of Send's, has ended, that is the
// Error's reason.
func (e *validEndpoint) errorFor(ctx context.Context, reason Reason, err error, accepted bool) *Error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errLate), errors.Is(cause, context.DeadlineExceeded):
		return &Error{e.Name, TimedOut, cause, accepted}
	case cause != nil:
		return &Error{e.Name, Left, cause, accepted}
	}
	return &Error{e.Name, reason, err, accepted}
}

// unquoted returns an error of the transport without the part of an unreadable answer that
// it quotes: neither a completion nor megabytes of anything may get into a log.
func unquoted(err error) error {
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return errors.New("malformed header")
	}
	if text, _, quotes := strings.Cut(err.Error(), `"`); quotes {
		return errors.New(text + "…")
	}
	return err
}
