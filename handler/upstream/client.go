package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"tollgate/handler/shape"
)

// Timeouts bound how long upstream may take, and the caller of a stream.
type Timeouts struct {
	// Header bounds the wait for a streamed answer to begin.
	Header time.Duration
	// Whole bounds an answer that isn't streamed, from the call to the last byte.
	Whole time.Duration
	// Idle bounds upstream's silence within a stream.
	Idle time.Duration
	// KeepAlive is the time without an event after which the caller of a stream is sent
	// a comment, which keeps proxies on the way from closing the connection. Negative
	// means never.
	KeepAlive time.Duration
	// Write bounds how long the caller of a stream may take to accept an event.
	Write time.Duration
}

// DefaultTimeouts suits a model that thinks for minutes, behind a front end that
// gives up after 230 s without an answer and a host that gives up after 240 s of
// silence.
var DefaultTimeouts = Timeouts{
	Header:    220 * time.Second,
	Whole:     225 * time.Second,
	Idle:      120 * time.Second,
	KeepAlive: 15 * time.Second,
	Write:     30 * time.Second,
}

// orDefault replaces timeouts of 0 by the default ones.
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
	endpoints []*validEndpoint
	timeouts  Timeouts
	dial      func(ctx context.Context, network, address string) (net.Conn, error)

	mu          sync.Mutex
	deployments map[place]*deployment // added on the first call for each
}

// validEndpoint is a valid Endpoint with every default filled in.
type validEndpoint struct{ Endpoint }

// place identifies a deployment: an endpoint, and a model by the endpoint's name.
type place struct {
	endpoint *validEndpoint
	model    Model
}

// maxIdle is the number of idle connections kept open to a deployment: as many as
// an instance serves callers at once, so that a burst needs no new ones.
const maxIdle = 512

// New returns a client, or an error that lists every fault of the configuration.
// Timeouts of 0 are replaced by the default ones.
//
// The client follows no redirects, which would carry credentials elsewhere, and
// ignores proxy settings. It speaks HTTP/1.1, so that a broken connection ends one
// stream and not all of them.
func New(endpoints []Endpoint, timeouts Timeouts) (*Client, error) {
	c := &Client{timeouts: timeouts.orDefault(), dial: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, deployments: make(map[place]*deployment)}
	faults := Validate(endpoints)
	for i, configured := range endpoints {
		e := &validEndpoint{configured.withName(i).withDefaults()}
		if e.Key.Empty() && e.Token == nil {
			faults = append(faults, fmt.Errorf("upstream %q: credential is missing: set its key, or let it use a managed identity", e.Name))
		}
		c.endpoints = append(c.endpoints, e)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

// CloseIdle closes idle connections.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.deployments {
		d.transport.CloseIdleConnections()
	}
}

// deployment returns the deployment of a model at an endpoint, and adds it on the
// first call for it. model is the endpoint's own name for the model.
func (c *Client) deployment(e *validEndpoint, model Model) *deployment {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := place{e, model}
	d := c.deployments[at]
	if d == nil {
		d = newDeployment(e, model, &http.Transport{
			Proxy:               nil,
			DialContext:         c.dial,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: maxIdle,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		})
		c.deployments[at] = d
	}
	return d
}

// Target describes the endpoint that a call's body is made for.
type Target struct {
	// Endpoint is the endpoint's name.
	Endpoint string
	// Model is the model's name to put into the body. If empty, the body may keep
	// its own, because the endpoint reads the name from the path.
	Model string
	// Answers is the model that answers the call there.
	Answers Model
	// StreamOptions reports whether a streamed call may carry stream_options.
	StreamOptions bool
}

// A Call is a request to a model.
type Call struct {
	Selection
	Request
	// Since is the time at which the caller began to wait, from which the timeouts
	// count. Zero means now.
	Since time.Time
	// BodyDone, if set, is called once no other endpoint will be asked, so that the body
	// is no longer needed.
	BodyDone func()
	// Failed, if set, is called with each endpoint's error, and reports whether another
	// endpoint may be asked.
	Failed func(error) bool
	// Rest, if set, lets a call that an endpoint is working on continue there after ctx
	// has ended or the time has run out. If no answer has begun by then, Rest is called
	// with the rest of the call; otherwise Response.Rest returns it.
	Rest func(*Rest)

	callState
}

