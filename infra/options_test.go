package infra_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tollgate/infra/biceptest"
)

func TestUpstreamsReplaceTheSingleEndpoint(t *testing.T) {
	t.Parallel()
	settings := biceptest.Take(t, "param settings = { UPSTREAMS: '[]', MODELS: 'a,b' }").Settings(t)
	for name := range settings {
		if strings.HasPrefix(name, "UPSTREAM_") {
			t.Errorf("got %s beside UPSTREAMS, want UPSTREAMS only", name)
		}
	}
	if settings["UPSTREAMS"] != "[]" || settings["MODELS"] != "a,b" {
		t.Errorf("got UPSTREAMS %q and MODELS %q, want [] and a,b", settings["UPSTREAMS"], settings["MODELS"])
	}
}

// TestModelsDefaultToTheEndpointsModels: the gateway doesn't start if MODELS names a model
// that no endpoint serves.
func TestModelsDefaultToTheEndpointsModels(t *testing.T) {
	t.Parallel()
	const lists, listsNone = `{"url":"https://x.example.com","models":{"gpt":"g"}}`, `{"url":"https://y.example.com","shape":"models"}`
	for upstreams, want := range map[string]string{"[" + lists + "]": "", "[" + lists + "," + listsNone + "]": "DeepSeek-R1", "@Microsoft.KeyVault(SecretUri=https://v)": "DeepSeek-R1"} {
		if got := biceptest.Take(t, "param settings = { UPSTREAMS: '"+upstreams+"' }").Settings(t)["MODELS"]; got != want {
			t.Errorf("UPSTREAMS %s: got MODELS %q, want %q", upstreams, got, want)
		}
	}
}

func TestAnExternalEndpointIsCalledWithItsKeyFromTheVault(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, "param upstreamUrl = 'https://models.example.com'\nparam upstreamApiKey = 'canary'\nparam upstreamShape = 'models'")
	if found := s.Of("Microsoft.CognitiveServices/accounts"); len(found) > 0 {
		t.Errorf("got %s, want no model resource", found[0].ID)
	}
	settings := s.Settings(t)
	if settings["UPSTREAM_URL"] != "https://models.example.com" || settings["UPSTREAM_SHAPE"] != "models" {
		t.Errorf("got UPSTREAM_URL %s and UPSTREAM_SHAPE %s, want https://models.example.com and models", settings["UPSTREAM_URL"], settings["UPSTREAM_SHAPE"])
	}
	if got := settings["UPSTREAM_API_KEY"]; !strings.Contains(got, "@Microsoft.KeyVault(") || !strings.Contains(got, "upstreamKeyUri") {
		t.Errorf("got UPSTREAM_API_KEY %s, want a Key Vault reference with upstreamKeyUri", got)
	}
	wantList(t, "the app may", assignments(s, ""), slices.Concat(appRoles(), keyTables("Storage Table Data Reader"))...)
	if got := fmt.Sprint(s.Outputs["answeredBy"]); !strings.Contains(got, "whatever https://models.example.com has") {
		t.Errorf("got the output %s, want whatever https://models.example.com has", got)
	}
}

func TestTheNextStepsCanBePasted(t *testing.T) {
	t.Parallel()
	next := fmt.Sprint(biceptest.Take(t, "").Outputs["next"])
	for _, step := range []string{"export AzureWebJobsStorage__accountName=", "export KEY_PEPPER=", "go build -o tollgate ", "./tollgate tier set", "KEY=$(./tollgate key create team-a)", "$KEY"} {
		_, rest, found := strings.Cut(next, step)
		if !found {
			t.Fatalf("got no %q, or too early, want it in %s", step, next)
		}
		next = rest
	}
}

const theirs = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/other/providers/Microsoft.CognitiveServices/accounts/theirs"

func TestAnExistingFoundryResourceIsUsedWhereItIs(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, "param foundryAccountId = '"+theirs+"'")
	if found := append(s.Of("Microsoft.CognitiveServices/accounts"), s.Of("Microsoft.CognitiveServices/accounts/deployments")...); len(found) > 0 {
		t.Errorf("got %s, want no model resource of its own", found[0].ID)
	}
	wantList(t, "the app may", assignments(s, ""), slices.Concat(appRoles(), keyTables("Storage Table Data Reader"),
		[]string{"accounts theirs: Cognitive Services User"})...)
	for _, r := range s.Of("Microsoft.Authorization/roleAssignments") {
		if strings.Contains(r.ID, "/theirs/") && !strings.HasPrefix(r.ID, theirs+"/") {
			t.Errorf("got a role at %s, want it at %s", r.ID, theirs)
		}
	}
	if got := fmt.Sprint(s.Outputs["answeredBy"]); !strings.Contains(got, "whatever theirs has deployed") {
		t.Errorf("got the output %s, want whatever theirs has deployed", got)
	}
}

