package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Timeouts bound what an upstream may take.
type Timeouts struct {
	// Header bounds the wait for an answer to begin, which for an answer that
	// isn't streamed is nearly all of it.
	Header time.Duration
	// Idle bounds the silence within an answer.
	Idle time.Duration
	// KeepAlive is how long a stream may be silent before the caller gets a
	// comment that keeps the connection open.
	KeepAlive time.Duration
	// Write bounds how long a caller may take to accept what it is sent.
	Write time.Duration
}

// Client calls one endpoint. Make one with New.
type Client struct {
	endpoint  Endpoint
	timeouts  Timeouts
	transport *http.Transport
}

// maxIdle is how many connections to the endpoint stay open: as many as an
// instance serves callers at once, so that none has to be made in a burst.
const maxIdle = 512

// New makes a client. It follows no redirects, heeds no proxy settings and asks
// for no compression, which would hide usage.
func New(endpoint Endpoint, timeouts Timeouts) *Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return &Client{endpoint: endpoint, timeouts: timeouts, transport: &http.Transport{
		Proxy:                 nil,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConns:          maxIdle,
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true,
		ExpectContinueTimeout: time.Second,
	}}
}

// Endpoint is what the client calls.
func (c *Client) Endpoint() *Endpoint { return &c.endpoint }

// Call is one chat completion to be asked for.
type Call struct {
	Model  string // as callers name it
	Body   []byte
	Header http.Header // the caller's: what is on the allowlist is passed on
}

// passed are the caller's headers that upstream gets. All others stay here:
// keys and cookies, addresses, and what a proxy on the way might act upon.
var passed = []string{"Accept", "Traceparent", "Tracestate", "X-Request-Id"}

// ErrTimeout says that upstream did not begin to answer in time; ErrEncoding
// that it compressed its answer although it was told not to; ErrTooLarge that
// the answer was longer than MaxBody.
var (
	ErrTimeout  = errors.New("upstream did not answer in time")
	ErrEncoding = errors.New("upstream compressed its answer")
	ErrTooLarge = errors.New("upstream's answer is too large")
)

// MaxBody is the largest answer that isn't streamed, in bytes.
const MaxBody = 16 << 20

// Response is an answer whose head has come.
type Response struct {
	Status int
	Header http.Header
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	due    time.Time // when an answer that isn't streamed must be whole
	client *Client
}

// Send asks upstream. The context's end cancels the call, also while the
// answer is read. The caller closes the response.
func (c *Client) Send(ctx context.Context, call Call) (*Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	due := time.Now().Add(c.timeouts.Header)
	response, err := c.send(ctx, cancel, call)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, ErrTimeout) {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	response.due = due
	return response, nil
}

func (c *Client) send(ctx context.Context, cancel context.CancelCauseFunc, call Call) (*Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.address(call.Model), bytes.NewReader(call.Body))
	if err != nil {
		return nil, fmt.Errorf("call upstream: %w", err)
	}
	for _, name := range passed {
		if value := call.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	if extra := call.Header.Get("Extra-Parameters"); extra != "" && c.endpoint.Shape == Models {
		request.Header.Set("Extra-Parameters", extra)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "tollgate")
	if err := c.endpoint.authorize(request); err != nil {
		return nil, err
	}
	late := time.AfterFunc(c.timeouts.Header, func() { cancel(ErrTimeout) })
	defer late.Stop()
	answer, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("call upstream: %w", err)
	}
	if !late.Stop() {
		answer.Body.Close()
		return nil, ErrTimeout
	}
	r := &Response{Status: answer.StatusCode, Header: answer.Header, ctx: ctx, cancel: cancel, body: answer.Body, client: c}
	if encoding := answer.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		r.Close()
		return nil, ErrEncoding
	}
	return r, nil
}

// Close ends the call, whether or not its answer was read to the end.
func (r *Response) Close() {
	_ = r.body.Close()
	r.cancel(nil)
}

// Body reads an answer that isn't streamed. With an error comes what had been read.
func (r *Response) Body() ([]byte, error) {
	watch := time.AfterFunc(time.Until(r.due), func() { r.cancel(ErrTimeout) })
	defer watch.Stop()
	body, err := io.ReadAll(io.LimitReader(r.body, MaxBody+1))
	switch {
	case len(body) > MaxBody:
		return body[:MaxBody], ErrTooLarge
	case errors.Is(context.Cause(r.ctx), ErrTimeout):
		return body, ErrTimeout
	case err != nil:
		return body, fmt.Errorf("read upstream's answer: %w", err)
	}
	return body, nil
}

// returned are the answer's headers that the caller gets. Upstream's own
// limits, which all callers share, its cookies and its identity stay here.
var returned = []string{"Content-Type", "Cache-Control", "Retry-After", "Retry-After-Ms", "X-Ms-Error-Code", "Apim-Request-Id"}

// CopyHeader puts what the caller may see of the answer's header into h.
func (r *Response) CopyHeader(h http.Header) {
	for _, name := range returned {
		if values := r.Header[http.CanonicalHeaderKey(name)]; len(values) > 0 {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
}

// CloseIdle closes connections that no call uses.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }
