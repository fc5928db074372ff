// Package credential gets tokens for Foundry from Microsoft Entra ID.
package credential

import (
	"context"
	"fmt"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"tollgate/handler/upstream"
)

// scope is what a token for Foundry's inference is for.
// Source: https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/configure-entra-id
const scope = "https://cognitiveservices.azure.com/.default"

// ManagedIdentity gives tokens of the app's managed identity in Azure, and of
// whoever is logged in on a developer's machine. The identity of clientID is
// used where there are several; empty: the system's own. The tokens are cached
// and renewed by the SDK.
func ManagedIdentity(clientID string) (upstream.Token, error) {
	var credential azcore.TokenCredential
	var err error
	if clientID != "" {
		credential, err = azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: azidentity.ClientID(clientID)})
	} else {
		credential, err = azidentity.NewDefaultAzureCredential(nil)
	}
	if err != nil {
		return nil, fmt.Errorf("use the managed identity: %w", err)
	}
	return From(credential), nil
}

// Identified gives each endpoint that has no key the tokens of its identity, of
// which there is one source for all endpoints that share it.
func Identified(endpoints []upstream.Endpoint) ([]upstream.Endpoint, error) {
	endpoints = slices.Clone(endpoints)
	tokens := make(map[string]upstream.Token)
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

// From gives tokens of a credential.
func From(credential azcore.TokenCredential) upstream.Token {
	return func(ctx context.Context) (string, error) {
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return "", fmt.Errorf("get a token for %s: %w", scope, err)
		}
		return token.Token, nil
	}
}
