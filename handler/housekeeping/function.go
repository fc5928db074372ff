package housekeeping

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// Path is where the Functions host POSTs the timer function: its folder's name.
const Path = "/housekeeping"

// Before has the host's timer start a run, and hands everything else on. It is
// for a gateway under the host, which alone has the handler's port: the host
// calls a function that has no HTTP trigger by itself. What comes from a caller
// comes through its proxy, and what comes from a page in a browser on the same
// machine says so; both get whatever next has to say to that path.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers
func (h *Housekeeper) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != Path || r.Method != http.MethodPost || foreign(r.Header) {
			next.ServeHTTP(w, r)
			return
		}
		h.serve(w, r)
	})
}

// foreign says whether a request is not the host's own. Its proxy sets
// X-Forwarded-For and -Proto always, and -Host where the caller named one;
// browsers send Origin with every POST.
// Source: https://learn.microsoft.com/aspnet/core/fundamentals/servers/yarp/transforms#x-forwarded
func foreign(h http.Header) bool {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Origin", "Sec-Fetch-Site"} {
		if _, there := h[name]; there {
			return true
		}
	}
	return false
}

// envelopeMax is more than the host has to say about a timer, in bytes.
const envelopeMax = 64 << 10

// serve answers as the host needs it: with a JSON object, or it waits until it
// kills the handler.
func (h *Housekeeper) serve(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, envelopeMax))
	report, err := h.run(r.Context(), shortest)
	status, log := http.StatusOK, report.String()
	if errors.Is(err, ErrTaken) {
		log, err = err.Error(), nil
		h.Log.Info("housekeeping was skipped", "cause", log)
	}
	if err != nil { // the cause is in the log, and may name tables and counters
		status, log = http.StatusInternalServerError, log+"; not all could be done: see the log"
	}
	body, err := json.Marshal(struct {
		Outputs     struct{}
		Logs        []string
		ReturnValue Report
	}{Logs: []string{log}, ReturnValue: report})
	if err != nil {
		panic(err) // numbers and texts always encode
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
