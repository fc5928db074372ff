package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// A trace is a call's place in a distributed trace.
// Source: https://www.w3.org/TR/trace-context/
type trace struct {
	id       string // 32 hexadecimal digits
	parent   string // the caller's span, 16 digits; empty if the trace begins here
	span     string // the call's own span
	upstream string // the span of the upstream request
	flags    string // 2 digits
}

// traceOf continues the caller's trace, or begins one.
func traceOf(h http.Header) trace {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	digits := hex.EncodeToString(random[:])
	t := trace{id: digits[:32], span: digits[32:48], upstream: digits[48:], flags: "01"}
	own := h.Get("Traceparent")
	if own == "" {
		return t
	}
	parts := strings.Split(own, "-")
	if len(parts) == 4 && parts[0] == "00" && isID(parts[1], 32) && isID(parts[2], 16) && isHex(parts[3], 2) {
		t.id, t.parent, t.flags = parts[1], parts[2], parts[3]
	}
	return t
}

// outbound returns the traceparent header to send upstream.
func (t trace) outbound() string { return "00-" + t.id + "-" + t.upstream + "-" + t.flags }

// isID reports whether a text is an id of the given length, not all zeros.
func isID(text string, digits int) bool {
	return isHex(text, digits) && strings.Trim(text, "0") != ""
}

func isHex(text string, digits int) bool {
	return len(text) == digits && strings.Trim(text, "0123456789abcdef") == ""
}
