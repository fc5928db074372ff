package azure

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// recordingCredential records the scopes that it is asked for.
type recordingCredential struct {
	scopes []string
	err    error
}

func (c *recordingCredential) GetToken(_ context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.scopes = options.Scopes
	return azcore.AccessToken{Token: "token"}, c.err
}

func TestTokensAskForTheirScopeAndNameItOnFailure(t *testing.T) {
	const scope = "https://monitor.azure.com/.default"
	var c recordingCredential
	if got, err := Tokens(&c, scope)(t.Context()); err != nil || got != "token" || !slices.Equal(c.scopes, []string{scope}) {
		t.Errorf("got %q, %v, asked for %q; want token for %s", got, err, c.scopes, scope)
	}
	c.err = errors.New("no identity here")
	if _, err := Tokens(&c, scope)(t.Context()); !errors.Is(err, c.err) || !strings.Contains(err.Error(), scope) {
		t.Errorf("got the error %v, want %v and the scope", err, c.err)
	}
}

func TestLoopbackIsThisMachineOnly(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true,
		"": false, "0.0.0.0": false, "10.0.0.1": false, "localhost.example.com": false, "127.0.0.1.example.com": false} {
		if got := IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q): got %t, want %t", host, got, want)
		}
	}
}

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
