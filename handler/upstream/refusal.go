package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// maxErrorBody is how much of a refusal's body is read, in bytes; refusalWithin
	// bounds the wait for it, as the call may go elsewhere.
	maxErrorBody  = 64 << 10
	refusalWithin = 2 * time.Second
)

// refusal is the error that an answer with a status of 400 or more is.
func (a *answer) refusal(endpoint string) *StatusError {
	refused := &StatusError{
		Endpoint: endpoint, Status: a.StatusCode,
		Header: visible(a.Header), RetryAfter: retryAfter(a.Header, time.Now()),
	}
	delete(refused.Header, "Content-Type")
	if !compressed(a.Header) {
		late := time.AfterFunc(refusalWithin, func() { _ = a.Body.Close() }) // which ends the reading
		defer late.Stop()
		body, _ := io.ReadAll(io.LimitReader(a.Body, maxErrorBody+1)) // what breaks off is no JSON
		refused.Body = readable(body, a.secret)
	}
	return refused
}

// readable is an error's body as callers may see it, without the endpoint's
// credential. What isn't a JSON object or array, such as a page of HTML, is nothing
// for them, nor is JSON that has the credential in another spelling.
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
		if err != nil || len(secret) >= leastSecret && strings.Contains(text, secret) {
			return nil
		}
	}
}

// leastSecret is from how many bytes a credential is one: a shorter one stands for
// none, and its letters are in any text.
const leastSecret = 8

// scrub takes a credential out of a text that upstream wrote.
func scrub(text []byte, secret string) []byte {
	if len(secret) < leastSecret || !bytes.Contains(text, []byte(secret)) {
		return text
	}
	return bytes.ReplaceAll(text, []byte(secret), []byte("(secret)"))
}

// compressed is whether an answer's body is compressed. Some servers name what
// isn't a compression, against buffering on the way or by mistake: none, utf-8. Of
// a name that is unknown here, the body says more than the name.
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
