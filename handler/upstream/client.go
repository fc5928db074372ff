package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
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
	dial      func(ctx context.Context, network, address string) (net.Conn, error)

	mu          sync.Mutex
	deployments map[place]*deployment // by where they are, as calls come for them
}

// endpoint is an Endpoint without fault, and all of it filled in.
type endpoint struct{ Endpoint }

// place is where a deployment is: an endpoint, and its name for the model.
type place struct {
	endpoint *endpoint
	model    Model
}

// maxIdle is how many connections to a deployment stay open: as many as an
// instance serves callers at once, so that none has to be made in a burst.
const maxIdle = 512

// New makes a client, or reports every fault of the configuration. Timeouts of
// 0 are the default ones.
//
// It follows no redirects, which would carry credentials elsewhere, and heeds
// no proxy settings. It speaks HTTP/1.1, so that a connection that breaks takes
// one stream with it, not all.
func New(endpoints []Endpoint, timeouts Timeouts) (*Client, error) {
	c := &Client{timeouts: timeouts.orDefault(), dial: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, deployments: make(map[place]*deployment)}
	faults := Validate(endpoints)
	for i, configured := range endpoints {
		e := &endpoint{configured.named(i).normal()}
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
func (c *Client) CloseIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.deployments {
		d.transport.CloseIdleConnections()
	}
}

// deployment is an endpoint's model as the endpoint knows it. There are as many
// as models that calls are made for.
func (c *Client) deployment(e *endpoint, model Model) *deployment {
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

// Target is the endpoint that a call's body is made for.
type Target struct {
	// Endpoint is its name.
	Endpoint string
	// Model is the name that the body must give the model, empty if the body's
	// own may stay, because the path names it.
	Model string
	// Answers is the model that answers there.
	Answers Model
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
	// LetGo is called when an answer has come after which no other endpoint will be
	// asked, and the body isn't needed any more; nil: nobody needs to know.
	LetGo func()
	// Rest, if set, has a call that an endpoint is at work on go on there when ctx
	// ends or the time runs out, and is given what remains of it where no answer
	// has begun; Response.Rest is what remains of one that has.
	Rest func(*Rest)
	// RequestID and Traceparent are passed on; a malformed traceparent isn't.
	RequestID, Traceparent string
	// ExtraParameters is the header of that name, which only endpoints of the
	// models shape are sent; empty: their default. What it asks for, the others do
	// where it is PassThrough, and only then.
	ExtraParameters string

	work   context.Context // of requests; ends with Send's, unless the call goes on
	stop   context.CancelFunc
	goesOn bool // Rest was called
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
	if call.Since.IsZero() {
		call.Since = time.Now()
	}
	r := &round{client: c, ctx: ctx, call: &call, left: shuffle(candidates), only: len(candidates) == 1}
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
	call.work, call.stop = ctx, func() {}
	if call.Rest != nil {
		call.work, call.stop = context.WithCancel(context.WithoutCancel(ctx))
	}
	got, err := r.next(ctx)
	if err == nil && call.Rest != nil {
		got.pump = newPump(ctx, got.Body)
		got.Body = got.pump
	}
	if err == nil && call.Stream && !late.Stop() {
		err = got.from.failure(ctx, TimedOut, errLate, true)
		if call.Rest != nil {
			call.goesOn = true
			call.Rest(&Rest{body: got.pump, stop: call.stop})
		} else {
			got.Body.Close()
		}
	}
	if err != nil {
		late.Stop()
		cancel(nil)
		if !call.goesOn {
			call.stop()
		}
		return nil, err
	}
	response := &Response{
		Header: visible(got.Header), Target: got.from.target(),
		ctx: ctx, cancel: cancel, late: late, due: call.Since.Add(timeouts.Whole), size: got.ContentLength,
		answer: got, round: r, timeouts: timeouts, stop: call.stop,
	}
	if len(r.left) == 0 {
		response.over()
	}
	return response, nil
}

// Targets are all endpoints that could take the call, the preferred first,
// whatever their state. Its error is ErrModel or ErrExtraParameters.
func (c *Client) Targets(call Call) ([]Target, error) {
	candidates, err := c.candidates(&call)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(candidates, func(a, b *deployment) int { return a.Priority - b.Priority })
	targets := make([]Target, len(candidates))
	for i, d := range candidates {
		targets[i] = d.target()
	}
	return targets, nil
}

// try asks the deployment, and once more where it closed a connection that lay
// idle just when the call took it: that says nothing of the deployment.
func (d *deployment) try(ctx context.Context, call *Call) (*answer, error) {
	got, onTheWay, err := d.ask(ctx, call)
	if err != nil && onTheWay.closedIdle() {
		d.transport.CloseIdleConnections() // the others are as old
		got, onTheWay, err = d.ask(ctx, call)
	}
	if err != nil {
		return nil, err
	}
	onTheWay.body.letGo()
	if got.StatusCode == http.StatusOK && !compressed(got.Header) {
		return got, nil
	}
	defer got.Body.Close()
	switch {
	case got.StatusCode >= http.StatusBadRequest:
		return nil, got.refusal(d.Name)
	case got.StatusCode != http.StatusOK:
		return nil, &Error{d.Name, Junk, fmt.Errorf("answered %d", got.StatusCode), true}
	}
	return nil, &Error{d.Name, Junk, errors.New("compressed its answer although told not to"), true}
}

// ask sends the deployment one request. The error is an *Error.
func (d *deployment) ask(ctx context.Context, call *Call) (*answer, *passage, error) {
	onTheWay := &passage{wrote: make(chan struct{}), body: &payload{pieces: call.Body(d.target())}}
	request, secret, err := d.request(ctx, call, onTheWay.body)
	if err != nil {
		return nil, onTheWay, d.failure(ctx, NoCredential, err, false)
	}
	request = request.WithContext(httptrace.WithClientTrace(call.work, onTheWay.trace()))
	got, pending, err := d.roundTrip(ctx, request, call.Rest != nil)
	if err != nil {
		failed := d.failure(ctx, Unreachable, unquoted(err), onTheWay.accepted())
		onTheWay.broke = failed.Reason == Unreachable
		switch rest := (&Rest{pending: pending, stop: call.stop}); {
		case pending == nil:
		case failed.Accepted:
			call.goesOn = true
			call.Rest(rest)
		default:
			rest.Close()
		}
		return nil, onTheWay, failed
	}
	return &answer{Response: got, secret: secret}, onTheWay, nil
}

// target is what the deployment wants of a call's body.
func (d *deployment) target() Target {
	t := Target{Endpoint: d.Name, Answers: d.model, StreamOptions: *d.StreamOptions}
	if d.Shape != Deployments {
		t.Model = d.model.Name
	}
	return t
}

// request makes the request of a call, and says which credential it carries.
func (d *deployment) request(ctx context.Context, call *Call, body *payload) (request *http.Request, secret string, err error) {
	opened, err := body.open()
	if err != nil {
		return nil, "", err
	}
	request = (&http.Request{
		Method: http.MethodPost, URL: d.address, Header: call.header(d.Shape),
		ContentLength: body.size(), Body: opened,
		GetBody: body.open, // lets the transport send again what a closing connection refused
	}).WithContext(ctx)
	if !d.Key.Empty() {
		secret = d.Key.Reveal()
		request.Header["Api-Key"] = []string{secret}
		return request, secret, nil
	}
	if secret, err = d.Token(ctx); err != nil {
		return nil, "", fmt.Errorf("get a token: %w", err)
	}
	request.Header["Authorization"] = []string{"Bearer " + secret}
	return request, secret, nil
}
