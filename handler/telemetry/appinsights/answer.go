package appinsights

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is what became of a payload, and what to do about it.
type answer struct {
	outcome   outcome
	retryable []int // of taken: items to send again
	rejected  []int // of taken: items that will never be taken
	after     time.Duration
	slow      bool // only an operator can mend it
	status    int  // 0 where no answer came
	fault     string
	fix       string
}

// outcome is what an answer says about a payload as a whole.
type outcome int

const (
	// taken: the service read the payload and judged each item.
	taken outcome = iota
	// refused: the payload or the address is at fault.
	refused
	// tooLarge: a smaller payload may be taken.
	tooLarge
	// troubled: most likely the service, the network or the gateway's identity
	// is at fault.
	troubled
	// throttled: the service takes no more for now.
	throttled
)

// kind tells troubles apart that are worth a line each.
func (a answer) kind() string {
	if a.status == 0 {
		return a.fix
	}
	return strconv.Itoa(a.status)
}

// tooManyOverTime is Application Insights' own status for a quota used up.
const tooManyOverTime = 439

// passing are the statuses, of a request or of an item, that time mends.
// Source: ApplicationInsights-dotnet, ServerTelemetryChannel/Implementation/ResponseStatusCodes.cs
var passing = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, tooManyOverTime, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// read makes an answer of a response. entra is whether the identity is a token's.
func read(response *http.Response, body []byte, items int, entra bool) answer {
	status := response.StatusCode
	a := answer{status: status, after: retryAfter(response.Header, time.Now()), fault: fmt.Sprintf("it answers %d", status)}
	switch {
	case status >= 200 && status < 300, status == http.StatusBadRequest && judged(body):
		return a.judge(body, items)
	case status == http.StatusTooManyRequests, status == tooManyOverTime:
		a.outcome = throttled
		a.fix = "telemetry is kept and sent again; if this lasts, raise the resource's daily cap, or METRIC_INTERVAL, or lower TELEMETRY_SAMPLING"
	case status == http.StatusPaymentRequired:
		a.outcome, a.slow, a.fix = throttled, true, "the resource's daily cap is reached: raise it"
	case slices.Contains(passing, status), status >= 500, a.after > 0:
		a.outcome, a.fix = troubled, "none here: telemetry is kept and sent again"
	case status == http.StatusRequestEntityTooLarge:
		a.outcome, a.fix = tooLarge, "use METRIC_DIMENSIONS with shorter values"
	case status < 400, status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		a.outcome, a.slow, a.fix = troubled, true, remedy(status, entra)
	default:
		a.outcome, a.slow, a.fix = refused, true, remedy(status, entra)
	}
	return a
}

// remedy is what an operator can do about a status.
func remedy(status int, entra bool) string {
	const role = "give the app's identity the role Monitoring Metrics Publisher on the Application Insights resource; it takes some minutes to hold"
	switch {
	case entra && status == http.StatusForbidden:
		return role
	case entra && status == http.StatusUnauthorized:
		return "check that the identity is of the resource's tenant, and the connection string of the resource's cloud; " + role
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "the resource takes Entra tokens only, or does not know the key: set APPLICATIONINSIGHTS_AUTHENTICATION_STRING to Authorization=AAD;ClientId=<client id>, or copy APPLICATIONINSIGHTS_CONNECTION_STRING anew"
	}
	return "copy APPLICATIONINSIGHTS_CONNECTION_STRING anew from the resource's overview page"
}

// verdicts is the service's answer item by item.
type verdicts struct {
	Received *int `json:"itemsReceived"`
	Errors   []struct {
		Index   int    `json:"index"`
		Status  int    `json:"statusCode"`
		Message string `json:"message"`
	} `json:"errors"`
}

// judged reports whether a refusal is of the items rather than of the request.
func judged(body []byte) bool {
	var v verdicts
	return json.Unmarshal(body, &v) == nil && v.Received != nil && len(v.Errors) > 0
}

// judge sorts the items of a payload that was taken, whole or in part.
func (a answer) judge(body []byte, items int) answer {
	a.outcome, a.fault = taken, ""
	var v verdicts
	if err := json.Unmarshal(body, &v); err != nil {
		return a // what was received was taken
	}
	var messages []string
	seen := make(map[int]bool)
	for _, e := range v.Errors {
		switch {
		case e.Index < 0 || e.Index >= items || seen[e.Index]:
			continue
		case slices.Contains(passing, e.Status):
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
		a.fault = "it rejects items: " + strings.Join(messages, "; ")
	}
	return a
}

// retryAfter reads both forms of the header, 0 where there is none.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
