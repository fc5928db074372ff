package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxProbeAnswer is the most that is read of the answer to a probe, in bytes.
const maxProbeAnswer = 64 << 10

// Probe sends an endpoint a call for a model, by callers' name, and returns the status of
// the answer. path is that of Selection.Path for the endpoint's shape. Address and
// credential are those of any call, but the body has no messages, so that the endpoint
// refuses the call free of charge after it has accepted the credential.
func Probe(ctx context.Context, endpoint Endpoint, model, path string) (status int, err error) {
	e := endpoint.withDefaults()
	served, _ := e.own(model)
	own := served.Name
	body, err := json.Marshal(map[string]any{"model": own, "messages": []any{}, "max_tokens": 1})
	if err != nil {
		return 0, err
	}
	address, err := e.address(path, own, "")
	if err != nil {
		return 0, fmt.Errorf("url %q is not a URL", e.URL)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), strings.NewReader(string(body)))
	if err != nil {
		return 0, err
	}
	request.Header = http.Header{"Content-Type": jsonType, "Accept": jsonType, "Accept-Encoding": identityEncoding, "User-Agent": tollgate}
	if e.Key.Empty() {
		token, err := e.Token(ctx)
		if err != nil {
			return 0, fmt.Errorf("get a token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	} else {
		request.Header.Set(e.keyHeader(), e.Key.Reveal())
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy and no redirects, as for calls
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxProbeAnswer))
	return response.StatusCode, nil
}
