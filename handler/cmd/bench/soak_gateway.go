package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"

	"tollgate/handler/counter"
	countermem "tollgate/handler/counter/memstore"
	"tollgate/handler/gateway"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/upstream"
)

// serveGateway serves a gateway that also answers vitalsPath.
func serveGateway(args []string) error {
	if len(args) != 2 {
		return errors.New("part-gateway takes the model's address and a key")
	}
	pepper, err := subscription.NewPepper(pepper)
	if err != nil {
		return err
	}
	directory, err := memstore.Load(fmt.Appendf(nil, `{"tiers":[{"id":"soak","tokensPerMinute":1000000000,"maxConcurrent":0}],
		"subscriptions":[{"id":"soak","tier":"soak"}],"keys":[{"subscription":"soak","key":%q}]}`, args[1]), pepper)
	if err != nil {
		return err
	}
	client, err := upstream.New([]upstream.Endpoint{{URL: args[0], Shape: shape.OpenAI, Key: secret.New(fakemodel.Key)}}, upstream.Timeouts{})
	if err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	served := gateway.New(gateway.Config{
		Directory: subscription.NewDirectory(directory, pepper), Counter: counter.New(counter.Config{Store: countermem.New(), Log: log}),
		Upstream: client, Log: log,
		Settings: gateway.Settings{BasePath: "/inference", Models: []string{"DeepSeek-R1"}, Headers: gateway.DefaultHeaderNames, MaxBody: 4 << 20},
	})
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != vitalsPath {
			served.ServeHTTP(w, r)
			return
		}
		client.CloseIdle()
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		_ = json.NewEncoder(w).Encode(vitals{runtime.NumGoroutine(), memory.HeapAlloc})
	}))
}
