package appinsights_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/local/insights"
	"tollgate/handler/telemetry"
	"tollgate/handler/telemetry/appinsights"
)

// labelled returns a batch of n metrics; those at the indexes bad contain something
// that the service, or a firewall in front of it, refuses.
func labelled(n int, bad ...int) telemetry.Batch {
	var batch telemetry.Batch
	for i := range n {
		metric := tokens(1).Metrics[0]
		metric.Dimensions["Team"] = fmt.Sprint("team", i)
		for _, at := range bad {
			if at == i {
				metric.Dimensions["Team"] = "poison"
			}
		}
		batch.Metrics = append(batch.Metrics, metric)
	}
	return batch
}

// refusing answers status to every request with a poisoned item.
func (b *fixture) refusing(status int, header http.Header) {
	b.service.Answer = func(w http.ResponseWriter, _ *http.Request, items []insights.Item) bool {
		for _, item := range items {
			if item.Properties["Team"] == "poison" {
				for name, values := range header {
					w.Header()[name] = values
				}
				w.WriteHeader(status)
				return true
			}
		}
		return false
	}
}

func TestOnlyTheRefusedItemsAreDroppedAndNoOthersAreDelayed(t *testing.T) {
	for _, status := range []int{400, 404, 405, 410, 413, 422, 451} {
		for name, bad := range map[string][]int{"first": {0}, "last": {11}, "several": {2, 3, 9}, "all": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := open(t, nil)
					b.refusing(status, nil)
					b.Send(labelled(12))
					time.Sleep(time.Second)
					b.Send(labelled(12, bad...))
					for range 3 {
						time.Sleep(time.Second)
						b.Send(labelled(12))
					}
					time.Sleep(5 * time.Second)
					if got, want := b.Dropped()["rejected"], int64(len(bad)); got != want {
						t.Errorf("got %d items dropped, want %d; log: %s", got, want, b.log)
					}
					b.arrived(t, float64(5*12-len(bad)))
					b.end(t)
					if strings.Count(b.log.String(), "rejects telemetry items") != 1 {
						t.Errorf("got the log %s, want one line about the items", b.log)
					}
				})
			})
		}
	}
}

// Because of one item a firewall may reset the connection or answer 403, or the service
// may fail.
func TestABatchThatAlwaysFailsDoesNotDelayOthers(t *testing.T) {
	for _, status := range []int{401, 403, 500, 503, 302, 0} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, nil)
				b.refusing(status, nil)
				if status == 0 {
					b.service.Answer = nil
					b.service.reset("poison")
				}
				sent := 0
				for i := range 100 {
					sent += 3
					if i == 3 {
						b.Send(labelled(3, 1))
					} else {
						b.Send(labelled(3))
					}
					time.Sleep(10 * time.Second)
					if got, _ := b.service.Sum(telemetry.TotalTokens); got < float64(sent-6) {
						t.Fatalf("after %d batches: got %v of %d items, want %d or more", i+1, got, sent, sent-6)
					}
				}
				if got := b.Dropped()["rejected"]; got != 1 {
					t.Errorf("got %d items dropped, want 1", got)
				}
				b.end(t)
				b.arrived(t, float64(sent-1))
			})
		})
	}
}

func TestAFlakyServiceLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		chance := rand.New(rand.NewPCG(1, 2))
		b.service.Answer = func(w http.ResponseWriter, _ *http.Request, _ []insights.Item) bool {
			if chance.IntN(2) == 0 {
				return false
			}
			w.WriteHeader([]int{503, 403, 500, 401}[chance.IntN(4)])
			return true
		}
		for range 500 {
			b.Send(labelled(3))
			time.Sleep(10 * time.Second)
		}
		time.Sleep(10 * time.Minute)
		b.end(t)
		b.arrived(t, 1500)
		if got := b.Dropped(); len(got) != 0 {
			t.Errorf("got dropped items %v, want none", got)
		}
	})
}

// The service accepts one request in three.
func TestAThrottlingServiceLosesNothing(t *testing.T) {
	for _, status := range []int{429, 439, 402} {
		synctest.Test(t, func(t *testing.T) {
			b := open(t, nil)
			n := 0
			b.service.Answer = func(w http.ResponseWriter, _ *http.Request, _ []insights.Item) bool {
				if n++; n%3 == 0 {
					return false
				}
				w.WriteHeader(status)
				return true
			}
			for range 100 {
				b.Send(labelled(3))
				time.Sleep(10 * time.Second)
			}
			time.Sleep(10 * time.Hour)
			b.end(t)
			b.arrived(t, 300)
			if got := b.Dropped(); len(got) != 0 {
				t.Errorf("%d: got dropped items %v, want none", status, got)
			}
		})
	}
}

