package manage_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/manage"
)

// looked counts how often all counters are read.
type looked struct {
	*ledger
	times atomic.Int32
}

func (l *looked) Stored(ctx context.Context) iter.Seq2[counter.Stored, error] {
	l.times.Add(1)
	return l.ledger.Stored(ctx)
}

// TestManyOpenConsolesCostOneLook: each asks every few seconds, and a look reads
// every counter that there is.
func TestManyOpenConsolesCostOneLook(t *testing.T) {
	o := newOffice(t)
	o.used.counters = []counter.Stored{spent("team-a", 10), spent("team-b", 20)}
	counted := &looked{ledger: o.used}
	config := o.api.Config
	config.Usage, config.LookAge = counted, time.Hour
	o.api = manage.New(config)

	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := o.ask("GET", "/usage?subscription=team-a", ""); got.status != http.StatusOK {
				t.Errorf("usage answered %d", got.status)
			}
		})
	}
	all.Wait()
	var list struct{ Items []manage.Standing }
	if o.must("GET", "/usage", "").into(t, &list); len(list.Items) != 2 {
		t.Errorf("all are %+v, after one was asked for", list.Items)
	}
	if n := counted.times.Load(); n != 1 {
		t.Errorf("all counters were read %d times", n)
	}

	config.LookAge = 0 // each looks
	o.api = manage.New(config)
	o.must("GET", "/usage", "")
	o.must("GET", "/usage", "")
	if n := counted.times.Load(); n != 3 {
		t.Errorf("without an age all counters were read %d times", n-1)
	}
}

// TestWhoLeavesBreaksNoOneElsesLook: a look that its asker cut off is no news.
func TestWhoLeavesBreaksNoOneElsesLook(t *testing.T) {
	o := newOffice(t)
	config := o.api.Config
	config.LookAge = time.Hour
	o.api = manage.New(config)
	left, leave := context.WithCancel(t.Context())
	leave()
	o.used.fault = errors.New("cut off")
	request, err := http.NewRequestWithContext(left, "GET", manage.Prefix+"/usage", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+operatorKey)
	for range 20 { // whether it looks or is told that it has left is chance
		o.api.ServeHTTP(discard{http.Header{}}, request)
	}
	o.used.fault = nil
	o.must("GET", "/usage", "")
}

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