// A Selection decides which endpoints a call may go to, and in which order.
type Selection struct {
	// Model is the model's name in the caller's request.
	Model string
	// Subscription identifies the caller. Among the endpoints of one priority, the calls
	// of one subscription for a model go to the same endpoint first, which has their
	// prompts in its cache. If it is empty, the order is random.
	Subscription string
	// Endpoint, if set, is the name of the only endpoint that may be asked, because it
	// stores what the call refers to.
	Endpoint string
	// Path returns the path at endpoints of a shape, below their URL, with "{name}" in
	// place of the endpoint's name for the model. It returns an empty string for a shape
	// that doesn't serve the call. Only Targets accepts nil, for calls of any shape.
	Path func(shape.Shape) string
	// ExtraParameters is the value of the header extra-parameters, empty if there is
	// none. It is sent only to endpoints of the models shape. The others always behave as
	// with PassThrough, and so serve no call with another value.
	ExtraParameters string
}

// A Request holds what is sent to an endpoint.
type Request struct {
	// Method is the HTTP method, POST if it is empty. Query is sent in addition to
	// api-version.
	Method, Query string
	// Header holds those of the caller's headers that are sent to the endpoint.
	Header http.Header
	// Stream asks for the answer as a stream.
	Stream bool
	// Body makes the body for the endpoint about to be tried, in pieces that must not
	// change. It is nil for a call without a body. It may be called again for another
	// endpoint. The client drops Body and the pieces once an answer has begun and the
	// body has been sent.
	Body func(Target) [][]byte
	// RequestID and Traceparent are sent to the endpoint unless they are empty.
	RequestID, Traceparent string
}

// callState is the state of a call that Send has begun.
type callState struct {
	requestCtx context.Context // of requests; ends with Send's, unless the call continues
	stop       context.CancelFunc
	continues  bool // Rest was called
}

// Send calls upstream and returns the answer once its headers have arrived with status
// 200. When ctx ends, so does the call, even while its answer is being read. The caller
// must Close the response.
//
// If several endpoints serve the model, Send tries those that aren't paused, in order of
// priority, until one answers, within a budget of retries. That is safe because nothing
// has reached the caller yet.
// The error is an *Error, *StatusError or *UnavailableError, or one of
// ErrModel, ErrEndpoint, ErrOperation and ErrExtraParameters.
func (c *Client) Send(ctx context.Context, call Call) (*Response, error) {
	candidates, err := c.candidates(call.Selection)
	if err != nil {
		return nil, err
	}
	if call.Since.IsZero() {
		call.Since = time.Now()
	}
	r := &round{client: c, ctx: ctx, call: &call, untried: order(candidates, call.Selection), only: len(candidates) == 1}
	return r.send()
}

// send returns the next answer of a round.
func (r *round) send() (*Response, error) {
	timeouts, call := &r.client.timeouts, r.call
	wait := timeouts.Whole
	if call.Stream {
		wait = timeouts.Header
	}
	ctx, cancel := context.WithCancelCause(r.ctx)
	late := time.AfterFunc(time.Until(call.Since.Add(wait)), func() { cancel(errLate) })
	call.requestCtx, call.stop = ctx, func() {}
	if call.Rest != nil {
		call.requestCtx, call.stop = context.WithCancel(context.WithoutCancel(ctx))
	}
	got, err := r.next(ctx)
	if err == nil && call.Stream && !late.Stop() {
		err = got.from.errorFor(ctx, TimedOut, errLate, true)
		if call.Rest != nil {
			call.continues = true
			call.Rest(&Rest{got.pump, call.stop})
		} else {
			got.Body.Close()
		}
	}
	if err != nil {
		late.Stop()
		cancel(nil)
		if !call.continues {
			call.stop()
		}
		return nil, err
	}
	response := &Response{
		Header: visible(got.Header), Target: got.from.target(call.Selection),
		ctx: ctx, cancel: cancel, late: late, due: call.Since.Add(timeouts.Whole), size: got.ContentLength,
		answer: got, round: r, timeouts: timeouts, stop: call.stop,
	}
	if len(r.untried) == 0 {
		response.releaseBody()
	}
	return response, nil
}

