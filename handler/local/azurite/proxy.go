package azurite

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// Proxy returns a proxy to the emulator with a connection string. The connection string of a
// server that calls it is that of the server's port.
func Proxy(connection string) (*httputil.ReverseProxy, error) {
	_, address, found := strings.Cut(connection, "TableEndpoint=")
	if !found {
		return nil, errors.New("the connection string names no TableEndpoint")
	}
	emulator, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the connection string's TableEndpoint: %w", err)
	}
	emulator.Path = "" // requests' paths have the account's name
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(emulator) },
		// A call that fails has no answer, as without the proxy.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}, nil
}
