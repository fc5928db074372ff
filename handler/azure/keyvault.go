package azure

import "strings"

// IsUnresolvedReference reports whether a setting's value is a reference to Key Vault. The
// platform replaces a reference by the secret; if it can't, the app sees the reference.
// Source: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
func IsUnresolvedReference(value string) bool {
	return strings.HasPrefix(value, "@Microsoft.KeyVault(")
}
