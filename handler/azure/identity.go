package azure

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Credential returns the user-assigned managed identity with a client ID. Without a client ID
// it returns any credential that the environment offers: in Azure the app's system-assigned
// identity, elsewhere a developer's login.
func Credential(clientID string) (azcore.TokenCredential, error) {
	if clientID != "" {
		return managedIdentity(clientID)
	}
	return azidentity.NewDefaultAzureCredential(nil)
}

// managedIdentity returns the managed identity with a client ID, or without one the
// system-assigned identity.
func managedIdentity(clientID string) (azcore.TokenCredential, error) {
	options := &azidentity.ManagedIdentityCredentialOptions{}
	if clientID != "" {
		options.ID = azidentity.ClientID(clientID)
	}
	return azidentity.NewManagedIdentityCredential(options)
}

// BearerTokens returns a function that returns a bearer token for a scope. The SDK caches and
// renews the token.
func BearerTokens(credential azcore.TokenCredential, scope string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return "", fmt.Errorf("get a token for %s: %w", scope, err)
		}
		return token.Token, nil
	}
}
