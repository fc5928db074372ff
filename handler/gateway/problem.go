package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/operation"
	"tollgate/handler/telemetry"
)

// A problem is a refusal or failure as the caller sees it. cause is for the log alone.
type problem struct {
	status    int
	code      string
	kind      string // OpenAI's error type
	message   string
	param     string
	retry     time.Duration       // until a retry may succeed, not rounded; 0: not known
	refusedBy []telemetry.Refusal // limits that refused the call
	details   []limitDetail       // of those with counters, for the body
	cause     error

	verbatim []byte // upstream's own body, sent instead of one made of these fields
}

func (p *problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %v", p.code, p.cause)
	}
	return p.code
}

func (p *problem) Unwrap() error { return p.cause }

// longestRetry is the longest wait after which a client should retry by itself. Many
// clients don't honour a longer Retry-After, and retry too early.
const longestRetry = time.Minute

// retryUseless reports whether the client needn't retry: it would be refused again, or
// wait longer than a user would.
func (p *problem) retryUseless() bool {
	return p.status == http.StatusForbidden || p.status == http.StatusRequestEntityTooLarge || p.retry > longestRetry
}

// isRefusal reports whether the gateway turned a well-formed call down: for a limit, a
// key, or something it can't reach. A 503 of upstream's own is not a refusal.
func (p *problem) isRefusal() bool {
	return p.code != outcomeFailed && (len(p.refusedBy) > 0 || p.kind == kindAuth || p.status == http.StatusTooManyRequests || p.status == http.StatusServiceUnavailable)
}

// The types of OpenAI's error object that clients distinguish.
const (
	kindRequest = "invalid_request_error"
	kindAuth    = "authentication_error"
	kindTokens  = "tokens"
	kindCalls   = "requests"
	kindServer  = "server_error"
)

// errUnauthorized answers every call whose key is not accepted, for whatever reason:
// the reason would help somebody who guesses keys.
var errUnauthorized = &problem{
	status: http.StatusUnauthorized, code: "invalid_api_key", kind: kindAuth,
	message: "Access denied due to a missing or invalid api-key. Send the key of an active subscription in the api-key header.",
}

// errTwoKeys answers a call with two different keys. Neither was looked up, so it
// reveals nothing about them.
var errTwoKeys = &problem{
	status: http.StatusUnauthorized, code: "invalid_api_key", kind: kindAuth,
	message: "Two different keys were sent, in headers or as subscription-key in the query. Send one.",
}

// badRequest answers a call with a wrong field, or a wrong body as a whole.
func badRequest(param, message string) *problem {
	return &problem{status: http.StatusBadRequest, code: "invalid_request", kind: kindRequest, param: param, message: message}
}

// statusClientClosed is nginx's status for a caller that left. Only the log shows it.
const statusClientClosed = 499

// clientClosed ends a call whose caller has left.
func clientClosed(cause error) *problem {
	return &problem{status: statusClientClosed, code: "client_closed", kind: kindRequest, message: "The caller left.", cause: cause}
}

// unavailable answers a call that needs something which can't be reached.
func unavailable(what string, retry time.Duration, cause error) *problem {
	return &problem{status: http.StatusServiceUnavailable, code: what + "_unavailable", kind: kindServer,
		message: fmt.Sprintf("The gateway can't reach its %s just now. Try again in %s.", what, spellDuration(retry)), retry: retry, cause: cause}
}

// asProblem returns err if it is a problem, else an internal error, whose cause only
// the log shows.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	return &problem{status: http.StatusInternalServerError, code: "internal_error", kind: kindServer,
		message: "The gateway failed. Quote the request_id to its operator.", cause: err}
}

// forCaller returns the part of the problem that the caller sees.
func (p *problem) forCaller(requestID string) operation.Problem {
	shown := operation.Problem{Status: p.status, Code: p.code, Type: p.kind, Message: p.message, Param: p.param, RequestID: requestID}
	if p.details != nil {
		text, err := json.Marshal(p.details)
		if err != nil {
			panic(fmt.Sprintf("encode limits: %v", err)) // strings, numbers and times always encode
		}
		shown.Limits = text
	}
	return shown
}

// problemForm returns how to write a problem for the call's client: as its operation
// does or, where the path belongs to none, as the API does that the client speaks.
func (c *call) problemForm(base string) func(operation.Problem) []byte {
	switch {
	case c.route.operation != nil:
		return c.route.operation.Problem
	case speaksAnthropic(c.r, base):
		return operation.AnthropicProblem
	}
	return operation.OpenAIProblem
}

// speaksAnthropic reports whether a request comes from a client of Anthropic's API.
func speaksAnthropic(r *http.Request, base string) bool {
	if r.Header.Get(headerAnthropicVersion) != "" {
		return true
	}
	path := belowBase(r.URL.Path, base)
	return strings.HasPrefix(path, "/anthropic/") || strings.HasPrefix(path, "/v1/messages") || strings.HasPrefix(path, "/messages")
}

// wholeSeconds rounds up, to at least 1 s: a caller that waits this long is never early.
func wholeSeconds(d time.Duration) time.Duration {
	return max(d+time.Second-1, time.Second).Truncate(time.Second)
}

// spellDuration writes whole seconds as APIM's quota message does, in the two largest units,
// the smaller one rounded up: "21 minutes and 33 seconds".
func spellDuration(d time.Duration) string {
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}}
	for i, unit := range units[:len(units)-1] {
		if d < unit.size {
			continue
		}
		smaller := units[i+1]
		d = (d + smaller.size - 1).Truncate(smaller.size)
		large, small := d/unit.size, d%unit.size/smaller.size
		if small == 0 {
			return plural(int64(large), unit.name)
		}
		return plural(int64(large), unit.name) + " and " + plural(int64(small), smaller.name)
	}
	return plural(int64(d/time.Second), "second")
}

// plural writes a number with its unit: "1 token", "2 tokens".
func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.FormatInt(n, 10) + " " + unit + "s"
}
