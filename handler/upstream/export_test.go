package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// DialBy makes the client connect with dial.
func (c *Client) DialBy(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.dial = dial
}

// Dial returns the function the client connects with.
func (c *Client) Dial() func(ctx context.Context, network, address string) (net.Conn, error) {
	return c.dial
}

// ResponseOf returns a response with a body.
func ResponseOf(body io.ReadCloser) *Response {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Response{
		Header: make(http.Header), ctx: ctx, cancel: cancel, late: time.NewTimer(0), size: -1,
		answer: &answer{Response: &http.Response{Body: body}, from: newDeployment(&validEndpoint{}, Model{}, nil)}, timeouts: &DefaultTimeouts,
	}
}
