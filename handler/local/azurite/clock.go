package azurite

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A Clock is a proxy in front of an emulator that sets the Date of its answers. A gateway
// takes its counters' time from there, so a test that needs a part of a minute to itself
// sets the clock instead of waiting for that part.
type Clock struct {
	// ConnectionString is the emulator's, by way of the proxy.
	ConnectionString string

	ahead atomic.Int64 // of this machine's clock, in ns
}

// NewClock returns a clock in front of the emulator with a connection string. It shows this
// machine's time until it is set. The proxy closes at the end of the test.
func NewClock(t testing.TB, connection string) *Clock {
	t.Helper()
	proxy, err := Proxy(connection)
	if err != nil {
		t.Fatal(err)
	}
	c := new(Clock)
	proxy.ModifyResponse = func(answer *http.Response) error {
		answer.Header.Set("Date", c.Now().UTC().Format(http.TimeFormat))
		return nil
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	c.ConnectionString = ConnectionString(strings.TrimPrefix(server.URL, "http://127.0.0.1:"))
	return c
}

// Set makes the clock's time a given time after the start of a UTC minute. It is then less
// than a minute ahead of this machine's. Set it before a gateway's first call: a gateway
// doubts a later jump until three answers in a row confirm it.
func (c *Clock) Set(sinceMinute time.Duration) {
	now := time.Now()
	ahead := now.Truncate(time.Minute).Add(sinceMinute).Sub(now)
	if ahead < 0 {
		ahead += time.Minute // not back: what this minute used up would still be used up
	}
	c.ahead.Store(int64(ahead))
}

// Now returns the clock's time. A gateway's is the same, or up to a second behind.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }
