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
	again     again
	retryable []int // with again == some: the items to send again
	rejected  []int // items that never will be taken
	after     time.Duration
	slow      bool   // only an operator can mend it
	status    int    // 0 where no answer came
	fault     string // empty: all went well
	fix       string
}

// again is how much of a payload is to be sent again.
type again int

const (
	none again = iota
	some
	all
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

// read makes an answer of a response. entra is whether a token was sent.
func read(response *http.Response, body []byte, items int, entra bool) answer {
	a := answer{status: response.StatusCode, after: retryAfter(response.Header, time.Now())}
	switch status := response.StatusCode; {
	case status == http.StatusOK, status == http.StatusPartialContent:
		return a.partial(body, items)
	case slices.Contains(passing, status), status >= 500, a.after > 0:
		a.again, a.fault = all, fmt.Sprintf("it answers %d", status)
		a.fix = "none here: telemetry is kept and sent again"
		if status == tooManyOverTime || status == http.StatusTooManyRequests {
			a.fix = "telemetry is kept and sent again; if this lasts, raise the resource's daily cap, or METRIC_INTERVAL, or lower TELEMETRY_SAMPLING"
		}
		return a
	case status == http.StatusBadRequest && judged(body):
		return a.partial(body, items)
	}
	a.again, a.slow = all, true
	a.fault, a.fix = fmt.Sprintf("it answers %d", response.StatusCode), remedy(response.StatusCode, entra)
	if response.StatusCode == http.StatusRequestEntityTooLarge {
		a.again, a.rejected = some, slices.Collect(upTo(items))
		a.fix = "a batch is too large and is given up: use METRIC_DIMENSIONS with fewer values"
	}
	return a
}

func upTo(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}
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
	case status == http.StatusPaymentRequired:
		return "the resource's daily cap is reached: raise it"
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

// judged is whether a refusal is of the items rather than of the request.
func judged(body []byte) bool {
	var v verdicts
	return json.Unmarshal(body, &v) == nil && v.Received != nil && len(v.Errors) > 0
}

// partial sorts the items of a payload that was taken in part.
func (a answer) partial(body []byte, items int) answer {
	var v verdicts
	if err := json.Unmarshal(body, &v); err != nil || len(v.Errors) == 0 {
		return a // what was received was taken
	}
	var messages []string
	for _, e := range v.Errors {
		switch {
		case e.Index < 0 || e.Index >= items:
		case slices.Contains(passing, e.Status):
			a.retryable = append(a.retryable, e.Index)
		default:
			a.rejected = append(a.rejected, e.Index)
			if len(messages) < 3 {
				messages = append(messages, fmt.Sprintf("%d %s", e.Status, e.Message))
			}
		}
	}
	if len(a.retryable) > 0 {
		a.again = some
	}
	if len(a.rejected) > 0 {
		a.fault = fmt.Sprintf("it rejects %d of %d items: %s", len(a.rejected), items, strings.Join(messages, "; "))
		a.fix = "none here: these items are given up; the counts are in the usage table"
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
