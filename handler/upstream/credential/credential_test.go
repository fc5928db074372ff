package credential_test

import (
	"context"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"tollgate/handler/upstream/credential"
)

// asked is a credential that records the scopes it is asked for.
type asked struct{ scopes []string }

func (a *asked) GetToken(_ context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	a.scopes = options.Scopes
	return azcore.AccessToken{Token: "token"}, nil
}

func TestATokenIsRequestedForTheEndpointsAudience(t *testing.T) {
	for audience, want := range map[string]string{
		"":                              "https://cognitiveservices.azure.com/.default",
		"https://ai.azure.com/.default": "https://ai.azure.com/.default",
	} {
		var a asked
		got, err := credential.From(&a, audience)(t.Context())
		if err != nil || got != "token" || !slices.Equal(a.scopes, []string{want}) {
			t.Errorf("audience %q: got %q for %q, %v; want a token for %s", audience, got, a.scopes, err, want)
		}
	}
}
