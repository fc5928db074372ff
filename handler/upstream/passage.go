package upstream

import (
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// passage is what became of one request on its way.
type passage struct {
	body     *payload
	reused   atomic.Int64  // when it got a connection that had lain idle, Unix nanoseconds
	got      atomic.Bool   // it got a connection
	sent     atomic.Bool   // all of it was written
	wrote    chan struct{} // closed when it was, or can't be
	answered atomic.Bool   // something came back
	broke    bool          // the connection did
	once     sync.Once     // a request that is sent again is written again
}

func (p *passage) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			p.got.Store(true)
			if got.Reused {
				p.reused.Store(time.Now().UnixNano())
			}
		},
		WroteRequest: func(how httptrace.WroteRequestInfo) {
			p.sent.Store(how.Err == nil)
			p.once.Do(func() { close(p.wrote) })
		},
		GotFirstResponseByte: func() { p.answered.Store(true) },
	}
}

// sentSoon is how long it may take until it is known whether a request that has a
// connection was sent: the endpoint may be at work before the transport says so.
const sentSoon = 100 * time.Millisecond

// accepted is whether the endpoint has been sent the whole call.
func (p *passage) accepted() bool {
	if p.sent.Load() || !p.got.Load() {
		return p.sent.Load()
	}
	late := time.NewTimer(sentSoon)
	defer late.Stop()
	select {
	case <-p.wrote:
	case <-late.C:
	}
	return p.sent.Load()
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
