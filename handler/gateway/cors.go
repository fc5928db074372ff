package gateway

import (
	"net/http"

	"github.com/rs/cors"
)

// preflightAge is the time for which a browser may remember a preflight's answer, in
// seconds: the most that Chromium honours.
// Source: https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Access-Control-Max-Age
const preflightAge = 7200

// allowOrigins lets pages of other origins call next and read its headers. Keys come
// in headers, never in cookies, so the browser's credentials are not allowed.
func allowOrigins(origins []string, names HeaderNames, next http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost},
		AllowedHeaders: []string{"*"}, // the key, and whatever else the client's SDK sends
		MaxAge:         preflightAge,
		ExposedHeaders: []string{names.RemainingTokens, names.TokensConsumed, names.RemainingQuotaTokens, names.RetryAfter,
			"Retry-After", "Retry-After-Ms", headerShouldRetry, headerRequestID, headerAnthropicID, headerRefusedBy, headerPolicy, headerState,
			ratelimitTokens.limit, ratelimitTokens.remaining, ratelimitTokens.reset, ratelimitCalls.limit, ratelimitCalls.remaining, ratelimitCalls.reset,
			headerUpstream, headerShadow},
	}).Handler(next)
}
