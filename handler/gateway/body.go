package gateway

import (
	"io"
	"net/http"
)

// readBody reads a call's body, all of it in one piece where its size is told.
// Beyond the limit it is an *http.MaxBytesError, told sizes before anything is
// read.
func (g *Gateway) readBody(c *call) ([]byte, error) {
	size := c.r.ContentLength
	if size > g.MaxBody {
		return nil, &http.MaxBytesError{Limit: g.MaxBody}
	}
	if size < 0 {
		return io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, g.MaxBody))
	}
	body := make([]byte, size)
	_, err := io.ReadFull(c.r.Body, body)
	return body, err
}
