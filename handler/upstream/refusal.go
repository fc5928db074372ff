package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"tollgate/handler/azure"
)

const (
	// maxErrorBody is the most that is read of a refusal's body, in bytes, and
	// refusalWithin the longest wait for it, as another endpoint may take the call.
	maxErrorBody = 64 << 10
	maxErrorWait = 2 * time.Second
)

// refusal returns the error for an answer with a status of 400 or more.
func (a *answer) refusal(endpoint string) *StatusError {
	refused := &StatusError{
		Endpoint: endpoint, Status: a.StatusCode,
		Header: visible(a.Header), RetryAfter: azure.RetryAfter(a.Header, time.Now()),
	}
	delete(refused.Header, "Content-Type")
	if !compressed(a.Header) {
		late := time.AfterFunc(maxErrorWait, func() { _ = a.Body.Close() }) // ends ReadAll
		defer late.Stop()
		body, _ := io.ReadAll(io.LimitReader(a.Body, maxErrorBody+1)) // a body that breaks off isn't JSON
		refused.Body = readable(body, a.secret)
	}
	return refused
}

// readable returns the part of an error's body that callers may see: a JSON object
// or array without the endpoint's credential. It returns nil for anything else,
// such as HTML, and for JSON that spells the credential with escapes.
func readable(body []byte, secret string) []byte {
	body = bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))
	first := bytes.TrimLeft(body, " \t\r\n")
	if len(first) == 0 || first[0] != '{' && first[0] != '[' || len(body) > maxErrorBody || !json.Valid(body) {
		return nil
	}
	body = scrub(body, secret)
	for words := json.NewDecoder(bytes.NewReader(body)); ; {
		word, err := words.Token()
		if errors.Is(err, io.EOF) {
			return body
		}
		text, _ := word.(string)
		if err != nil || len(secret) >= minSecret && strings.Contains(text, secret) {
			return nil
		}
	}
}

// minSecret is the length of the shortest credential that is removed from texts, in bytes.
// A shorter one is a placeholder, and may occur in any text by chance.
const minSecret = 8

// scrub removes a credential from a text that upstream wrote.
func scrub(text []byte, secret string) []byte {
	if len(secret) < minSecret || !bytes.Contains(text, []byte(secret)) {
		return text
	}
	return bytes.ReplaceAll(text, []byte(secret), []byte("(secret)"))
}

// compressed reports whether an answer's body is compressed, by a list of known
// encodings. Some servers send names that aren't compressions, such as none or
// utf-8, by mistake or to prevent buffering; the body is then read as it is.
func compressed(h http.Header) bool {
	for _, value := range h["Content-Encoding"] {
		for name := range strings.SplitSeq(value, ",") {
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip", "br", "deflate", "zstd", "compress", "x-compress", "dcb", "dcz":
				return true
			}
		}
	}
	return false
}
