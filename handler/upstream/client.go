package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// Timeouts bound what upstream, and the caller of a stream, may take.
type Timeouts struct {
	// Header bounds the wait for a streamed answer to begin.
	Header time.Duration
	// Whole bounds an answer that isn't streamed, from call to last byte.
	Whole time.Duration
	// Idle bounds upstream's silence within a stream.
	Idle time.Duration
	// KeepAlive is after how long without an event the caller of a stream gets
	// a comment, so that nothing on the way takes the connection for dead.
	// Negative: never.
	KeepAlive time.Duration
	// Write bounds how long the caller of a stream may take to accept an event.
	Write time.Duration
}

// DefaultTimeouts suit a model that thinks for minutes, behind a front end
// that gives up after 230 s without an answer, and a host that does after
// 240 s of silence.
var DefaultTimeouts = Timeouts{
	Header:    220 * time.Second,
	Whole:     225 * time.Second,
	Idle:      120 * time.Second,
	KeepAlive: 15 * time.Second,
	Write:     30 * time.Second,
}

// orDefault fills in what is 0.
func (t Timeouts) orDefault() Timeouts {
	or := func(value, fallback time.Duration) time.Duration {
		if value == 0 {
			return fallback
		}
		return value
	}
	return Timeouts{
		Header:    or(t.Header, DefaultTimeouts.Header),
		Whole:     or(t.Whole, DefaultTimeouts.Whole),
		Idle:      or(t.Idle, DefaultTimeouts.Idle),
		KeepAlive: or(t.KeepAlive, DefaultTimeouts.KeepAlive),
		Write:     or(t.Write, DefaultTimeouts.Write),
	}
}

// Client calls endpoints. Make one with New.
type Client struct {
	endpoints []*endpoint
	timeouts  Timeouts
	transport *http.Transport
	retries   budget
}

const (
	// maxIdle is how many connections to an endpoint stay open: as many as an
	// instance serves callers at once, so that none has to be made in a burst.
	maxIdle = 512
	// maxErrorBody is how much of a refusal's body is passed on, in bytes;
	// refusalWithin bounds the wait for it, as the call may go elsewhere.
	maxErrorBody  = 64 << 10
	refusalWithin = 2 * time.Second
)