func TestOperatorsMayWriteTheTablesAndReadThePepper(t *testing.T) {
	t.Parallel()
	const who = "00000000-0000-0000-0000-00000000000a"
	s := biceptest.Take(t, everything)
	wantList(t, "an operator may", assignments(s, who), append(keyTables("Storage Table Data Contributor"),
		"tables counters: Storage Table Data Contributor", "tables usage: Storage Table Data Contributor", "tables responses: Storage Table Data Contributor", "tables housekeeping: Storage Table Data Contributor", "tables audit: Storage Table Data Contributor",
		"secrets key-pepper: Key Vault Secrets User")...)
}

func TestTheAppMayWriteKeysOnlyIfManageIsOn(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	got := strings.Join(assignments(s, ""), "\n")
	for _, want := range append(keyTables("Storage Table Data Contributor"), "tables audit: Storage Table Data Contributor") {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %s in it", got, want)
		}
	}
	settings := s.Settings(t)
	if settings["CONSOLE"] != "on" || settings["MANAGE_AUDIENCE"] != "00000000-0000-0000-0000-00000000000c" || !strings.Contains(settings["MANAGE_ISSUER"], "tenant().tenantId") {
		t.Errorf("got CONSOLE %q, MANAGE_ISSUER %q and MANAGE_AUDIENCE %q, want on, the tenant's and 00000000-0000-0000-0000-00000000000c", settings["CONSOLE"], settings["MANAGE_ISSUER"], settings["MANAGE_AUDIENCE"])
	}
	for name := range biceptest.Take(t, "").Settings(t) {
		if strings.HasPrefix(name, "MANAGE_") || name == "CONSOLE" {
			t.Errorf("got %s without an audience to manage with, want it unset", name)
		}
	}
}

func TestOnlyTheTeamsFrontDoorMayCallAndIsTrusted(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	config := fmt.Sprint(s.One(t, "Microsoft.Web/sites").At("siteConfig"))
	for _, want := range []string{" ipSecurityRestrictionsDefaultAction:Deny", "x-azure-fdid:[fd-id]", "AzureFrontDoor.Backend"} {
		if !strings.Contains(config, want) {
			t.Errorf("got %s, want %s in it", config, want)
		}
	}
	if got := s.Settings(t)["CLIENT_IP_HEADER"]; got != "X-Azure-ClientIP" {
		t.Errorf("got CLIENT_IP_HEADER %q, want X-Azure-ClientIP", got)
	}
}

func TestBrowsersOfTheGivenPagesMayCall(t *testing.T) {
	t.Parallel()
	app := biceptest.Take(t, everything).One(t, "Microsoft.Web/sites")
	if got := fmt.Sprint(app.At("siteConfig", "cors", "allowedOrigins")); got != "[https://chat.example.com]" {
		t.Errorf("got the allowed origins %s, want https://chat.example.com", got)
	}
}

func TestPrivateNetworkClosesTheAppsResources(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	for _, kind := range []string{"Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults", "Microsoft.CognitiveServices/accounts"} {
		if r := s.One(t, kind); r.At("publicNetworkAccess") != "Disabled" || r.At("networkAcls", "defaultAction") != "Deny" {
			t.Errorf("%s: got public access %v and the default action %v, want Disabled and Deny", kind, r.At("publicNetworkAccess"), r.At("networkAcls", "defaultAction"))
		}
	}
	groups := make(map[string]string)
	for _, r := range s.Of("Microsoft.Network/privateEndpoints") {
		connection := r.At("privateLinkServiceConnections").([]any)[0].(map[string]any)["properties"].(map[string]any)
		groups[fmt.Sprint(connection["groupIds"])] = fmt.Sprint(connection["privateLinkServiceId"])
	}
	var names []string
	for group, target := range groups {
		names = append(names, group)
		if !strings.Contains(target, map[string]string{"[blob]": "storage", "[table]": "storage", "[vault]": "vault", "[account]": "foundry"}[group]) {
			t.Errorf("the private endpoint for %s: got %s, want its own resource", group, target)
		}
	}
	slices.Sort(names)
	wantList(t, "private endpoints", names, "[blob]", "[table]", "[vault]", "[account]")
	subnets := fmt.Sprint(s.One(t, "Microsoft.Network/virtualNetworks").At("subnets"))
	for _, want := range []string{"10.70.0.0/26", "Microsoft.App/environments", "10.70.0.64/27"} {
		if !strings.Contains(subnets, want) {
			t.Errorf("got the subnets %s, want %s in them", subnets, want)
		}
	}
	if s.One(t, "Microsoft.Web/sites").At("virtualNetworkSubnetId") == nil {
		t.Error("got an app outside the network, want it in a subnet")
	}
	var zones []string
	for _, r := range s.Of("Microsoft.Network/privateDnsZones") {
		zones = append(zones, r.Name)
	}
	slices.Sort(zones)
	wantList(t, "zones", zones, "[format('privatelink.blob.{0}', environment().suffixes.storage)]", "[format('privatelink.table.{0}', environment().suffixes.storage)]",
		"[format('privatelink{0}', replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.'))]", "privatelink.cognitiveservices.azure.com", "privatelink.openai.azure.com", "privatelink.services.ai.azure.com")
}
