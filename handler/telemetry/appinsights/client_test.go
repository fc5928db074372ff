package appinsights_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tollgate/handler/limit"
	"tollgate/handler/local/insights"
	"tollgate/handler/telemetry"
	"tollgate/handler/telemetry/appinsights"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestItemsHaveTheServicesSchema(t *testing.T) {
	b := open(t, nil)
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	call := telemetry.Call{RequestID: "r-1", TraceID: strings.Repeat("ab", 16), SpanID: strings.Repeat("c", 16), ParentID: strings.Repeat("d", 16),
		Started: at, Duration: 1500 * time.Millisecond, Method: "POST", Route: "/models/chat/completions", Status: 200, Subscription: "team-a", Tier: "gold",
		API: "models", Operation: "ChatCompletions_Create", Model: "DeepSeek-R1", Group: "org", RefusedBy: []telemetry.Refusal{{Counter: telemetry.Counter{Limit: "tokens"}}, {Counter: telemetry.Counter{Limit: "org/calls"}}}, ClientIP: netip.MustParseAddr("203.0.113.7"),
		Usage: &telemetry.Usage{Usage: limit.Usage{PromptTokens: 25, CompletionTokens: 233, ReasoningTokens: 200}, Known: true}, Standings: []telemetry.Standing{{Counter: telemetry.Counter{Limit: "tokens", Unit: "tokens"}, PerMinute: 300, Remaining: 42}},
		Upstream: &telemetry.Upstream{Endpoint: "foundry1", SpanID: strings.Repeat("e", 16), Started: at, Latency: time.Second, Duration: time.Second, Status: 200}}
	b.Send(telemetry.Batch{Calls: []telemetry.Sample{{Call: call, Ratio: 0.5}}, Metrics: []telemetry.Metric{{Name: telemetry.TotalTokens, At: at, Sum: 467, Min: 209, Max: 258, Count: 2,
		Dimensions: map[string]string{"Client IP": "203.0.113.7", "API ID": "models"}}},
		Events: []telemetry.Event{{Name: telemetry.LimitThreshold, At: at, Properties: map[string]string{"Limit": "calls", "Group ID": ""}, Measurements: map[string]float64{"Percent": 80}}}})
	b.end(t)
	request := b.service.sent[0]
	if got := request.URL.String(); got != "https://westeurope-5.in.applicationinsights.azure.com/v2/track" || request.Header.Get("Authorization") != "" {
		t.Errorf("got a request to %s with Authorization %q, want v2/track without one", got, request.Header.Get("Authorization"))
	}
	items := make(map[string]insights.Item)
	for _, item := range b.service.Items() {
		items[item.Kind] = item
	}
	metric, req, dep := items["Metric"], items["Request"], items["RemoteDependency"]
	if len(items) != 4 {
		t.Fatalf("got items %v, want a metric, a request, a dependency and an event", items)
	}
	if e := items["Event"]; e.Event.Name != "Limit Threshold" || e.Event.Measurements["Percent"] != 80 || !e.At.Equal(at) || e.SampleRate != 100 || fmt.Sprint(e.Properties) != "map[Limit:calls]" {
		t.Errorf("got event %+v %+v, want Limit Threshold of the limit calls at 80%%, at %s, unsampled, without an empty property", e, e.Event, at)
	}
	if m := metric.Metric; m.Namespace != "llm" || m.Value != 467 || m.Count != 2 || m.Min != 209 || m.Max != 258 || m.Kind != "Aggregation" || !metric.At.Equal(at) ||
		metric.SampleRate != 100 || metric.Properties["Client IP"] != "203.0.113.7" || metric.Key != "01234567-89ab-cdef-0123-456789abcdef" || metric.Tags["ai.operation.id"] != "" {
		t.Errorf("got metric %+v %+v, want the llm aggregation of 2 values from 209 to 258, sum 467, at %s, unsampled, from 203.0.113.7, under the key and outside any operation", metric, m, at)
	}
	if metric.Tags["ai.cloud.role"] != "gate" || metric.Tags["ai.cloud.roleInstance"] != "machine-1" || req.Tags["ai.cloud.role"] != "gate" {
		t.Errorf("got tags %v and %v, want the role gate in both and the instance machine-1", metric.Tags, req.Tags)
	}
	if r := req.Request; r.Name != "POST /models/chat/completions" || r.ResponseCode != "200" || !r.Success || r.Duration != "0.00:00:01.5000000" || r.URL != "" ||
		r.Measurements["Total Tokens"] != 258 || r.Measurements["Completion Reasoning Tokens"] != 200 || len(r.Measurements) != 5 || r.Measurements["Remaining Tokens"] != 42 || req.SampleRate != 50 || req.Properties["Request ID"] != "r-1" ||
		r.ID != call.SpanID || req.Tags["ai.operation.id"] != call.TraceID || req.Tags["ai.operation.parentId"] != call.ParentID {
		t.Errorf("got request %+v %+v, want r-1, POST /models/chat/completions, a successful 200 of 1.5 s without a URL, of 258 tokens, 200 of them reasoning and none cached, with 42 left, sampled at 50%%, with the call's span, trace and parent", req, r)
	}
	if req.Properties["Refused By"] != "tokens, org/calls" || req.Properties["Group ID"] != "org" {
		t.Errorf("got the request's properties %v, want those of the group org, refused by tokens and org/calls", req.Properties)
	}
	if d := dep.Dependency; d.Target != "foundry1" || d.ResultCode != "200" || !d.Success || dep.Tags["ai.operation.parentId"] != call.SpanID || dep.Tags["ai.operation.id"] != call.TraceID {
		t.Errorf("got dependency %+v %+v, want a successful 200 of foundry1 within the call's span and trace", dep, d)
	}
}

