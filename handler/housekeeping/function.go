package housekeeping

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// Path is the path to which the Functions host POSTs when the timer fires. It is the name of
// the function's folder.
const Path = "/housekeeping"

// Middleware starts a run when the host's timer fires and passes all other requests to
// next. It is for a gateway under the Functions host, where only the host can reach the
// handler's port. The host POSTs timer events itself; callers' requests come through its
// proxy, and requests of a page in a local browser have an Origin. Both go to next.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers
func (h *Housekeeper) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Path || r.Method != http.MethodPost || isForwarded(r.Header) {
			next.ServeHTTP(w, r)
			return
		}
		h.serveTimer(w, r)
	})
}

// isForwarded reports whether a request is not the host's own. The host's proxy always
// sets X-Forwarded-For and -Proto, and -Host if the caller sent one; browsers send Origin
// with every POST.
// Source: https://learn.microsoft.com/aspnet/core/fundamentals/servers/yarp/transforms#x-forwarded
func isForwarded(h http.Header) bool {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Origin", "Sec-Fetch-Site"} {
		if _, set := h[name]; set {
			return true
		}
	}
	return false
}

// maxEnvelope is larger than any event of the host's timer, in bytes.
const maxEnvelope = 64 << 10

// serveTimer runs and answers with a JSON object. Without one the host would wait for
// functionTimeout and then kill the handler.
func (h *Housekeeper) serveTimer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxEnvelope))
	report, err := h.tidy(r.Context(), minInterval)
	status, log := http.StatusOK, report.String()
	if errors.Is(err, ErrTaken) {
		log, err = err.Error(), nil
		h.config.Log.Info("housekeeping was skipped", "cause", log)
	}
	if err != nil { // the cause may name tables and counters, so it goes to the log only
		status, log = http.StatusInternalServerError, log+"; some of it failed: see the log"
	}
	body, err := json.Marshal(struct {
		Outputs     struct{}
		Logs        []string
		ReturnValue Report
	}{Logs: []string{log}, ReturnValue: report})
	if err != nil {
		panic(err) // can't happen: numbers and strings always encode
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
