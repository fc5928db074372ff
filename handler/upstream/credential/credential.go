// Package credential gets tokens for Foundry from Microsoft Entra ID.
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

// inference is the audience of a token for Foundry's inference, where an endpoint
// names no other.
// Source: https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/configure-entra-id
const inference = "https://cognitiveservices.azure.com/.default"

// ManagedIdentity gives tokens of the app's managed identity in Azure, and of
// whoever is logged in on a developer's machine. The tokens are cached and renewed
// by the SDK.
func ManagedIdentity(identity upstream.Identity) (upstream.Token, error) {
	var credential azcore.TokenCredential
	var err error
	if identity.ClientID != "" {
		credential, err = azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(identity.ClientID)})
	} else {
		credential, err = azidentity.NewDefaultAzureCredential(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("use the managed identity: %w", err)
	}
	return From(credential, identity.Audience), nil
}

// Identified gives each endpoint that has no key the tokens of its identity, of
// which there is one source for all endpoints that share it.
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
				return nil, fmt.Errorf("the upstream %s has no key, and without one: %w", e.URL, err)
			}
			tokens[e.Identity] = token
		}
		e.Token = tokens[e.Identity]
	}
	return endpoints, nil
}

// From gives tokens of a credential for an audience; empty: Foundry's inference.
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
