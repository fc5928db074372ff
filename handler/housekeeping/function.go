package housekeeping

import (
	"encoding/json"
	"io"
	"net/http"
)

// Path is where the Functions host POSTs the timer function: its folder's name.
const Path = "/housekeeping"

// Before has the host's timer start a run, and hands everything else on. The
// host calls a function that has no HTTP trigger by itself; what comes from a
// caller comes through its proxy, which always sets X-Forwarded-Host, and gets
// whatever next has to say to that path.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers
func (h *Housekeeper) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, proxied := r.Header["X-Forwarded-Host"]
		if r.URL.Path != Path || r.Method != http.MethodPost || proxied {
			next.ServeHTTP(w, r)
			return
		}
		h.serve(w, r)
	})
}

// envelopeMax is more than the host has to say about a timer, in bytes.
const envelopeMax = 64 << 10

// serve answers as the host needs it: with a JSON object, or it waits until it
// kills the handler.
func (h *Housekeeper) serve(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, envelopeMax))
	report, err := h.Run(r.Context())
	status, log := http.StatusOK, report.String()
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
