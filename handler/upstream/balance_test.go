package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/upstream"
)

// pool is a client of endpoints a, b, … with a handler each, and the names of the
// endpoints that the last call was sent to.
type pool struct {
	*upstream.Client
	called []string
}

func newPool(t *testing.T, handlers ...http.HandlerFunc) *pool {
	var endpoints []upstream.Endpoint
	for i := range handlers {
		e := endpoint(fmt.Sprintf("http://127.0.0.1:%d", i))
		e.Name, e.Priority = string(rune('a'+i)), i
		endpoints = append(endpoints, e)
	}
	return poolOf(t, endpoints, handlers...)
}

func poolOf(t *testing.T, endpoints []upstream.Endpoint, handlers ...http.HandlerFunc) *pool {
	p := &pool{Client: newClient(t, upstream.Timeouts{Whole: time.Minute}, endpoints...)}
	wires := make(map[string]*wire)
	for i, handler := range handlers {
		if handler != nil {
			wires[fmt.Sprintf("127.0.0.1:%d", i)] = serveOnWire(t, handler)
		}
	}
	p.DialBy(func(ctx context.Context, network, address string) (net.Conn, error) {
		if w := wires[address]; w != nil {
			return w.dial(ctx, network, address)
		}
		return nil, errors.New("connection refused")
	})
	return p
}

// send makes a call and returns the endpoints it asked and its outcome.
func (p *pool) send(t *testing.T) (asked, outcome string) { return p.sendFor(t, "m") }

func (p *pool) sendFor(t *testing.T, model string) (asked, outcome string) {
	return p.sendCall(t, upstream.Call{Selection: upstream.Selection{Model: model, Path: chatPath}})
}

func (p *pool) sendCall(t *testing.T, call upstream.Call) (asked, outcome string) {
	p.called = nil
	call.Body = func(target upstream.Target) [][]byte {
		p.called = append(p.called, target.Endpoint)
		return [][]byte{[]byte("{"), nil, []byte("}")}
	}
	response, err := p.Send(t.Context(), call)
	asked = strings.Join(p.called, "")
	var refused *upstream.StatusError
	var failed *upstream.Error
	var unavailable *upstream.UnavailableError
	switch {
	case err == nil:
		response.Close()
		return asked, "answer of " + response.Target.Endpoint
	case errors.As(err, &refused):
		return asked, fmt.Sprint(refused.Status)
	case errors.As(err, &failed):
		return asked, string(failed.Reason)
	case errors.As(err, &unavailable) && unavailable.Throttled:
		return asked, fmt.Sprint("429 in ", unavailable.RetryAfter)
	case errors.As(err, &unavailable):
		return asked, fmt.Sprint("in ", unavailable.RetryAfter)
	}
	t.Fatal(err)
	return "", ""
}

func (p *pool) want(t *testing.T, asked, outcome string) {
	t.Helper()
	p.wantFor(t, "m", asked, outcome)
}

func (p *pool) wantFor(t *testing.T, model, asked, outcome string) {
	t.Helper()
	if gotAsked, gotOutcome := p.sendFor(t, model); gotAsked != asked || gotOutcome != outcome {
		t.Errorf("%s: got endpoints %q asked and %s, want %q and %s", model, gotAsked, gotOutcome, asked, outcome)
	}
}

func ok(http.ResponseWriter, *http.Request) {}

// status answers with a status and, unless it is empty, a Retry-After.
func status(code int, after string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(code)
	}
}

func TestACallIsRetriedElsewhereOnlyIfThatMayHelp(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, c := range map[string]struct {
		first          http.HandlerFunc
		asked, outcome string
	}{
		"an answer":              {ok, "a", "answer of a"},
		"nobody listening":       {nil, "ab", "answer of b"},
		"a broken connection":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "ab", "answer of b"},
		"500":                    {status(500, ""), "ab", "answer of b"},
		"503":                    {status(503, "1"), "ab", "answer of b"},
		"429":                    {status(429, ""), "ab", "answer of b"},
		"408":                    {status(408, ""), "ab", "answer of b"},
		"424":                    {status(424, ""), "ab", "answer of b"},
		"401, of our key":        {status(401, ""), "ab", "answer of b"},
		"402, of our account":    {status(402, ""), "ab", "answer of b"},
		"403, of our identity":   {status(403, ""), "ab", "answer of b"},
		"407, of our account":    {status(407, ""), "ab", "answer of b"},
		"404, of our deployment": {status(404, ""), "ab", "answer of b"},
		"a redirect":             {status(302, ""), "ab", "answer of b"},
		"400, of the call":       {status(400, ""), "a", "400"},
		"413, of the call":       {status(413, ""), "a", "413"},
		"422, of the call":       {status(422, ""), "a", "422"},
		"no time left to go on":  {hang, "a", "upstream_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newPool(t, c.first, ok).want(t, c.asked, c.outcome)
			})
		})
	}
}

func TestIfAllEndpointsFailTheCallerGetsTheLastFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newPool(t, status(500, ""), nil, status(529, "")).want(t, "abc", "529")
	})
}

// This is how a provisioned deployment overflows: while it is paused, calls go straight to
// the other endpoint; then they come back.
func TestAnEndpointIsPausedForAsLongAsItAsks(t *testing.T) {
	for after, pause := range map[string]time.Duration{"": time.Second, "20": 20 * time.Second, "86400": 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			full := true
			p := newPool(t, func(w http.ResponseWriter, r *http.Request) {
				if full {
					status(429, after)(w, r)
				}
			}, ok)
			p.want(t, "ab", "answer of b")
			full = false
			time.Sleep(pause - time.Millisecond)
			p.want(t, "b", "answer of b")
			time.Sleep(time.Millisecond)
			p.want(t, "a", "answer of a")
		})
	}
}

func TestAFailingEndpointGetsOneCallEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		p := newPool(t, func(w http.ResponseWriter, _ *http.Request) {
			if down {
				w.WriteHeader(502)
			}
		}, ok)
		for range 5 {
			p.want(t, "ab", "answer of b")
		}
		for range 3 {
			p.want(t, "b", "answer of b")
			time.Sleep(10*time.Second + time.Millisecond)
			p.want(t, "ab", "answer of b")
		}
		down = false
		p.want(t, "b", "answer of b")
		time.Sleep(10*time.Second + time.Millisecond)
		p.want(t, "a", "answer of a")
		p.want(t, "a", "answer of a")
	})
}

// A caller's mistakes don't count against the endpoint.
func TestRefusedCallsDoNotPauseAnEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, status(400, ""), ok)
		for range 20 {
			p.want(t, "a", "400")
		}
	})
}

// A 404 says nothing about the endpoint's other deployments, so it neither pauses
// it nor uses up retries.
func TestA404NeitherPausesAnEndpointNorUsesUpRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, status(404, ""), ok)
		for range 40 {
			p.want(t, "ab", "answer of b")
		}
	})
}

// Callers retry a busy model, but give up on a missing one.
func TestACallerGetsNo404WhileAnotherEndpointIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, status(429, "30"), status(404, ""))
		p.want(t, "ab", "429")
		time.Sleep(10 * time.Second)
		p.want(t, "b", "429 in 20s")
		newPool(t, status(404, ""), status(500, ""), status(404, "")).want(t, "abc", "500")
		newPool(t, status(404, ""), status(404, "")).want(t, "ab", "404")
	})
}

func TestARefusalWhoseBodyHangsIsRetriedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(429)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, ok)
		began := time.Now()
		p.want(t, "ab", "answer of b")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("got an answer after %v, want one within 5s", took)
		}
	})
}

// A call that tests a paused endpoint may take minutes. Other calls don't wait for it if
// there is no other endpoint.
func TestACallThatTestsAPausedEndpointDoesNotBlockOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		model := func(w http.ResponseWriter, r *http.Request) {
			if down {
				w.WriteHeader(502)
				return
			}
			time.Sleep(30 * time.Second)
		}
		p := newPool(t, model, model)
		for range 5 {
			p.want(t, "ab", "502")
		}
		p.want(t, "", "in 10s")
		down = false
		time.Sleep(10*time.Second + time.Millisecond)
		var trying sync.WaitGroup
		for range 2 { // a and b
			trying.Go(func() {
				if response, err := p.Send(t.Context(), aCall(false)); err == nil {
					response.Close()
				}
			})
			synctest.Wait()
		}
		p.want(t, "a", "answer of a")
		trying.Wait()
	})
}

// The only endpoint's own answer says more than "unavailable" would, and keeping calls away
// from it gains nothing.
func TestTheOnlyEndpointIsAlwaysAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, status(503, "60"))
		for range 20 {
			p.want(t, "a", "503")
		}
	})
}

// The first endpoint fails four of every five calls and answers the fifth, so that it
// is never paused. Ten retries are free, then one for ten calls.
func TestRetriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, retried := 0, 0
		p := newPool(t, func(w http.ResponseWriter, _ *http.Request) {
			if calls++; calls%5 != 0 {
				w.WriteHeader(500)
			}
		}, ok)
		for range 400 {
			if asked, _ := p.send(t); asked == "ab" {
				retried++
			}
		}
		if retried < 45 || retried > 50 {
			t.Errorf("got %d of 400 calls retried, want 45 to 50", retried)
		}
	})
}

func TestCallsAreSharedByWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := endpoint("http://127.0.0.1:0"), endpoint("http://127.0.0.1:1"), endpoint("http://127.0.0.1:2")
		a.Name, a.Weight = "a", 3
		b.Name = "b"
		c.Name, c.Priority = "c", 1
		p := poolOf(t, []upstream.Endpoint{a, b, c}, ok, ok, ok)
		count := make(map[string]int)
		for range 4000 {
			asked, _ := p.send(t)
			count[asked]++
		}
		// The standard deviation is 27: 150 either way fails once in 10⁷ runs.
		if count["a"] < 2850 || count["a"] > 3150 || count["a"]+count["b"] != 4000 {
			t.Errorf("got calls %v, want from 2850 to 3150 for a and 4000 in all", count)
		}
	})
}

func TestACallGoesToAnEndpointThatServesItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := endpoint("http://127.0.0.1:0"), endpoint("http://127.0.0.1:1")
		a.Name, a.Models = "a", map[string]upstream.Model{"other": {Name: "other"}}
		b.Name, b.Models, b.Priority = "b", map[string]upstream.Model{"m": {Name: "M"}}, 9
		poolOf(t, []upstream.Endpoint{a, b}, ok, ok).want(t, "b", "answer of b")
	})
}

// A provisioned deployment that is full for hours must not use up the retries: every
// call goes on to the next.
func TestRetriesAfterA429AreNotBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, status(429, ""), ok)
		for range 200 {
			p.want(t, "ab", "answer of b")
			time.Sleep(1100 * time.Millisecond)
		}
	})
}
