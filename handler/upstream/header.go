package upstream

import (
	"maps"
	"net/http"

	"tollgate/handler/shape"
)

// header returns the headers of a request. It builds them from scratch, so that they hold
// none of the caller's keys, cookies or addresses, and nothing that a proxy might act on.
// It asks for identity encoding, since usage can't be read from a compressed answer.
func (c *Call) header(to shape.Shape) http.Header {
	h := http.Header{"Accept": jsonType, "Accept-Encoding": identityEncoding, "User-Agent": tollgate}
	maps.Copy(h, c.Header)
	if c.Body != nil {
		h["Content-Type"] = jsonType
	}
	if c.Stream {
		h["Accept"] = streamType
	}
	if c.RequestID != "" {
		h["X-Request-Id"] = []string{c.RequestID}
	}
	if c.Traceparent != "" {
		h["Traceparent"] = []string{c.Traceparent}
	}
	if c.ExtraParameters != "" && to == shape.Models {
		h["Extra-Parameters"] = []string{c.ExtraParameters}
	}
	return h
}

// Values that all calls share and that must not be changed.
var (
	jsonType         = []string{"application/json"}
	streamType       = []string{"text/event-stream"}
	identityEncoding = []string{"identity"}
	tollgate         = []string{"tollgate"}
)

// visibleHeaders lists the headers of an answer that the caller gets. Cookies, the
// server's name and version, upstream's own limits (which all callers share) and
// caching directives are left out.
var visibleHeaders = []string{"Content-Type", "Retry-After", "Retry-After-Ms", "X-Should-Retry"}

func visible(h http.Header) http.Header {
	seen := make(http.Header, len(visibleHeaders))
	for _, name := range visibleHeaders {
		if values := h[name]; len(values) > 0 {
			seen[name] = values
		}
	}
	return seen
}
