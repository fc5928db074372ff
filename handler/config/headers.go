package config

import (
	"fmt"
	"net/http"
	"slices"

	"tollgate/handler/gateway"
)

// takenHeaders lists headers that already have a meaning in answers: a token count in one of
// them would break the answer or mislead. Only RETRY_AFTER_HEADER may name Retry-After.
var takenHeaders = []string{"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Allow", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Keep-Alive",
	"Retry-After", "Retry-After-Ms", "Trailer", "Transfer-Encoding", "Upgrade", "Vary", "X-Content-Type-Options", "X-Ratelimit-Limit-Tokens", "X-Ratelimit-Reset-Tokens",
	"X-Request-Id", "X-Should-Retry", "X-Tollgate-Shadow", "X-Tollgate-Upstream"}

// CheckHeaderNames checks the settings that name the answers' headers. Its error
// lists their faults as Load's does.
func CheckHeaderNames(getenv func(string) string) error {
	s := &settings{getenv: getenv}
	s.headerNames()
	return s.err()
}

// headerNames reads the names of the answers' headers, which must all differ.
func (s *settings) headerNames() gateway.HeaderNames {
	taken := slices.Clone(takenHeaders)
	own := func(setting, fallback string) string {
		name := s.header(setting, fallback)
		canonical := http.CanonicalHeaderKey(name)
		if slices.Contains(taken, canonical) && (setting != "RETRY_AFTER_HEADER" || canonical != "Retry-After") {
			s.fault(setting, fmt.Sprintf("is %q, a header that has another meaning", name), "use a name that no other header has, such as "+fallback)
		}
		taken = append(taken, canonical)
		return name
	}
	return gateway.HeaderNames{
		RemainingTokens:      own("REMAINING_TOKENS_HEADER", gateway.DefaultHeaderNames.RemainingTokens),
		TokensConsumed:       own("TOKENS_CONSUMED_HEADER", gateway.DefaultHeaderNames.TokensConsumed),
		RemainingQuotaTokens: own("REMAINING_QUOTA_TOKENS_HEADER", gateway.DefaultHeaderNames.RemainingQuotaTokens),
		RetryAfter:           own("RETRY_AFTER_HEADER", gateway.DefaultHeaderNames.RetryAfter),
	}
}