// New makes a client, or reports every fault of the configuration. Timeouts of
// 0 are the default ones.
//
// It follows no redirects, which would carry credentials elsewhere, and heeds
// no proxy settings. It speaks HTTP/1.1, so that a connection that breaks takes
// one stream with it, not all.
func New(endpoints []Endpoint, timeouts Timeouts) (*Client, error) {
	c := &Client{timeouts: timeouts.orDefault(), retries: newBudget(), transport: &http.Transport{
		Proxy:               nil,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}}
	faults := Validate(endpoints)
	for i, configured := range endpoints {
		e := newEndpoint(configured.named(i))
		if e.Key.Empty() && e.Token == nil {
			faults = append(faults, fmt.Errorf("upstream %q: credential is missing, and no managed identity stands in for it", e.Name))
		}
		c.endpoints = append(c.endpoints, e)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

// CloseIdle closes the connections that no call uses.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }

// Target is the endpoint that a call's body is made for.
type Target struct {
	// Endpoint is its name.
	Endpoint string
	// Model is the name that the body must give the model, empty if the body's
	// own may stay, because the path names it.
	Model string
	// StreamOptions is whether a streamed call may carry stream_options.
	StreamOptions bool
}

// Call is one chat completion to be asked for.
type Call struct {
	// Model is the model as callers name it.
	Model string
	// Stream is whether the answer is asked for as a stream.
	Stream bool
	// Since is when the caller began to wait: the timeouts count from then. Zero
	// is now.
	Since time.Time
	// Body makes the body for the endpoint that is tried, in pieces that must not
	// change. It may be called again when that one fails, and neither is kept
	// once an answer has begun and the body is sent.
	Body func(Target) [][]byte
	// RequestID and Traceparent are passed on; a malformed traceparent isn't.
	RequestID, Traceparent string
	// ExtraParameters is the header of that name, which only endpoints of the
	// models shape are sent; empty: their default. What it asks for, the others do
	// where it is PassThrough, and only then.
	ExtraParameters string
}

// Send asks upstream and returns its answer once that has begun: a status of
// 200 and headers. The context's end cancels the call, also while the answer
// is read. The caller must Close the response.
//
// Of several endpoints that serve the model, those that work and haven't asked
// to be left alone are tried in order of priority until one answers, which is
// safe since nothing has reached the caller yet, within a budget of retries.
// The error is an *Error, *StatusError or *UnavailableError, or one of
// ErrModel and ErrExtraParameters.
func (c *Client) Send(ctx context.Context, call Call) (*Response, error) {
	candidates, err := c.candidates(&call)
	if err != nil {
		return nil, err
	}
	wait := c.timeouts.Whole
	if call.Stream {
		wait = c.timeouts.Header
	}
	since := call.Since
	if since.IsZero() {
		since = time.Now()
	}
	due := since.Add(c.timeouts.Whole)
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(time.Until(since.Add(wait)), func() { cancel(errLate) })
	answer, from, err := c.first(ctx, candidates, &call)
	if err == nil && call.Stream && !late.Stop() {
		answer.Body.Close()
		err = from.failure(ctx, TimedOut, errLate, true)
	}
	if err != nil {
		late.Stop()
		cancel(nil)
		return nil, err
	}
	return &Response{
		Header: visible(answer.Header), Target: from.target(&call),
		ctx: ctx, cancel: cancel, late: late, due: due, body: answer.Body, size: answer.ContentLength,
		endpoint: from, timeouts: &c.timeouts,
	}, nil
}

// Check says whether any endpoint could take the call. Its error is ErrModel
// or ErrExtraParameters.
func (c *Client) Check(call Call) error {
	_, err := c.candidates(&call)
	return err
}

// try asks one endpoint, and once more where it closed a connection that lay
// idle just when the call took it: that says nothing of the endpoint.
func (c *Client) try(ctx context.Context, e *endpoint, call *Call) (*http.Response, error) {
	answer, onTheWay, err := c.ask(ctx, e, call)
	if err != nil && onTheWay.closedIdle() {
		c.transport.CloseIdleConnections() // the others are as old
		answer, onTheWay, err = c.ask(ctx, e, call)
	}
	if err != nil {
		return nil, err
	}
	onTheWay.body.letGo()
	if answer.StatusCode == http.StatusOK && plain(answer) {
		return answer, nil
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode >= http.StatusBadRequest:
		return nil, e.refusal(answer)
	case answer.StatusCode != http.StatusOK:
		return nil, &Error{e.Name, Junk, fmt.Errorf("answered %d", answer.StatusCode), true}
	}
	return nil, &Error{e.Name, Junk, errors.New("compressed its answer although told not to"), true}
}

// ask sends an endpoint one request. The error is an *Error.
func (c *Client) ask(ctx context.Context, e *endpoint, call *Call) (*http.Response, *passage, error) {
	onTheWay := &passage{body: &payload{pieces: call.Body(e.target(call))}}
	request, err := e.request(httptrace.WithClientTrace(ctx, onTheWay.trace()), call, onTheWay.body)
	if err != nil {
		return nil, onTheWay, e.failure(ctx, NoCredential, err, false)
	}
	answer, err := c.transport.RoundTrip(request)
	if err != nil {
		failed := e.failure(ctx, Unreachable, unquoted(err), onTheWay.sent.Load())
		onTheWay.broke = failed.Reason == Unreachable
		return nil, onTheWay, failed
	}
	return answer, onTheWay, nil
}

// plain is whether an answer's body is as it will be read.
func plain(answer *http.Response) bool {
	encoding := answer.Header.Get("Content-Encoding")
	return encoding == "" || strings.EqualFold(encoding, "identity")
}

func (e *endpoint) refusal(answer *http.Response) *StatusError {
	refused := &StatusError{
		Endpoint: e.Name, Status: answer.StatusCode,
		Header: visible(answer.Header), RetryAfter: retryAfter(answer.Header, time.Now()),
	}
	if plain(answer) { // what came is passed on, even if the rest didn't
		late := time.AfterFunc(refusalWithin, func() { _ = answer.Body.Close() }) // which ends the reading
		defer late.Stop()
		refused.Body, _ = io.ReadAll(io.LimitReader(answer.Body, maxErrorBody))
	}
	return refused
}

// request makes the request of a call.
func (e *endpoint) request(ctx context.Context, call *Call, body *payload) (*http.Request, error) {
	opened, err := body.open()
	if err != nil {
		return nil, err
	}
	request := (&http.Request{
		Method: http.MethodPost, URL: e.addresses[e.pathName(call.Model)], Header: call.header(e.Shape),
		ContentLength: body.size(), Body: opened,
		GetBody: body.open, // lets the transport send again what a closing connection refused
	}).WithContext(ctx)
	if !e.Key.Empty() {
		request.Header["Api-Key"] = []string{e.Key.Reveal()}
		return request, nil
	}
	token, err := e.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("get a token: %w", err)
	}
	request.Header["Authorization"] = []string{"Bearer " + token}
	return request, nil
}
