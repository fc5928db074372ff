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

// A Webhook is where alerts are posted. The zero Webhook gets none.
type Webhook struct {
	// URL is an https address, or an http address of this machine. It may hold a secret.
	URL secret.Text
	// Secret signs what is posted.
	Secret secret.Text
}

// MinSecretLength is how long a Webhook's Secret must be at least, in bytes.
const MinSecretLength = 32

// HeaderSignature holds the time of the attempt, in seconds since 1970, and the signature:
// t=1764416828,v1=5257a8…
const HeaderSignature = "X-Tollgate-Signature"

// Sign returns a request's signature: HMAC-SHA-256 over the time of the attempt, a point and
// the body, with the time, as HeaderSignature holds them.
func Sign(key secret.Text, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// attemptTimeout bounds one attempt to post.
const attemptTimeout = 10 * time.Second

// newTransport returns the webhook's connections. It uses no proxy.
func newTransport() http.RoundTripper {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConns:           1,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
	}
}

// A failure is an attempt that the webhook didn't take.
type failure struct {
	cause error // says nothing of the URL
	final bool  // another attempt would fail too
	wait  time.Duration
}

// post makes one attempt. A transport follows no redirects, and its errors don't contain
// the URL. It returns nil once the webhook has taken the alert.
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
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10) // so that the connection can be used again
	status := response.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	return &failure{cause: fmt.Errorf("the webhook answered %d", status), final: !temporary(status), wait: azure.RetryAfter(response.Header, time.Now())}
}

// temporary reports whether a later attempt may succeed where this was the status.
func temporary(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}
