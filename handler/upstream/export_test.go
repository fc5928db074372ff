package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// DialBy has the client make its connections otherwise.
func (c *Client) DialBy(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	c.dial = dial
}

// Dial is how the client makes its connections.
func (c *Client) Dial() func(ctx context.Context, network, address string) (net.Conn, error) {
	return c.dial
}

// ResponseOf makes a response of a body.
func ResponseOf(body io.ReadCloser) *Response {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Response{
		Header: make(http.Header), ctx: ctx, cancel: cancel, late: time.NewTimer(0), size: -1,
		answer: &answer{Response: &http.Response{Body: body}, from: newDeployment(&endpoint{}, Model{}, nil)}, timeouts: &DefaultTimeouts,
	}
}
