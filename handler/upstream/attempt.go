package upstream

import (
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// attempt follows one request on its way to the endpoint.
type attempt struct {
	body      payload
	reused    atomic.Int64  // when it got an idle connection, in Unix nanoseconds; 0 if it didn't
	connected atomic.Bool   // it got a connection
	sent      atomic.Bool   // the request was written in full
	writeDone chan struct{} // closed once the write has succeeded or failed
	answered  atomic.Bool   // the first byte of an answer arrived
	broke     bool          // the connection broke
	once      sync.Once     // closes writeDone: the transport may write a request twice
}

func (a *attempt) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) {
			a.connected.Store(true)
			if got.Reused {
				a.reused.Store(time.Now().UnixNano())
			}
		},
		WroteRequest: func(how httptrace.WroteRequestInfo) {
			a.sent.Store(how.Err == nil)
			a.once.Do(func() { close(a.writeDone) })
		},
		GotFirstResponseByte: func() { a.answered.Store(true) },
	}
}

// maxWriteReport is the longest wait for the transport's report that it has written a
// request. The endpoint may begin to work on the request before the report.
const maxWriteReport = 100 * time.Millisecond

// accepted reports whether the whole request was sent, so that the endpoint may
// have worked on it.
func (a *attempt) accepted() bool {
	if a.sent.Load() || !a.connected.Load() {
		return a.sent.Load()
	}
	late := time.NewTimer(maxWriteReport)
	defer late.Stop()
	select {
	case <-a.writeDone:
	case <-late.C:
	}
	return a.sent.Load()
}

// maxCloseNotice is the longest time until a call notices that its idle connection had
// already been closed: a round trip to a distant server, with a margin. If the connection
// breaks later, the model may have been working on the call, and must not do so twice.
const maxCloseNotice = time.Second

// closedIdle reports whether the connection broke because the endpoint had closed
// it while it was idle.
func (a *attempt) closedIdle() bool {
	since := a.reused.Load()
	return a.broke && since != 0 && !a.answered.Load() && time.Since(time.Unix(0, since)) < maxCloseNotice
}