func TestEntraTokensGoToTheV21Address(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		b := open(t, func(c *appinsights.Config) {
			c.Authentication = appinsights.Authentication{Entra: true}
			c.Token = func(context.Context) (string, error) {
				if calls++; calls == 1 {
					return "", errors.New("no identity yet")
				}
				return "secret-token", nil
			}
		})
		b.service.Token = "secret-token"
		b.Send(tokens(5))
		time.Sleep(time.Minute)
		b.end(t)
		b.arrived(t, 5)
		if got := b.service.sent[0].URL.Path; got != "/v2.1/track" {
			t.Errorf("got a request to %s, want v2.1/track", got)
		}
		if logged := b.log.String(); !strings.Contains(logged, "no Entra token: no identity yet") || strings.Contains(logged, "secret-token") || !strings.Contains(logged, "again") {
			t.Errorf("got the log %s, want the missing token and the recovery, and no token in it", logged)
		}
	})
}

func TestRefusalsAreLoggedOnceWithTheFixAndLoseNothing(t *testing.T) {
	for status, want := range map[int]string{400: "Entra tokens only", 401: "resource's tenant", 403: "Monitoring Metrics Publisher", 402: "daily cap", 404: "IngestionEndpoint=", 301: "APPLICATIONINSIGHTS_CONNECTION_STRING"} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, func(c *appinsights.Config) {
					if status == 401 || status == 403 {
						c.Authentication, c.Token = appinsights.Authentication{Entra: true}, func(context.Context) (string, error) { return "t", nil }
					}
				})
				b.service.answering(status, nil, "")
				b.Send(tokens(5))
				time.Sleep(10 * time.Minute)
				if n := b.service.requests(); n > 11 {
					t.Errorf("got %d requests in 10 minutes, want at most 11: only an operator can fix %d", n, status)
				}
				b.service.fail.Store(nil)
				time.Sleep(2 * time.Minute)
				b.end(t)
				b.arrived(t, 5)
				logged := b.log.String()
				want := strings.Replace(want, "IngestionEndpoint=", "APPLICATIONINSIGHTS_CONNECTION_STRING", 1)
				if strings.Count(logged, "does not accept telemetry") != 1 || !strings.Contains(logged, want) {
					t.Errorf("got the log %s, want one line with %q", logged, want)
				}
			})
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		header func(time.Time) string
	}{
		"429 in seconds": {429, func(time.Time) string { return "90" }},
		"439 in seconds": {439, func(time.Time) string { return "90" }},
		"503 by date":    {503, func(now time.Time) string { return now.Add(90 * time.Second).UTC().Format(http.TimeFormat) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, nil)
				b.service.answering(test.status, http.Header{"Retry-After": {test.header(time.Now())}}, "")
				b.Send(tokens(5))
				time.Sleep(88 * time.Second)
				if n := b.service.requests(); n != 1 {
					t.Errorf("got %d requests in 88 s, want 1", n)
				}
				b.service.fail.Store(nil)
				time.Sleep(3 * time.Second)
				b.arrived(t, 5)
				b.end(t)
			})
		})
	}
}