// Targets returns all endpoints that a selection allows, whatever their state, in the
// order in which Send tries them. The error is ErrModel, ErrEndpoint, ErrOperation or
// ErrExtraParameters.
func (c *Client) Targets(selection Selection) ([]Target, error) {
	candidates, err := c.candidates(selection)
	if err != nil {
		return nil, err
	}
	targets := make([]Target, len(candidates))
	for i, d := range order(candidates, selection) {
		targets[i] = d.target(selection)
	}
	return targets, nil
}

// try calls the deployment. It tries again if it got an idle connection that the
// deployment was just closing, since that isn't a failure.
func (d *deployment) try(ctx context.Context, call *Call) (*answer, error) {
	got, a, err := d.ask(ctx, call)
	if err != nil && a.closedIdle() {
		d.transport.CloseIdleConnections() // the other idle connections are as old
		got, a, err = d.ask(ctx, call)
	}
	if err != nil {
		return nil, err
	}
	a.body.release()
	if got.StatusCode == http.StatusOK && !compressed(got.Header) {
		return got, nil
	}
	defer got.Body.Close()
	switch {
	case got.StatusCode >= http.StatusBadRequest:
		return nil, got.refusal(d.Name)
	case got.StatusCode != http.StatusOK:
		return nil, &Error{d.Name, BadAnswer, fmt.Errorf("answered %d", got.StatusCode), true}
	}
	return nil, &Error{d.Name, BadAnswer, errors.New("compressed its answer although the request asked for identity"), true}
}

// ask sends one request to the deployment. The error is an *Error.
func (d *deployment) ask(ctx context.Context, call *Call) (*answer, *attempt, error) {
	a := &attempt{writeDone: make(chan struct{})}
	if call.Body != nil {
		a.body.pieces = call.Body(d.target(call.Selection))
	}
	request, secret, err := d.request(ctx, call, a)
	if err != nil {
		return nil, a, d.errorFor(ctx, NoCredential, err, false)
	}
	got, pending := &answer{secret: secret}, false
	if call.Rest == nil {
		got.Response, err = d.transport.RoundTrip(request)
	} else {
		got.pump = newPump(ctx, d.transport, request)
		got.Response, pending, err = got.pump.answer(ctx)
	}
	if err == nil {
		return got, a, nil
	}
	failed := d.errorFor(ctx, Unreachable, unquoted(err), a.accepted())
	a.broke = failed.Reason == Unreachable
	switch {
	case !pending:
	case failed.Accepted:
		call.continues = true
		call.Rest(&Rest{got.pump, call.stop})
	default:
		(&Rest{got.pump, call.stop}).Close()
	}
	return nil, a, failed
}

// target describes the deployment to the function that makes a call's body.
func (d *deployment) target(selection Selection) Target {
	t := Target{Endpoint: d.Name, Answers: d.model, StreamOptions: *d.StreamOptions}
	if selection.Path == nil || !strings.Contains(selection.Path(d.Shape), nameInPath) {
		t.Model = d.model.Name
	}
	return t
}

// request makes the request of an attempt and returns it with the credential it carries.
// ctx ends the wait for a credential.
func (d *deployment) request(ctx context.Context, call *Call, a *attempt) (request *http.Request, secret string, err error) {
	opened, err := a.body.open()
	if err != nil {
		return nil, "", err
	}
	address, err := d.address(call.Path(d.Shape), d.model.Name, call.Query)
	if err != nil {
		return nil, "", err
	}
	request = (&http.Request{
		Method: cmp.Or(call.Method, http.MethodPost), URL: address, Header: call.header(d.Shape),
		ContentLength: a.body.size(), Body: opened,
		GetBody: a.body.open, // lets the transport retry after a connection that was closing
	}).WithContext(httptrace.WithClientTrace(call.requestCtx, a.trace()))
	if request.ContentLength == 0 {
		request.Body, request.GetBody = http.NoBody, nil
	}
	if !d.Key.Empty() {
		secret = d.Key.Reveal()
		request.Header[d.keyHeader()] = []string{secret}
		return request, secret, nil
	}
	if secret, err = d.Token(ctx); err != nil {
		return nil, "", fmt.Errorf("get a token: %w", err)
	}
	request.Header["Authorization"] = []string{"Bearer " + secret}
	return request, secret, nil
}
