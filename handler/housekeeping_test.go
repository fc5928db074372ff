package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/azurite"
	"tollgate/handler/subscription"
)

// inMemory runs the gateway without storage, for one subscription of a tier.
func inMemory(t *testing.T, tier string) (url, key string) {
	t.Helper()
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	key = subscription.NewKey()
	values := map[string]string{"PORT": port, "KEY_PEPPER": "0123456789abcdef", "UPSTREAM_URL": "http://127.0.0.1:1", "UPSTREAM_API_KEY": "none", "STORE": "memory",
		"MEMORY_DIRECTORY": fmt.Sprintf(`{"tiers":[%s],"subscriptions":[{"id":"team-a","tier":"demo"}],"keys":[{"subscription":"team-a","slot":"primary","key":%q}]}`, tier, key)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, env(values), io.Discard, io.Discard) }()
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != exitDone {
			t.Errorf("status %d", status)
		}
	})
	url = "http://127.0.0.1:" + port
	eventually(t, "the gateway listens", func() error {
		response, err := http.Get(url + "/")
		if err == nil {
			response.Body.Close()
		}
		return err
	})
	return url, key
}

// The Functions host POSTs a timer function to its folder's name. A caller who
// does so comes through the host's proxy, and finds nothing there.
func TestOnlyTheHostStartsHousekeeping(t *testing.T) {
	url, key := inMemory(t, `{"id":"demo","tokensPerMinute":300}`)
	post := func(path string, proxied bool) (int, string, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, strings.NewReader(`{"Data":{},"Metadata":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Request-Id", "same")
		request.Header.Set("Api-Key", key)
		if proxied {
			request.Header.Set("X-Forwarded-Host", "tollgate.example")
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header.Get("Content-Type"), string(body)
	}
	if status, kind, body := post("/housekeeping", false); status != 200 || kind != "application/json" || !strings.HasPrefix(body, "{") || !strings.Contains(body, "0 failed") {
		t.Errorf("the host: %d %s %s", status, kind, body)
	}
	status, _, body := post("/housekeeping", true)
	ordinary, _, other := post("/nothing-here", true)
	if status != 404 || ordinary != 404 || body != other {
		t.Errorf("a caller: %d %s; any other path: %d %s", status, body, ordinary, other)
	}
}
