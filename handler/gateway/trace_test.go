package gateway

import (
	"net/http"
	"strings"
	"testing"
)

func TestOnlyAWellFormedTraceIsContinued(t *testing.T) {
	const id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for value, continued := range map[string]bool{
		"00-" + id + "-" + parent + "-01": true,
		"00-" + id + "-" + parent + "-00": true,
		"":                                false,
		"x":                               false,
		"00-1-2-01":                       false,
		"01-" + id + "-" + parent + "-01": false,
		"00-" + strings.ToUpper(id) + "-" + parent + "-01":     false,
		"00-" + id + "-" + parent + "-01-x":                    false,
		"00-" + id + "-" + parent + "-\r\n":                    false,
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01": false,
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":     false,
	} {
		got := traceOf(http.Header{"Traceparent": {value}})
		if (got.id == id) != continued || (got.parent == parent) != continued {
			t.Errorf("%q: got trace %s of parent %q, want it continued: %t", value, got.id, got.parent, continued)
		}
		if out := traceOf(http.Header{"Traceparent": {got.outbound()}}); out.id != got.id || out.parent != got.upstream {
			t.Errorf("%q: got %q sent upstream, want a traceparent of trace %s and parent %s", value, got.outbound(), got.id, got.upstream)
		}
	}
}
