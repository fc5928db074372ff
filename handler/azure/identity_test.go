package azure

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// A recordingCredential records the scopes of the token that was last asked for.
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
	if got, err := BearerTokens(&c, scope)(t.Context()); err != nil || got != "token" || !slices.Equal(c.scopes, []string{scope}) {
		t.Errorf("got %q, %v, asked for %q; want token for %s", got, err, c.scopes, scope)
	}
	c.err = errors.New("no identity here")
	if _, err := BearerTokens(&c, scope)(t.Context()); !errors.Is(err, c.err) || !strings.Contains(err.Error(), scope) {
		t.Errorf("got the error %v, want %v and the scope", err, c.err)
	}
}
