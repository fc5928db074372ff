package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tollgate/handler/subscription"
)

const (
	// soakStreams is the number of concurrent callers, each with a stream.
	soakStreams = 200
	// growth is the largest accepted ratio of the final heap to the heap after a minute.
	growth = 1.05
	// leaverEvery is the number of callers of which one leaves its stream before the end.
	leaverEvery = 5
	// heapTime is longer than the last readings of the heap take, even on a busy machine.
	heapTime = 4 * time.Second
	// settle is the time that the gateway gets to release the streams' resources.
	settle = 20 * time.Second
)

// longStream is a stream that takes five seconds: 100 events 50 ms apart.
var longStream = call{body: `{"stream":true,"max_tokens":98,` + prompt, stream: true}

// soak runs streams for some minutes, some of which their callers leave, and checks that
// the gateway leaks neither goroutines nor memory.
func soak(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	duration := flags.Duration("for", 5*time.Minute, "how long to run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	model, err := startPart("part-model", "pace=50ms")
	if err != nil {
		return err
	}
	defer model.stop()
	key := subscription.NewKey()
	gateway, err := startPart("part-gateway", model.url, key)
	if err != nil {
		return err
	}
	defer gateway.stop()
	t := &target{"gateway", gateway, key}
	if _, err := t.do(ctx, briefStream, make([]byte, 32<<10)); err != nil {
		return err
	}
	client.CloseIdleConnections()
	before, err := t.settledStats(ctx, 0)
	if err != nil {
		return err
	}
	over := time.Now().Add(*duration)
	load := t.runStreams(ctx, *duration)
	early, err := t.heap(ctx, min(time.Minute, *duration/3))
	if err != nil {
		return err
	}
	late, err := t.heap(ctx, time.Until(over)-heapTime) // while all streams are running
	if err != nil {
		return err
	}
	if err := load.wait(); err != nil {
		return err
	}
	client.CloseIdleConnections()
	after, err := t.settledStats(ctx, before.Goroutines)
	if err != nil {
		return err
	}
	return load.check(before, after, early, late)
}

// check prints the results and returns an error if a limit is exceeded.
func (l *load) check(before, after gatewayStats, early, late float64) error {
	ratio := late / early
	fmt.Printf("%d streams at once: %d ended, %d left. Heap after GC: %.1f MB early, %.1f MB at the end. Goroutines: %d before, %d after.\n",
		soakStreams, l.ended.Load(), l.left.Load(), early/1e6, late/1e6, before.Goroutines, after.Goroutines)
	fmt.Printf("\nfigure soak_streams %d\nfigure soak_goroutines_left %d\nfigure soak_heap_ratio %.3f\n", l.ended.Load()+l.left.Load(), after.Goroutines-before.Goroutines, ratio)
	var faults []error
	if after.Goroutines > before.Goroutines {
		faults = append(faults, fmt.Errorf("%d goroutines were left behind", after.Goroutines-before.Goroutines))
	}
	if ratio > growth {
		faults = append(faults, fmt.Errorf("the heap grew to %.3f of what it was, more than %.2f", ratio, growth))
	}
	return errors.Join(faults...)
}

// A load is the state of the callers.
type load struct {
	group       sync.WaitGroup
	ended, left atomic.Int64
	mu          sync.Mutex
	failed      error
}

func (l *load) wait() error {
	l.group.Wait()
	return l.failed
}

// runStreams starts streams for a time. The last ones are read to their ends.
func (t *target) runStreams(ctx context.Context, duration time.Duration) *load {
	l := &load{}
	until := time.Now().Add(duration)
	for range soakStreams {
		l.group.Go(func() {
			buffer := make([]byte, 32<<10)
			for time.Now().Before(until) {
				if err := l.runStream(ctx, t, buffer); err != nil {
					l.mu.Lock()
					l.failed = errors.Join(l.failed, err)
					l.mu.Unlock()
					return
				}
			}
		})
	}
	return l
}

// runStream runs one stream, to its end or until its caller leaves.
func (l *load) runStream(ctx context.Context, t *target, buffer []byte) error {
	if rand.IntN(leaverEvery) > 0 {
		l.ended.Add(1)
		_, err := t.do(ctx, longStream, buffer)
		return err
	}
	l.left.Add(1)
	brief, cancel := context.WithTimeout(ctx, rand.N(5*time.Second))
	defer cancel()
	_, err := t.do(brief, longStream, buffer)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// gatewayStats holds a gateway's statistics after a garbage collection.
type gatewayStats struct {
	Goroutines int
	Heap       uint64 // bytes
}

// statsPath is the path at which part-gateway serves its statistics.
const statsPath = "/-/vitals"

// settledStats polls the statistics until there are at most the given number of goroutines
// or settle has passed. If goroutines is 0 it asks once.
func (t *target) settledStats(ctx context.Context, goroutines int) (v gatewayStats, err error) {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	for tick := time.Tick(100 * time.Millisecond); ; {
		v, err = t.askStats(ctx)
		if err != nil || goroutines == 0 || v.Goroutines <= goroutines {
			return v, err
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return v, nil
		}
	}
}

func (t *target) askStats(ctx context.Context) (v gatewayStats, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+statsPath, nil)
	if err != nil {
		return v, err
	}
	request.Close = true // so that the connection isn't counted next time
	response, err := client.Do(request)
	if err != nil {
		return v, err
	}
	defer response.Body.Close()
	return v, json.NewDecoder(response.Body).Decode(&v)
}

// heap returns the median of some readings of the heap, the first after a time.
func (t *target) heap(ctx context.Context, after time.Duration) (float64, error) {
	const readings = 7
	var found []float64
	wait := time.NewTimer(after)
	defer wait.Stop()
	for len(found) < readings {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		v, err := t.askStats(ctx)
		if err != nil {
			return 0, err
		}
		found = append(found, float64(v.Heap))
		wait.Reset(200 * time.Millisecond)
	}
	slices.Sort(found)
	return found[readings/2], nil
}
