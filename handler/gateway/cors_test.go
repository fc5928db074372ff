package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"tollgate/handler/gateway"
	"tollgate/handler/subscription/subscriptiontest"
)

func TestPagesOfAllowedOriginsMayCall(t *testing.T) {
	const page = "http://localhost:5173"
	for _, test := range []struct {
		origins []string
		origin  string
		allowed string
	}{
		{nil, page, ""}, {[]string{page}, page, page}, {[]string{page, "https://app.example.com"}, "https://app.example.com", "https://app.example.com"},
		{[]string{page}, "https://evil.example.com", ""}, {[]string{page}, page + "0", ""}, {[]string{"*"}, "https://any.example.com", "*"},
	} {
		b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, answering(275), func(c *gateway.Config) { c.Origins = test.origins })
		request := b.newRequest(t.Context(), t, http.MethodOptions, "/v1/chat/completions", nil, "Api-Key", "")
		request.Header = http.Header{"Origin": {test.origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type,x-stainless-lang"}}
		preflight, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		preflight.Body.Close()
		h := preflight.Header
		if test.allowed != "" && (preflight.StatusCode != 204 || h.Get("Access-Control-Allow-Headers") != "authorization,content-type,x-stainless-lang" || h.Get("Access-Control-Allow-Methods") != "POST") ||
			h.Get("Access-Control-Allow-Origin") != test.allowed || h.Get("Cache-Control") != "no-store" {
			t.Errorf("preflight of %s, %v allowed: got %d %v, want Cache-Control no-store and Access-Control-Allow-Origin %q, and where that is set, 204 that allows POST with the headers asked for", test.origin, test.origins, preflight.StatusCode, h, test.allowed)
		}
		for _, want := range []int{200, 429} {
			answer, _ := b.post(t, "/v1/chat/completions", demo, "Origin", test.origin)
			exposed := strings.ToLower(answer.Header.Get("Access-Control-Expose-Headers"))
			if answer.StatusCode != want || answer.Header.Get("Access-Control-Allow-Origin") != test.allowed || answer.Header.Get("Access-Control-Allow-Credentials") != "" ||
				(test.allowed != "") != (strings.Contains(exposed, "retry-after-ms") && strings.Contains(exposed, "x-apim-remaining-tokens") && strings.Contains(exposed, "x-request-id")) {
				t.Errorf("a call of %s, %v allowed: got %d %v, want %d with Access-Control-Allow-Origin %q and no credentials, and the limit headers exposed only if that is set", test.origin, test.origins, answer.StatusCode, answer.Header, want, test.allowed)
			}
		}
	}
}
