package upstream

import (
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// passage is what became of one request on its way.
type passage struct {
	body     *payload
	reused   atomic.Int64 // when it got a connection that had lain idle, Unix nanoseconds
	sent     atomic.Bool  // all of it was written
	answered atomic.Bool  // something came back
	broke    bool         // the connection did
}

func (p *passage) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			if got.Reused {
				p.reused.Store(time.Now().UnixNano())
			}
		},
		WroteRequest:         func(how httptrace.WroteRequestInfo) { p.sent.Store(how.Err == nil) },
		GotFirstResponseByte: func() { p.answered.Store(true) },
	}
}

// closingSeen is within which time a connection that was closed before a call
// took it is seen to be: the round trip to a server far away, and some. One that
// breaks later may have had a model at work, which must not be set to work twice.
const closingSeen = time.Second

// closedIdle is whether the connection broke because it had been closed already.
func (p *passage) closedIdle() bool {
	since := p.reused.Load()
	return p.broke && since != 0 && !p.answered.Load() && time.Since(time.Unix(0, since)) < closingSeen
}
