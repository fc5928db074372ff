package appinsights

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/azure"
)

// An answer is the result of sending a payload once.
type answer struct {
	outcome    outcome
	retryable  []int // if processed: indexes of the items to send again
	rejected   []int // if processed: indexes of the items that will never be accepted
	retryAfter time.Duration
	slow       bool // only an operator can fix it, so retry slowly
	status     int  // HTTP status, 0 if there was no answer
	fault      string
	fix        string
}

// An outcome classifies an answer.
type outcome int

const (
	// processed: the service read the payload, and accepted or rejected each item.
	processed outcome = iota
	// refused: the payload or the address is at fault.
	refused
	// tooLarge: a smaller payload may be accepted.
	tooLarge
	// unavailable: the fault is most likely with the service, the network or the
	// gateway's identity, not with the payload.
	unavailable
	// throttled: the service accepts nothing more for now.
	throttled
)

// kind returns a key for the log: each kind of trouble gets a line of its own.
func (a answer) kind() string {
	if a.status == 0 {
		return a.fix
	}
	return strconv.Itoa(a.status)
}

// tooManyOverTime is Application Insights' own status for an exhausted quota.
const tooManyOverTime = 439

// transient lists the statuses, of a request or of an item, to retry.
// Source: ApplicationInsights-dotnet, ServerTelemetryChannel/Implementation/ResponseStatusCodes.cs
var transient = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, tooManyOverTime, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// read turns a response into an answer. entra reports whether an Entra token was sent.
func read(response *http.Response, body []byte, items int, entra bool) answer {
	status := response.StatusCode
	a := answer{status: status, retryAfter: azure.RetryAfter(response.Header, time.Now()), fault: fmt.Sprintf("it answered %d", status)}
	switch {
	case status >= 200 && status < 300, status == http.StatusBadRequest && rejectsItems(body):
		return a.withItems(body, items)
	case status == http.StatusTooManyRequests, status == tooManyOverTime:
		a.outcome = throttled
		a.fix = "none needed now: telemetry is kept and sent again; if it lasts, raise the resource's daily cap or METRIC_INTERVAL, or lower TELEMETRY_SAMPLING"
	case status == http.StatusPaymentRequired:
		a.outcome, a.slow, a.fix = throttled, true, "the resource's daily cap is reached: raise it"
	case slices.Contains(transient, status), status >= 500, a.retryAfter > 0:
		a.outcome, a.fix = unavailable, noFix
	case status == http.StatusRequestEntityTooLarge:
		a.outcome, a.fix = tooLarge, "use METRIC_DIMENSIONS with shorter values"
	case status < 400, status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		a.outcome, a.slow, a.fix = unavailable, true, remedy(status, entra)
	default:
		a.outcome, a.slow, a.fix = refused, true, remedy(status, entra)
	}
	return a
}

// noFix is the fix for faults that pass.
const noFix = "none needed: telemetry is kept and sent again"

// remedy returns the fix for a status.
func remedy(status int, entra bool) string {
	const role = "give the app's identity the role Monitoring Metrics Publisher on the Application Insights resource; a new role takes some minutes to work"
	switch {
	case entra && status == http.StatusForbidden:
		return role
	case entra && status == http.StatusUnauthorized:
		return "check that the identity belongs to the resource's tenant, and the connection string to the resource's cloud; " + role
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "the resource accepts Entra tokens only, or does not know the key: set APPLICATIONINSIGHTS_AUTHENTICATION_STRING to Authorization=AAD;ClientId=<client id>, or copy APPLICATIONINSIGHTS_CONNECTION_STRING again"
	}
	return "copy APPLICATIONINSIGHTS_CONNECTION_STRING again from the resource's overview page"
}

// trackResponse is the body of an answer, which lists the items that the service rejected.
type trackResponse struct {
	Received *int `json:"itemsReceived"`
	Errors   []struct {
		Index   int    `json:"index"`
		Status  int    `json:"statusCode"`
		Message string `json:"message"`
	} `json:"errors"`
}

// rejectsItems reports whether a body with status 400 rejects items rather than the request.
func rejectsItems(body []byte) bool {
	var v trackResponse
	return json.Unmarshal(body, &v) == nil && v.Received != nil && len(v.Errors) > 0
}

// withItems returns the answer with the items that body rejects. The service has accepted
// the others.
func (a answer) withItems(body []byte, items int) answer {
	a.outcome, a.fault = processed, ""
	var v trackResponse
	if err := json.Unmarshal(body, &v); err != nil {
		return a // the status says that it was accepted
	}
	var messages []string
	seen := make(map[int]bool)
	for _, e := range v.Errors {
		switch {
		case e.Index < 0 || e.Index >= items || seen[e.Index]:
			continue
		case slices.Contains(transient, e.Status):
			a.retryable = append(a.retryable, e.Index)
		default:
			a.rejected = append(a.rejected, e.Index)
			if len(messages) < 3 {
				messages = append(messages, fmt.Sprintf("%d %s", e.Status, clip(e.Message)))
			}
		}
		seen[e.Index] = true
	}
	if len(a.rejected) > 0 {
		a.fault = "it rejected items: " + strings.Join(messages, "; ")
	}
	return a
}
