package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

// While all endpoints are throttled, callers get a 429 with the shortest wait. When that
// is over, one call tests the endpoint and the others wait for it.
func TestWhileAllAreThrottledOneCallTestsTheEndpointWhoseWaitEndsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, asked := true, 0
		p := newPool(t, func(w http.ResponseWriter, r *http.Request) {
			if asked++; full {
				status(429, "30")(w, r)
				return
			}
			time.Sleep(500 * time.Millisecond)
		}, status(429, "40"))
		p.want(t, "ab", "429")
		time.Sleep(10 * time.Second)
		for range 100 {
			p.want(t, "", "429 in 20s")
		}
		time.Sleep(20 * time.Second)
		p.want(t, "a", "429 in 10s") // b is free again before a
		p.want(t, "", "429 in 10s")
		time.Sleep(10 * time.Second)
		p.want(t, "b", "429 in 20s") // and now a before b
		full = false
		time.Sleep(20 * time.Second)
		var tries sync.WaitGroup
		tries.Go(func() {
			if response, err := p.Send(t.Context(), aCall(false)); err != nil {
				t.Errorf("got %v for the call that tests the endpoint, want an answer", err)
			} else {
				response.Close()
			}
		})
		synctest.Wait()
		before := asked
		for range 100 {
			p.want(t, "", "429 in 1s")
		}
		tries.Wait()
		if asked != before {
			t.Errorf("got %d calls at the endpoint, want only the one that tests it", asked-before+1)
		}
		for range 10 {
			p.want(t, "a", "answer of a")
		}
	})
}

func TestOfSeveral429sTheCallerGetsTheShortestWait(t *testing.T) {
	for _, waits := range [][2]string{{"30", "40"}, {"40", "30"}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, status(429, waits[0]), status(429, waits[1]))
			_, err := p.Send(t.Context(), aCall(false))
			if refused, ok := errors.AsType[*upstream.StatusError](err); !ok || refused.RetryAfter != 30*time.Second {
				t.Errorf("waits %v: got %v with Retry-After %v, want 30s", waits, err, refused.RetryAfter)
			}
		})
	}
}

// A call that tests an endpoint may take as long as a model thinks.
func TestACallThatTestsAThrottledEndpointDelaysOthersByASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := true
		model := func(w http.ResponseWriter, r *http.Request) {
			if full {
				status(429, "30")(w, r)
				return
			}
			time.Sleep(time.Minute / 2)
		}
		p := newPool(t, model, model)
		p.want(t, "ab", "429")
		full = false
		time.Sleep(30 * time.Second)
		var tries sync.WaitGroup
		for range 10 { // seconds
			for range 2 { // a and b
				tries.Go(func() {
					response, err := p.Send(t.Context(), aCall(false))
					if err != nil {
						t.Errorf("got %v for one call a second, want an answer", err)
						return
					}
					response.Close()
				})
			}
			synctest.Wait()
			p.want(t, "", "429 in 1s")
			time.Sleep(time.Second)
		}
		tries.Wait()
	})
}

func TestIfOneOfThePausedEndpointsIsThrottledTheErrorIsA429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, status(500, ""), status(429, "60"))
		for range 5 {
			p.send(t)
		}
		p.want(t, "", "429 in 10s")
	})
}

func TestAnAnswerToACallSentBeforeThePauseDoesNotEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		p := newPool(t, func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1) == 1 {
				time.Sleep(10 * time.Second)
				return
			}
			status(429, "30")(w, r)
		}, ok)
		var early sync.WaitGroup
		early.Go(func() {
			response, err := p.Send(t.Context(), aCall(false))
			if err != nil {
				t.Errorf("got %v, want an answer", err)
				return
			}
			response.Close()
		})
		time.Sleep(time.Second)
		p.want(t, "ab", "answer of b")
		early.Wait()
		p.want(t, "b", "answer of b")
	})
}