func TestTransientStatusesAreRetried(t *testing.T) {
	for _, status := range []int{408, 429, 439, 500, 502, 503, 504, 0} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, nil)
				b.service.answering(status, nil, "")
				if status == 0 {
					fail := func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }
					b.service.fail.Store(&fail)
				}
				b.Send(tokens(5))
				time.Sleep(20 * time.Second)
				if n := b.service.requests(); n < 3 || n > 10 {
					t.Errorf("got %d requests in 20 s, want 3 to 10, with growing pauses", n)
				}
				b.service.fail.Store(nil)
				time.Sleep(time.Minute)
				b.arrived(t, 5)
				b.end(t)
			})
		})
	}
}

func TestAlternatingFailuresAreLoggedOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		b.service.answering(503, nil, "") // set before Send, as an item could arrive otherwise
		b.Send(tokens(5))
		for range 10 {
			b.service.answering(503, nil, "")
			time.Sleep(2 * time.Minute)
			b.service.answering(429, nil, "")
			time.Sleep(2 * time.Minute)
		}
		b.service.fail.Store(nil)
		b.Send(tokens(5))
		time.Sleep(2 * time.Minute)
		b.service.answering(503, nil, "")
		b.Send(tokens(5))
		time.Sleep(2 * time.Minute)
		b.service.fail.Store(nil)
		b.end(t)
		b.arrived(t, 15)
		logged := b.log.String()
		if n := strings.Count(logged, "does not accept telemetry"); n != 3 || strings.Count(logged, "it answered 503") != 2 || strings.Count(logged, "it answered 429") != 1 {
			t.Errorf("got %d lines, want 503 and 429 once each, and 503 once more after the recovery: %s", n, logged)
		}
	})
}

func TestAfterAPartialAnswerOnlyRetryableItemsAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		first := true
		b.service.Answer = func(w http.ResponseWriter, _ *http.Request, items []insights.Item) bool {
			if !first {
				return false
			}
			first = false
			b.service.Keep([]insights.Item{items[0], items[3]})
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, `{"itemsReceived":4,"itemsAccepted":2,"errors":[{"index":2,"statusCode":400,"message":"Invalid value"},{"index":1,"statusCode":429,"message":"slow down"},{"index":99,"statusCode":500}]}`)
			return true
		}
		batch := tokens(1)
		for _, n := range []int{20, 300, 4000} {
			batch.Metrics = append(batch.Metrics, tokens(n).Metrics...)
		}
		b.Send(batch)
		time.Sleep(time.Minute)
		b.end(t)
		b.arrived(t, 4021)
		if got := b.Dropped(); got["rejected"] != 1 || len(got) != 1 {
			t.Errorf("got dropped items %v, want 1 rejected", got)
		}
		if !strings.Contains(b.log.String(), "Invalid value") {
			t.Errorf("got the log %s, want the reason in it", b.log)
		}
	})
}

func TestAnOutageLosesTheOldestItemsBeyondTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, func(c *appinsights.Config) { c.QueueBytes = 20_000 })
		b.service.answering(503, nil, "")
		for range 1000 {
			b.Send(tokens(1))
			time.Sleep(10 * time.Second)
		}
		lost := b.Dropped()["outage"]
		if lost < 800 || lost > 970 {
			t.Errorf("got %d of 1000 items lost with room for 20 kB, want some and not all", lost)
		}
		b.service.fail.Store(nil)
		time.Sleep(5 * time.Minute)
		b.end(t)
		b.arrived(t, float64(1000-lost))
		newest := time.Time{}
		for _, item := range b.service.Items() {
			if item.At.After(newest) {
				newest = item.At
			}
		}
		if time.Since(newest) > 6*time.Minute {
			t.Errorf("got the newest item from %v, want the newest kept", newest)
		}
		if logged := b.log.String(); !strings.Contains(logged, fmt.Sprintf("dropped_items=%d", lost)) || !strings.Contains(logged, "tollgate metrics replay --from 2000-01-01T00:00:00Z") {
			t.Errorf("got the log %s, want the number of lost items and the replay command", logged)
		}
	})
}

