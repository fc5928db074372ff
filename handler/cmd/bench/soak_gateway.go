package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"

	"tollgate/handler/app"
	"tollgate/handler/config"
	"tollgate/handler/local/fakemodel"
)

// serveGateway serves a gateway that also answers vitalsPath.
func serveGateway(args []string) error {
	if len(args) != 2 {
		return errors.New("part-gateway takes the model's address and a key")
	}
	settings := map[string]string{
		"KEY_PEPPER": pepper, "STORE": "memory", "UPSTREAM_URL": args[0], "UPSTREAM_SHAPE": "openai", "UPSTREAM_API_KEY": fakemodel.Key,
		"SETTLE_TIMEOUT": "0", // otherwise the gateway would read on streams whose caller left
		"MEMORY_DIRECTORY": fmt.Sprintf(`{"tiers":[{"id":"soak","tokensPerMinute":1000000000,"maxConcurrent":0}],
			"subscriptions":[{"id":"soak","tier":"soak"}],"keys":[{"subscription":"soak","key":%q}]}`, args[1]),
	}
	conf, err := config.Load(func(name string) string { return settings[name] })
	if err != nil {
		return err
	}
	served, err := app.New(conf, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != statsPath {
			served.ServeHTTP(w, r)
			return
		}
		served.CloseIdle()
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		_ = json.NewEncoder(w).Encode(gatewayStats{runtime.NumGoroutine(), memory.HeapAlloc})
	}))
}
