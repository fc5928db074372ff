package manage_test

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/manage"
)

// countingCounters counts how often all counters are read.
type countingCounters struct {
	*fakeCounters
	reads atomic.Int32
}

func (l *countingCounters) List(ctx context.Context) iter.Seq2[counter.Entry, error] {
	l.reads.Add(1)
	return l.fakeCounters.List(ctx)
}

// TestConcurrentRequestsShareOneReadingOfTheCounters, as when many consoles
// are open.
func TestConcurrentRequestsShareOneReadingOfTheCounters(t *testing.T) {
	f := newFixture(t)
	f.counters.entries = []counter.Entry{counterWith("team-a/tokens", 10), counterWith("team-b/tokens", 20)}
	counted := &countingCounters{fakeCounters: f.counters}
	config := f.config
	config.Counters, config.StandingsMaxAge = counted, time.Hour
	f.api = manage.New(config)

	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := f.do("GET", "/usage?subscription=team-a", ""); got.status != http.StatusOK {
				t.Errorf("usage: got %d, want 200", got.status)
			}
		})
	}
	all.Wait()
	var list struct{ Items []manage.Standing }
	if f.must("GET", "/usage", "").decode(t, &list); len(list.Items) != 2 {
		t.Errorf("usage without a filter: got %+v, want both counters", list.Items)
	}
	if n := counted.reads.Load(); n != 1 {
		t.Errorf("the counters: got %d readings, want 1", n)
	}

	config.StandingsMaxAge = 0 // each of two successive requests reads the counters
	f.api = manage.New(config)
	f.must("GET", "/usage", "")
	f.must("GET", "/usage", "")
	if n := counted.reads.Load(); n != 3 {
		t.Errorf("without a maximum age: got %d readings of the counters, want 2", n-1)
	}
}

// cancellableCounters returns the context's error if the context has ended.
type cancellableCounters struct{ *fakeCounters }

func (l cancellableCounters) List(ctx context.Context) iter.Seq2[counter.Entry, error] {
	if err := ctx.Err(); err != nil {
		return func(yield func(counter.Entry, error) bool) { yield(counter.Entry{}, err) }
	}
	return l.fakeCounters.List(ctx)
}

// TestACancelledRequestLeavesNoErrorInTheCache: the reading that it began continues.
func TestACancelledRequestLeavesNoErrorInTheCache(t *testing.T) {
	f := newFixture(t)
	config := f.config
	config.Counters, config.StandingsMaxAge = cancellableCounters{f.counters}, time.Hour
	f.api = manage.New(config)
	left, leave := context.WithCancel(t.Context())
	leave()
	request, err := http.NewRequestWithContext(left, "GET", manage.Prefix+"/usage", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+operatorKey)
	for range 20 { // chance decides whether it reads or notices the cancellation first
		f.api.ServeHTTP(discard{http.Header{}}, request)
	}
	f.must("GET", "/usage", "")
}

// discard is a ResponseWriter that drops everything.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
