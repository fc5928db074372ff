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

// keyQuery is the query parameter that API Management takes a key from. It is
// neither logged nor passed on.
const keyQuery = "subscription-key"

// presentedKey returns the caller's key, or the problem with it. What isn't
// shaped like a key of ours is no key: callers of API Management send a dummy or
// an Entra token in the header that their SDK insists on, beside the real key in
// another. One key may be sent in several places, as Microsoft's SDKs do. Two
// different keys are refused, because either could be the one that is meant.
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

// eachQueryKey calls found with every value of keyQuery, in any case, in a raw
// query. It allocates only for values that are escaped.
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
