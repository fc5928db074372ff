package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// probed bounds what is read of the answer to a probe, in bytes.
const probed = 64 << 10

// Probe calls an endpoint for a model, by the name that callers use, as a call
// does: the same address, the same credential, and a body without messages, which
// costs nothing because it is refused once the credential was taken. It returns
// the answer's status.
func Probe(ctx context.Context, endpoint Endpoint, model string) (status int, err error) {
	e := endpoint.normal()
	served, _ := e.own(model)
	own := served.Name
	body, err := json.Marshal(map[string]any{"model": own, "messages": []any{}, "max_tokens": 1})
	if err != nil {
		return 0, err
	}
	address := e.address(own)
	if address == nil {
		return 0, fmt.Errorf("%s is no address", e.URL)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), strings.NewReader(string(body)))
	if err != nil {
		return 0, err
	}
	request.Header = http.Header{"Content-Type": isJSON, "Accept": isJSON, "Accept-Encoding": identity, "User-Agent": tollgate}
	if e.Key.Empty() {
		token, err := e.Token(ctx)
		if err != nil {
			return 0, fmt.Errorf("get a token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	} else {
		request.Header.Set("Api-Key", e.Key.Reveal())
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy and no redirect, as calls have none
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, probed))
	return response.StatusCode, nil
}