// A wrong address or key is not the items' fault, and an operator may fix it.
func TestNothingIsDroppedWhileEverythingIsRefused(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 405} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, nil)
				b.Send(labelled(5)) // accepted
				synctest.Wait()
				b.service.answering(status, nil, "")
				before := b.service.requests()
				for range 60 {
					b.Send(labelled(20))
					time.Sleep(10 * time.Second)
				}
				if n := b.service.requests() - before; n > 50 {
					t.Errorf("got %d requests in 10 minutes to a service that refuses everything, want at most 50", n)
				}
				b.service.fail.Store(nil)
				time.Sleep(2 * time.Minute)
				b.end(t)
				b.arrived(t, 1205)
				if got := b.Dropped(); len(got) != 0 || strings.Count(b.log.String(), "does not accept telemetry") != 1 {
					t.Errorf("got dropped items %v and the log %s, want none and one line", got, b.log)
				}
			})
		})
	}
}

func TestABatchThatIsTooLargeIsSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		b.service.Answer = func(w http.ResponseWriter, _ *http.Request, items []insights.Item) bool {
			tooLarge := len(items) > 100
			for _, item := range items {
				tooLarge = tooLarge || item.Properties["Team"] == "poison"
			}
			if tooLarge {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
			return tooLarge
		}
		b.Send(labelled(450, 449))
		b.end(t)
		b.arrived(t, 449)
		if got := b.Dropped(); got["rejected"] != 1 || len(got) != 1 {
			t.Errorf("got dropped items %v, want only the one that is too large", got)
		}
	})
}

func TestItemsDeferredForeverAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		b.service.Answer = func(w http.ResponseWriter, _ *http.Request, items []insights.Item) bool {
			var good []insights.Item
			var faults []string
			for i, item := range items {
				if item.Properties["Team"] == "poison" {
					faults = append(faults, fmt.Sprintf(`{"index":%d,"statusCode":500,"message":"later"}`, i))
				} else {
					good = append(good, item)
				}
			}
			b.service.Keep(good)
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprintf(w, `{"itemsReceived":%d,"itemsAccepted":%d,"errors":[%s]}`, len(items), len(good), strings.Join(faults, ","))
			return true
		}
		b.Send(labelled(6, 2, 4))
		for range 100 {
			time.Sleep(10 * time.Second)
			b.Send(labelled(1))
		}
		if got := b.Dropped()["rejected"]; got != 2 {
			t.Errorf("got %d items dropped, want 2", got)
		}
		b.end(t)
		b.arrived(t, 104)
	})
}

func TestEvery2xxIsSuccess(t *testing.T) {
	for status, body := range map[int]string{200: "", 201: "{}", 202: "<html>", 204: "", 206: "", 299: `{"itemsReceived":1,"itemsAccepted":1,"errors":[]}`} {
		synctest.Test(t, func(t *testing.T) {
			b := open(t, nil)
			b.service.answering(status, nil, body)
			b.Send(labelled(1))
			time.Sleep(time.Hour)
			if n := b.service.requests(); n != 1 || b.log.String() != "" {
				t.Errorf("%d: got %d requests and the log %s, want one request and no line", status, n, b.log)
			}
			b.end(t)
		})
	}
}

func TestValuesThatJSONCannotExpressCountAsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		batch := labelled(3)
		zero := 0.0
		batch.Metrics[1].Sum = zero / zero
		b.Send(batch)
		synctest.Wait()
		if got := b.Dropped()["rejected"]; got != 1 {
			t.Errorf("got %d items dropped, want 1", got)
		}
		b.end(t)
		b.arrived(t, 2)
	})
}

// reset breaks connections that carry an item with a text.
func (w *wire) reset(text string) {
	fail := func(r *http.Request) (*http.Response, error) {
		held := &insights.Collector{Answer: func(w http.ResponseWriter, _ *http.Request, items []insights.Item) bool {
			for _, item := range items {
				if item.Properties["Team"] == text {
					w.WriteHeader(http.StatusTeapot)
					return true
				}
			}
			return false
		}, Arrived: func(item insights.Item) { w.Keep([]insights.Item{item}) }}
		response := serve(held, r)
		if response.StatusCode == http.StatusTeapot {
			return nil, errors.New("connection reset by peer")
		}
		return response, nil
	}
	w.fail.Store(&fail)
}

func TestEachAttemptGetsAFreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Value
		now.Store("first")
		b := open(t, func(c *appinsights.Config) {
			c.Authentication.Entra = true
			c.Token = func(context.Context) (string, error) { return now.Load().(string), nil }
		})
		b.service.Token = "second"
		b.Send(tokens(5))
		synctest.Wait()
		now.Store("second") // the identity's new role works now
		time.Sleep(2 * time.Minute)
		b.end(t)
		b.arrived(t, 5)
	})
}
