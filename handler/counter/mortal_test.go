package counter_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/countertest"
)

// A mortal is an instance that may be killed.
type mortal struct {
	*counter.Counter
	link *countertest.Link

	mu   sync.Mutex
	ends []end // of calls
}

// end is the end of a call that had reserved tokens.
type end struct {
	at       time.Time
	needs    []*counted
	reserved int64
}

func newMortal(n *countertest.Network) *mortal {
	link := n.Link()
	return &mortal{Counter: instance(link), link: link}
}

func (s *schedule) instance(skew time.Duration) *mortal {
	m := newMortal(s.Network)
	m.link.Date = func() time.Time { return time.Now().Add(skew).Truncate(time.Second) }
	return m
}

func (m *mortal) ended(needs []*counted, reserved int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends = append(m.ends, end{time.Now(), needs, reserved})
}

// unreportedFor bounds how long a call's end may stay unwritten while operations
// fail.
const unreportedFor = 30 * time.Second

// kill ends an instance as SIGKILL does, and counts the reservations of calls
// whose end it may not have written as unsettled.
func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.link.Kill()
	for _, end := range m.ends {
		if time.Since(end.at) < unreportedFor {
			for _, c := range end.needs {
				c.unsettled += end.reserved
			}
		}
	}
}

// close closes an instance and expects no error.
func (m *mortal) close(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		t.Errorf("close: got %v, want no error", err)
	}
}
