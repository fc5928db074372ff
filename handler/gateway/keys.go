package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"tollgate/handler/subscription"
)

// authenticate finds the subscription and tier of the call's key.
func (g *Gateway) authenticate(c *call) error {
	key, err := presentedKey(c.r)
	if err != nil {
		return err
	}
	grant, err := g.config.Directory.Authenticate(c.r.Context(), key)
	switch {
	case errors.Is(err, subscription.ErrUnauthorized):
		return errUnauthorized
	case err != nil && c.r.Context().Err() != nil:
		return clientClosed(err)
	case errors.Is(err, subscription.ErrBusy):
		return &problem{status: http.StatusServiceUnavailable, code: "directory_busy", kind: kindServer, retry: subscription.BusyRetryAfter, cause: err,
			message: fmt.Sprintf("Too many unknown keys are being presented, so this one was not looked up. Try again in %s.", spellDuration(subscription.BusyRetryAfter))}
	case err != nil:
		return unavailable("directory", subscription.RetryAfter, err)
	}
	c.grant = grant
	return nil
}

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
