package azure

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfterReadsAllForms(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	for _, test := range []struct {
		seconds, ms string
		want        time.Duration
	}{
		{"", "", 0}, {"7", "", 7 * time.Second}, {"1.5", "", 1500 * time.Millisecond}, {"8", "7123", 7123 * time.Millisecond}, {"8", "soon", 8 * time.Second},
		{"Sat, 31 Jan 2026 12:00:09 GMT", "", 9 * time.Second}, {"Sat, 31 Jan 2026 11:00:00 GMT", "", 0},
		{"-1", "", 0}, {"0", "0", 0}, {"NaN", "", 0}, {"soon", "", 0}, {"Inf", "", year}, {"1e300", "", year},
	} {
		h := http.Header{"Retry-After": {test.seconds}, "Retry-After-Ms": {test.ms}}
		if got := RetryAfter(h, now); got != test.want {
			t.Errorf("RetryAfter of %q, %q ms: got %s, want %s", test.seconds, test.ms, got, test.want)
		}
	}
}
