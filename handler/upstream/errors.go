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

// Reason says why a call got no answer.
type Reason string

const (
	// Unreachable is no connection, or one that broke before an answer began.
	Unreachable Reason = "upstream_unreachable"
	// TimedOut is no answer, or not all of it, in time.
	TimedOut Reason = "upstream_timeout"
	// Broken is an answer that broke off.
	Broken Reason = "upstream_broken"
	// Junk is what can't be an answer: a redirect, a body that is compressed, too
	// large, or holds none.
	Junk Reason = "upstream_junk"
	// NoCredential is no token for the endpoint.
	NoCredential Reason = "upstream_credential"
	// Left is the end of the caller's own context.
	Left Reason = "client_closed"
)

// Error is a call without an answer. Its text is for the log, not for callers:
// it may name hosts.
type Error struct {
	Endpoint string // by name
	Reason   Reason
	Err      error
	// Accepted is whether the endpoint had been sent the whole call, so that it
	// may have been at work on it.
	Accepted bool
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Endpoint, e.Reason, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// StatusError is upstream's own refusal or failure, a status of 400 or more,
// which may be passed on as it is, unless it is ours.
type StatusError struct {
	Endpoint string // by name
	Status   int
	// Header holds what the caller may see of the answer's headers.
	Header http.Header
	// Body is the answer's body, a JSON object or array of at most 64 KiB without
	// the endpoint's credential; empty if it is anything else.
	Body []byte
	// RetryAfter is how long upstream asks to be left alone, 0 if it doesn't.
	RetryAfter time.Duration
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s: answered %d", e.Endpoint, e.Status) }

// Ours is whether the refusal is about the gateway's own credential or account: a
// caller would take it to be about its own.
func (e *StatusError) Ours() bool {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusProxyAuthRequired:
		return true
	}
	return false
}

// UnavailableError says that no endpoint takes calls for the model now: each has
// failed too often, or asked to be left alone.
type UnavailableError struct {
	// RetryAfter is when the first will be tried again.
	RetryAfter time.Duration
	// Throttled is whether any asked to be left alone, with a 429.
	Throttled bool
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("no endpoint for the model takes calls for %v", e.RetryAfter)
}

// What is wrong with a call itself, whatever the endpoints' state.
var (
	// ErrModel says that no endpoint serves the model.
	ErrModel = errors.New("no endpoint serves the model")
	// ErrExtraParameters says that the header extra-parameters is none of
	// error, drop and pass-through, or one of the first two where none of the model's
	// endpoints is of the models shape, which alone knows them.
	ErrExtraParameters = errors.New("extra-parameters can't be honoured")
)

// errLate is the cause of a context that ended because upstream took too long.
var errLate = errors.New("upstream took too long")

// failure makes an Error of what went wrong while ctx, a context of Send's,
// may have ended.
func (e *endpoint) failure(ctx context.Context, reason Reason, err error, accepted bool) *Error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errLate), errors.Is(cause, context.DeadlineExceeded):
		return &Error{e.Name, TimedOut, cause, accepted}
	case cause != nil:
		return &Error{e.Name, Left, cause, accepted}
	}
	return &Error{e.Name, reason, err, accepted}
}

// unquoted is an error of the transport without what it quotes of an answer that
// it can't read: a log must not have a completion, nor megabytes of anything.
func unquoted(err error) error {
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return errors.New("malformed header")
	}
	if text, _, quotes := strings.Cut(err.Error(), `"`); quotes {
		return errors.New(text + "…")
	}
	return err
}
