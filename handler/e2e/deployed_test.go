package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/config"
	"tollgate/infra/biceptest"
)

// hostSettings returns the settings that the Functions host reads and the handler doesn't:
// its own, and those that functions name between percent signs.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-app-settings
func hostSettings(t *testing.T) []string {
	t.Helper()
	return append(bindingSettings(t), "AzureWebJobsStorage__blobServiceUri")
}

// bindingSettings returns the settings that functions name between percent signs. The host
// doesn't run a function whose setting is missing.
func bindingSettings(t *testing.T) (named []string) {
	t.Helper()
	files, err := filepath.Glob("../../functions/*/function.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("got function files %v and error %v, want at least one", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`%(\w+)%`).FindAllStringSubmatch(string(text), -1) {
			named = append(named, found[1])
		}
	}
	return named
}

func TestEverySettingOfAFunctionIsSet(t *testing.T) {
	t.Parallel()
	sample, err := os.ReadFile("../../local.settings.sample.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range bindingSettings(t) {
		if !strings.Contains(string(sample), `"`+name+`"`) {
			t.Errorf("the sample settings: got no %s, want it", name)
		}
		if biceptest.Take(t, deployed).Settings(t)[name] == "" {
			t.Errorf("the deployment's settings: got no %s, want it", name)
		}
	}
}

// deployed turns on every optional part of infra/main.bicep that has settings.
const deployed = `param upstreamByKey = true
param clientIpHeader = 'X-Azure-ClientIP'
param frontDoorId = 'fd-id'
param manageAudience = '00000000-0000-0000-0000-00000000000c'
param console = true
`

func TestEverySettingOfTheDeploymentIsRead(t *testing.T) {
	t.Parallel()
	set := biceptest.Take(t, deployed).Settings(t)
	read := hostSettings(t)
	_, err := config.Load(func(name string) string {
		read = append(read, name)
		return value(set[name])
	})
	if err != nil {
		t.Errorf("the deployment's settings: got error\n%v\nwant the handler to start", err)
	}
	for name := range set {
		if !slices.Contains(read, name) {
			t.Errorf("the deployment's settings: got %s, which nothing reads, want it gone", name)
		}
	}
}

// value returns a setting as the app may see it, with placeholders for what only Azure
// knows.
func value(set string) string {
	switch {
	case strings.Contains(set, "@Microsoft.KeyVault("):
		return "a-secret-of-the-vault-0123456789"
	case strings.Contains(set, "outputs.connectionString"):
		return "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=https://westeurope-1.in.applicationinsights.azure.com/"
	case strings.HasPrefix(set, "[format('ClientId={0}"):
		return "ClientId=00000000-0000-0000-0000-000000000001;Authorization=AAD"
	case strings.Contains(set, "tenant().tenantId"):
		return "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0"
	case strings.Contains(set, "outputs.tableUri"):
		return "https://account.table.core.windows.net"
	case strings.Contains(set, "outputs.url"):
		return "https://ai.services.ai.azure.com"
	}
	return set
}

func TestAnUnresolvedKeyVaultReferencePreventsTheStart(t *testing.T) {
	values := map[string]string{"KEY_PEPPER": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/key-pepper)",
		"UPSTREAM_URL": "https://x.services.ai.azure.com", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
	_, err := config.Load(env(values))
	if err == nil || !strings.Contains(err.Error(), "KEY_PEPPER is a reference to Key Vault that was not resolved") {
		t.Errorf("got error %v, want KEY_PEPPER reported as an unresolved Key Vault reference", err)
	}
}
