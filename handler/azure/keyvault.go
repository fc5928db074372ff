package azure

import "strings"

// IsUnresolved reports whether a setting's value is a reference to Key Vault: if the
// platform can't read the secret, the app sees the reference, which is no secret.
// Source: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
func IsUnresolved(value string) bool { return strings.HasPrefix(value, "@Microsoft.KeyVault(") }
