package azure

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Credential returns the user-assigned managed identity of a client ID. If that is
// empty it returns any credential that the environment offers: the app's system-assigned
// identity in Azure, a developer's login elsewhere.
func Credential(clientID string) (azcore.TokenCredential, error) {
	if clientID != "" {
		return managedIdentity(clientID)
	}
	return azidentity.NewDefaultAzureCredential(nil)
}

// managedIdentity returns the managed identity of a client ID; empty: the
// system-assigned one.
func managedIdentity(clientID string) (azcore.TokenCredential, error) {
	options := &azidentity.ManagedIdentityCredentialOptions{}
	if clientID != "" {
		options.ID = azidentity.ClientID(clientID)
	}
	return azidentity.NewManagedIdentityCredential(options)
}

// Tokens returns a source of bearer tokens for a scope, which the SDK caches and
// renews.
func Tokens(credential azcore.TokenCredential, scope string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return "", fmt.Errorf("get a token for %s: %w", scope, err)
		}
		return token.Token, nil
	}
}