// An interval is sent when it is over, so the last one of a minute is sent in the next minute.
func TestTheReplayCommandCoversTheLostMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, func(c *appinsights.Config) { c.QueueBytes = 1 })
		b.service.answering(503, nil, "")
		time.Sleep(2 * time.Minute) // 00:02:00: the interval of 00:01:50 is over
		for range 3 {               // the client has room only for the last, and drops two
			batch := tokens(1)
			batch.Metrics[0].At = time.Now().Add(-10 * time.Second)
			b.Send(batch)
			synctest.Wait()
		}
		b.service.fail.Store(nil)
		time.Sleep(time.Minute)
		b.end(t)
		if logged := b.log.String(); !strings.Contains(logged, "dropped_items=2") || !strings.Contains(logged, "--from 2000-01-01T00:01:00Z --to 2000-01-01T00:02:00Z") {
			t.Errorf("got the log %s, want a replay from 00:01 to 00:02", logged)
		}
	})
}

func TestCloseReturnsAtItsDeadlineAndLaterSendsDoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, nil)
		hang := func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		b.service.fail.Store(&hang)
		b.Send(tokens(1))
		b.Send(tokens(1))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err := b.Close(ctx)
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "2 telemetry items") || took != 3*time.Second {
			t.Errorf("Close: got %v after %v, want 2 telemetry items lost after 3s", err, took)
		}
		b.Send(tokens(1))
		if err := b.Close(t.Context()); err == nil {
			t.Error("the second Close: got nil, want an error with the lost items")
		}
	})
}

func TestCloseSendsTheQueue(t *testing.T) {
	b := open(t, nil)
	var batch telemetry.Batch
	for range 1700 { // four requests
		batch.Metrics = append(batch.Metrics, tokens(1).Metrics...)
	}
	b.Send(batch)
	b.end(t)
	b.arrived(t, 1700)
	if n := b.service.requests(); n != 4 {
		t.Errorf("got %d requests for 1700 items, want 4", n)
	}
}

func TestCloseDuringConcurrentSendsLosesNoQueuedItem(t *testing.T) {
	b := open(t, nil)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				b.Send(tokens(1))
			}
		})
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("Close: got %v, want no error", err)
	}
	group.Wait()
	if got, _ := b.service.Sum(telemetry.TotalTokens); got > 400 || len(b.Dropped()) != 0 {
		t.Errorf("got %v tokens and dropped items %v, want 400 tokens at most and none dropped", got, b.Dropped())
	}
}

// This test checks the default transport, which the tests in virtual time replace.
func TestItemsArriveOverARealSocket(t *testing.T) {
	var service insights.Collector
	server := httptest.NewServer(&service)
	defer server.Close()
	parsed, err := appinsights.ParseConnection(insights.ConnectionString(server.Listener.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	client, err := appinsights.New(appinsights.Config{Connection: parsed, Namespace: "API Management", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	client.Send(tokens(7))
	if err := client.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if items := service.Items(); len(items) != 1 || items[0].Metric.Namespace != "API Management" || len(service.Faults()) != 0 {
		t.Errorf("got items %v and faults %v, want the item and no fault", items, service.Faults())
	}
}

func TestAnOutageLeaksNoGoroutines(t *testing.T) {
	b := open(t, nil)
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	b.service.fail.Store(&hang)
	before := runtime.NumGoroutine()
	for range 500 {
		b.Send(tokens(1))
	}
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before+3; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("got %d goroutines, want at most 3 more than the %d before 500 batches", runtime.NumGoroutine(), before)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Close(ctx); err == nil || !strings.Contains(err.Error(), "500 telemetry items") {
		t.Errorf("Close: got %v, want 500 items lost", err)
	}
}
