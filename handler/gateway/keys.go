package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"tollgate/handler/subscription"
)

// keyHeaders are the headers that hold a bare key: Azure OpenAI's, API
// Management's and Anthropic's. Authorization holds one behind "Bearer".
var keyHeaders = []string{"Api-Key", "Ocp-Apim-Subscription-Key", "X-Api-Key"}

// keyQuery is the query parameter in which API Management accepts a key. It is
// neither logged nor passed on.
const keyQuery = "subscription-key"

// presentedKey returns the caller's key, or the problem with it. It ignores values
// that don't look like one of Tollgate's keys: callers of API Management send a dummy
// or an Entra token in the header that their SDK insists on, and the real key in
// another. One key may be sent in several places, as Microsoft's SDKs do. Two
// different keys are refused, because the caller could mean either.
func presentedKey(r *http.Request) (string, error) {
	key, several := "", false
	present := func(value string) {
		if value = strings.TrimSpace(value); !subscription.WellFormed(value) {
			return
		}
		several = several || key != "" && key != value
		key = value
	}
	for _, name := range keyHeaders {
		for _, value := range r.Header[name] {
			present(value)
		}
	}
	for _, value := range r.Header["Authorization"] {
		if scheme, token, found := strings.Cut(value, " "); found && strings.EqualFold(scheme, "Bearer") {
			present(token)
		}
	}
	eachQueryKey(r.URL.RawQuery, present)
	switch {
	case several:
		return "", errTwoKeys
	case key == "":
		return "", errUnauthorized
	}
	return key, nil
}

// eachQueryKey calls found with every value of keyQuery in a raw query. The
// parameter's name may be in any case. Only escaped values cost an allocation.
func eachQueryKey(query string, found func(string)) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(name, keyQuery) {
			continue
		}
		if unescaped, err := url.QueryUnescape(value); err == nil {
			found(unescaped)
		}
	}
}