// twoModels is a client of endpoints a and b that each serve m1 and its alias as
// deployment d1, and m2 as d2.
func twoModels(t *testing.T, d1, d2 http.HandlerFunc) *pool {
	var endpoints []upstream.Endpoint
	for i, name := range []string{"a", "b"} {
		e := endpoint(fmt.Sprintf("http://127.0.0.1:%d", i))
		e.Name, e.Priority, e.Shape = name, i, shape.Deployments
		e.Models = map[string]upstream.Model{"m1": {Name: "d1"}, "alias": {Name: "d1"}, "m2": {Name: "d2"}}
		endpoints = append(endpoints, e)
	}
	route := func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/d1/") {
			d1(w, r)
			return
		}
		d2(w, r)
	}
	return poolOf(t, endpoints, route, route)
}

func TestAFailingModelDoesNotPauseTheEndpointsOtherModels(t *testing.T) {
	for name, c := range map[string]struct {
		trouble http.HandlerFunc
		then    string
	}{
		"throttled": {status(429, "60"), "429 in 1m0s"},
		"failing":   {status(500, ""), "in 10s"},
		"busy":      {status(503, "60"), "in 1m0s"},
		"unpaid":    {status(402, ""), "in 10s"},
		"broken":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "in 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := twoModels(t, c.trouble, ok)
				for range 12 {
					p.sendFor(t, "m1")
					p.wantFor(t, "m2", "a", "answer of a")
				}
				p.wantFor(t, "m1", "", c.then)
				p.wantFor(t, "alias", "", c.then)
				p.wantFor(t, "m2", "a", "answer of a")
			})
		})
	}
}

// An endpoint that serves every model has a deployment for each name.
func TestAThrottledModelDoesNotPauseOthersOfAnEndpointThatServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, status(429, "60"), status(429, "60"))
		p.wantFor(t, "m1", "ab", "429")
		p.wantFor(t, "m2", "ab", "429")
		p.wantFor(t, "m1", "", "429 in 1m0s")
	})
}

func TestAFailingModelUsesUpOnlyItsOwnRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := twoModels(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }, func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				w.WriteHeader(500)
			}
		})
		for range 40 { // more than all its retries
			p.sendFor(t, "m1")
			time.Sleep(10*time.Second + time.Millisecond)
		}
		p.wantFor(t, "m2", "ab", "answer of b")
	})
}

// If one model's idle connection was closed, those of other models may still be open.
func TestEachModelHasItsOwnConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := false
		p := twoModels(t, func(w http.ResponseWriter, r *http.Request) {
			if again {
				again = false
				panic(http.ErrAbortHandler) // as if the connection had been closed before
			}
		}, ok)
		dial, dials := p.Dial(), 0
		p.DialBy(func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return dial(ctx, network, address)
		})
		p.wantFor(t, "m1", "a", "answer of a")
		p.wantFor(t, "m2", "a", "answer of a")
		again = true
		p.wantFor(t, "m1", "aa", "answer of a")
		p.wantFor(t, "m2", "a", "answer of a")
		if dials != 3 {
			t.Errorf("got %d connections, want 3: one for each model and one that replaces the closed one", dials)
		}
	})
}

// A response that holds no answer counts as a failure.
func TestAResponseWithoutAnAnswerIsRetriedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, ok, status(429, "60"), ok)
		send := func() (asked string, err error) {
			p.called = nil
			call := aCall(false)
			call.Body = func(target upstream.Target) [][]byte {
				p.called = append(p.called, target.Endpoint)
				return [][]byte{[]byte("{}")}
			}
			response, err := p.Send(t.Context(), call)
			for err == nil {
				response, err = response.TryNext(response.Failure(upstream.BadAnswer, errors.New("no answer")))
			}
			return strings.Join(p.called, ""), err
		}
		for i, want := range []string{"abc", "ac", "ac", "ac", "ac", ""} {
			asked, err := send()
			failed, bad := errors.AsType[*upstream.Error](err)
			if asked != want || want != "" && (!bad || failed.Reason != upstream.BadAnswer || failed.Endpoint != "c") {
				t.Errorf("call %d: got endpoints %q asked and %v, want %q and a bad answer of c", i, asked, err, want)
			}
		}
		p.want(t, "", "429 in 10s")
	})
}
