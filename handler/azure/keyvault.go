package azure

import "strings"

// IsUnresolved reports whether a setting's value is a reference to Key Vault. An app
// sees the reference, which everybody knows, where the platform could not read the
// secret.
// Source: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
func IsUnresolved(value string) bool { return strings.HasPrefix(value, "@Microsoft.KeyVault(") }
