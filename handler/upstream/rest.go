package upstream

import (
	"context"
	"io"
	"net/http"
)

// Rest is the rest of a call that continues at its endpoint after its caller has
// left or its time has run out. It is read for the usage it may still report.
type Rest struct {
	pump *pump
	stop context.CancelFunc // ends the call at the endpoint
}

// Read yields what the endpoint still sends, until the answer ends, yield returns false
// or ctx ends. Then it ends the call. It yields nothing of an answer whose status isn't
// 200, or that is compressed. Read reports whether it reached the answer's end.
func (r *Rest) Read(ctx context.Context, yield func(chunk []byte) bool) (ended bool) {
	defer r.Close()
	got, _, err := r.pump.answer(ctx)
	if err != nil || got.StatusCode != http.StatusOK || compressed(got.Header) {
		return false
	}
	_ = r.pump.each(ctx, func(piece []byte, err error) (more bool) { // fails only if ctx ends
		ended = err == io.EOF
		return (len(piece) == 0 || yield(piece)) && err == nil
	})
	return ended
}

// Close ends the call at the endpoint. Once Close or Read has returned, calling
// either again does nothing.
func (r *Rest) Close() {
	r.stop()
	_ = r.pump.Close() // its error doesn't matter, as nothing more is read
}
