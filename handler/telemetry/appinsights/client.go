package appinsights

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"tollgate/handler/telemetry"
)

// A Config configures a Client. Connection and Log are required.
type Config struct {
	Connection     Connection
	Authentication Authentication
	// Namespace is the custom metric namespace; default llm.
	Namespace string
	// Role and Instance name the app and the machine; by default tollgate and the
	// host's name.
	Role, Instance string
	Log            *slog.Logger

	// Token, if set, replaces Authentication's identity.
	Token Token
	// Transport, if set, replaces the client's own.
	Transport http.RoundTripper
	// QueueBytes bounds the items waiting to be sent, in compressed bytes; default 8 MiB.
	QueueBytes int
}

// DefaultNamespace is the namespace of APIM's samples. APIM's own default is
// "API Management".
const DefaultNamespace = "llm"

// A Token returns a bearer token for Application Insights.
type Token func(context.Context) (string, error)

// defaultQueueBytes is enough for an outage of hours with a few series an interval, in bytes.
const defaultQueueBytes = 8 << 20

// A Client is a telemetry.Sink that sends to Application Insights. Make one with New.
type Client struct {
	envelopes envelopes
	sender    *sender

	mu     sync.Mutex
	closed bool
}

var _ telemetry.Sink = (*Client)(nil)

// New returns a client and starts its sending goroutine. It makes no call itself.
func New(config Config) (*Client, error) {
	if config.QueueBytes == 0 {
		config.QueueBytes = defaultQueueBytes
	}
	path := "v2/track"
	if config.Authentication.Entra {
		path = "v2.1/track"
		if config.Token == nil {
			var err error
			if config.Token, err = config.Authentication.token(config.Connection.Audience); err != nil {
				return nil, err
			}
		}
	} else {
		config.Token = nil
	}
	sender, err := newSender(config, config.Connection.Endpoint+path)
	if err != nil {
		return nil, err
	}
	return &Client{envelopes: newEnvelopes(config), sender: sender}, nil
}

// Send implements telemetry.Sink. After Close it does nothing.
func (c *Client) Send(batch telemetry.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	payloads, unfit := pack(c.envelopes.items(batch))
	if unfit > 0 {
		c.sender.losses.reject(unfit, time.Now(), "JSON can't express a value")
	}
	c.sender.queue.put(payloads...)
}

// Dropped implements telemetry.Sink.
func (c *Client) Dropped() map[string]int64 { return c.sender.losses.dropped() }

// Close implements telemetry.Sink.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.sender.close(ctx)
}
