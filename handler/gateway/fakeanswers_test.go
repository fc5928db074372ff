package gateway_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
)

// These are pieces of answers.
const (
	thoughtEvent      = `data: {"choices":[{"index":0,"delta":{"reasoning_content":"Let me think of the hour."}}]}` + "\n\n"
	textEvent         = `data: {"choices":[{"index":0,"delta":{"content":"It is late \"now\"."}}]}` + "\n\n"
	stopEvent         = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	usageEvent        = `data: {"choices":[],"usage":{"prompt_tokens":25,"completion_tokens":75,"total_tokens":100}}` + "\n\n"
	stopAndUsageEvent = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":75,"total_tokens":100}}` + "\n\n"
	doneEvent         = "data: [DONE]\n\n"
	writtenText       = `Let me think of the hour.It is late "now".`
	contentString     = `"It is late \"now\"."`
	contentParts      = `[{"type":"text","text":"It is late "},{"type":"text","text":"\"now\"."}]`
	emptyAnswer       = `{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"length"}]}`
	errorEvent        = `data: {"error":{"message":"overloaded","code":"503"}}` + "\n\n"
	wholeAnswer       = `{"choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"Let me think of the hour.","content":"It is late \"now\"."},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":75,"total_tokens":100}}`
)

// events returns a model that streams text and then calls the functions.
func events(text string, then ...func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		answer(text, then...)(w, r)
	}
}

// answer returns a model that sends text and then calls the functions.
func answer(text string, then ...func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if text != "" || w.Header().Get("Content-Type") != "" {
			_, _ = io.WriteString(w, text)
			_ = http.NewResponseController(w).Flush()
		}
		for _, do := range then {
			do(w, r)
		}
	}
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// refusing returns a model that answers with a status, a body, and headers in pairs of name
// and value.
func refusing(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// withType returns a model that answers with this Content-Type, or without one if kind is empty.
func withType(kind, text string, then ...func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if w.Header()["Content-Type"] = nil; kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		answer(text, then...)(w, r)
	}
}

func withEncoding(encoding, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", encoding)
		events(text)(w, r)
	}
}

func zipped(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
	}
}

var (
	// longEvent is an event of 10 MB, all of it words, and image one of 1.5 MB without any.
	longEvent  = `data: {"choices":[{"index":0,"delta":{"content":"` + longText + `"}}]}` + "\n\n"
	longText   = strings.Repeat("word ", 2<<20)
	imageEvent = `data: {"choices":[{"index":0,"delta":{"images":[{"image_url":{"url":"data:image/png;base64,` + strings.Repeat("iVBORw0KGgo", 140_000) + `"}}]},"finish_reason":null}]}` + "\n\n"
)

// withoutPromptTokens makes usage that lacks the prompt's tokens.
var withoutPromptTokens = strings.NewReplacer(`"prompt_tokens":25`, `"prompt_tokens":0`, `"total_tokens":100`, `"total_tokens":75`)

// withLargerTotal makes usage whose completion tokens are too few for its total.
var withLargerTotal = strings.NewReplacer(`"prompt_tokens":25,"completion_tokens":75`, `"prompt_tokens":25,"completion_tokens":5`)
