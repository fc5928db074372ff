package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"tollgate/handler/azure"
	"tollgate/handler/secret"
)

// A Webhook is an address to which alerts are posted. The zero Webhook is none.
type Webhook struct {
	// URL is an https address, or an http address of this machine. It may contain a secret.
	URL secret.Text
	// Secret is the key that signs each request; see Sign.
	Secret secret.Text
}

// MinSecretLength is the minimum length of a Webhook's Secret, in bytes.
const MinSecretLength = 32

// HeaderSignature is the header with the time of the attempt, in seconds since 1970, and the
// signature: t=1764416828,v1=5257a8…
const HeaderSignature = "X-Tollgate-Signature"

// Sign returns the value of HeaderSignature for a body posted at a time. The signature is an
// HMAC-SHA-256 of the time, a dot and the body.
func Sign(key secret.Text, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// attemptTimeout bounds one attempt to post.
const attemptTimeout = 10 * time.Second

// newTransport returns a transport for the webhook's requests. It uses no proxy.
func newTransport() http.RoundTripper {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConns:           1,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
	}
}

// A failure says why an attempt failed.
type failure struct {
	cause error         // doesn't contain the URL
	final bool          // another attempt would fail too
	wait  time.Duration // the webhook's Retry-After; 0: none
}

// post makes one attempt, and returns nil if the webhook accepts the alert. A transport
// follows no redirects, and its errors don't contain the URL.
func (w Webhook) post(ctx context.Context, transport http.RoundTripper, body []byte) *failure {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return &failure{cause: errors.New("ALERT_WEBHOOK_URL is not an address"), final: true}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "tollgate")
	request.Header.Set(HeaderSignature, Sign(w.Secret, time.Now(), body))
	response, err := transport.RoundTrip(request)
	if err != nil {
		return &failure{cause: err}
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10) // so that the connection can be reused
	status := response.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	return &failure{cause: fmt.Errorf("the webhook answered %d", status), final: !temporary(status), wait: azure.RetryAfter(response.Header, time.Now())}
}

// temporary reports whether another attempt may succeed after one with this status.
func temporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}
