// Package credential gets tokens for Foundry from Microsoft Entra ID: for each
// endpoint without a key, as the managed identity that its configuration names. It
// is apart from package upstream to keep the Azure SDK out of that. Start reading at
// [Identified].
package credential

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tollgate/handler/upstream"
)

// inference is the scope of tokens for endpoints that name no audience.
// Source: https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/configure-entra-id
const inference = "https://cognitiveservices.azure.com/.default"

// ManagedIdentity returns a source of tokens of the app's managed identity or, on a
// developer's machine, of the user who is logged in. The SDK caches and renews them.
func ManagedIdentity(identity upstream.Identity) (upstream.Token, error) {
	var credential azcore.TokenCredential
	var err error
	if identity.ClientID != "" {
		credential, err = azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(identity.ClientID)})
	} else {
		credential, err = azidentity.NewDefaultAzureCredential(nil)
	}
	if err != nil {
		return nil, err
	}
	return From(credential, identity.Audience), nil
}

// Identified returns the endpoints, each without a key supplied with tokens of its
// identity. Endpoints of one identity share their tokens.
func Identified(endpoints []upstream.Endpoint) ([]upstream.Endpoint, error) {
	endpoints = slices.Clone(endpoints)
	tokens := make(map[upstream.Identity]upstream.Token)
	for i := range endpoints {
		e := &endpoints[i]
		if !e.Key.Empty() {
			continue
		}
		if tokens[e.Identity] == nil {
			token, err := ManagedIdentity(e.Identity)
			if err != nil {
				return nil, fmt.Errorf("upstream %s has no key, and its managed identity can't be used: %w", e.URL, err)
			}
			tokens[e.Identity] = token
		}
		e.Token = tokens[e.Identity]
	}
	return endpoints, nil
}

// From returns a source of a credential's tokens for an audience, which is Foundry's
// inference if empty.
func From(credential azcore.TokenCredential, audience string) upstream.Token {
	scope := cmp.Or(audience, inference)
	return func(ctx context.Context) (string, error) {
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return "", fmt.Errorf("get a token for %s: %w", scope, err)
		}
		return token.Token, nil
	}
}
