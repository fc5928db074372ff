package appinsights

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// payload is a batch of items as it goes over the wire.
type payload struct {
	packed []byte // gzip of one JSON object a line
	items  int
	at     time.Time // the first item's: its interval's beginning
}

// pack makes a payload of lines, the first of a time.
func pack(lines [][]byte, at time.Time) payload {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	for _, line := range lines { // writes to memory don't fail
		_, _ = writer.Write(line)
		_, _ = writer.Write([]byte{'\n'})
	}
	_ = writer.Close()
	return payload{packed.Bytes(), len(lines), at}
}

// lines are the payload's items.
func (p payload) lines() ([][]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(p.packed))
	if err != nil {
		return nil, fmt.Errorf("unpack a batch: %w", err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("unpack a batch: %w", err)
	}
	var lines [][]byte
	for line := range bytes.SplitSeq(plain, []byte{'\n'}) {
		if len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// queue holds payloads until they are sent, the oldest given up first where
// room is short: recent values are what alerts look at, and the older minutes'
// are in the usage table.
type queue struct {
	room int // bytes

	mu     sync.Mutex
	held   []payload
	size   int
	closed bool
	gaveUp func(payload)
	ready  chan struct{} // holds one where something may be there
}

func newQueue(room int, gaveUp func(payload)) *queue {
	return &queue{room: room, gaveUp: gaveUp, ready: make(chan struct{}, 1)}
}

func (q *queue) put(p payload) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held, q.size = append(q.held, p), q.size+len(p.packed)
	for q.size > q.room && len(q.held) > 1 {
		q.gaveUp(q.first())
	}
	q.wake()
}

// first takes the oldest out, and lets go of its bytes. The lock is held.
func (q *queue) first() payload {
	p := q.held[0]
	q.held[0] = payload{}
	q.held, q.size = q.held[1:], q.size-len(p.packed)
	return p
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// close lets take end once nothing is left.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// take is the oldest payload, once there is one; not ok when the queue is
// closed and empty.
func (q *queue) take() (p payload, ok bool) {
	for {
		q.mu.Lock()
		if len(q.held) > 0 {
			p = q.first()
			q.mu.Unlock()
			return p, true
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return payload{}, false
		}
		<-q.ready
	}
}

// accepted is what the library reads as success.
func accepted(request *http.Request) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: io.NopCloser(strings.NewReader("{}")), Request: request,
	}
}

// RoundTrip implements http.RoundTripper for the library: it queues the batch.
func (s *sender) RoundTrip(request *http.Request) (*http.Response, error) {
	packed, err := io.ReadAll(request.Body)
	_ = request.Body.Close() // memory
	if err != nil {
		return nil, err
	}
	p := payload{packed: packed}
	if p.items, p.at, err = survey(packed); err != nil {
		return nil, err
	}
	s.queue.put(p)
	return accepted(request), nil
}

// survey counts a batch's items, and says of when the first is.
func survey(packed []byte) (items int, at time.Time, err error) {
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return 0, at, err
	}
	lines := bufio.NewReader(reader)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return 0, at, err
	}
	var item struct{ Time time.Time }
	if err := json.Unmarshal(first, &item); err != nil {
		return 0, at, err
	}
	for items = 1; ; {
		switch _, err := lines.ReadSlice('\n'); err {
		case nil:
			items++
		case bufio.ErrBufferFull:
		case io.EOF:
			return items, item.Time, nil
		default:
			return 0, at, err
		}
	}
}
