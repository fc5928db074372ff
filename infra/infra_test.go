package infra_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	counters "tollgate/handler/counter/tablestore"
	directory "tollgate/handler/subscription/tablestore"
	"tollgate/infra/biceptest"
)

// templates are all Bicep files of infra/.
func templates(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.bicep", "modules/*.bicep", "*.bicepparam"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, files...)
	}
	return found
}

func TestTheCompilerHasNothingToSay(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"lint", "main.bicep"}, {"lint", "main.bicepparam"},
		{"build", "main.bicep", "--outfile", filepath.Join(t.TempDir(), "main.json")},
		{"build-params", "main.bicepparam", "--outfile", filepath.Join(t.TempDir(), "main.parameters.json")},
	} {
		if output, err := biceptest.Run(t, ".", args...); err != nil || output != "" {
			t.Errorf("bicep %v: %v\n%s", args, err, output)
		}
	}
}

func TestTheLinterIsStrict(t *testing.T) {
	t.Parallel()
	compiler := biceptest.Compiler(t)
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(biceptest.Folder(), "bicepconfig.json"), filepath.Join(dir, "bicepconfig.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sloppy.bicep"), []byte("param unused string\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := biceptest.Run(t, ".", "lint", filepath.Join(dir, "sloppy.bicep"))
	if err == nil || !strings.Contains(output, "Error no-unused-params") {
		t.Errorf("%s takes a parameter that nothing uses: %s", compiler, output)
	}
}

func TestTheTemplatesAreFormatted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, file := range templates(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		formatted := filepath.Join(dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(formatted), 0o755), os.WriteFile(formatted, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, pattern := range []string{"**/*.bicep", "*.bicepparam"} {
		if output, err := biceptest.Run(t, dir, "format", "--pattern", pattern); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	}
	for _, file := range templates(t) {
		got, _ := os.ReadFile(file)
		want, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || string(got) != string(want) {
			t.Errorf("run bicep format %s: %v", file, err)
		}
	}
}

var described = regexp.MustCompile(`(?m)^(@[^\n]*\n)*param `)

func TestEveryParameterOfTheDeploymentIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("main.bicep")
	if err != nil {
		t.Fatal(err)
	}
	for _, parameter := range described.FindAllString(string(text), -1) {
		if !strings.Contains(parameter, "@description(") {
			t.Errorf("a parameter without a description: %s", parameter)
		}
	}
}

// everything is a deployment with all its optional parts but those that
// exclude each other.
const everything = `param upstreamByKey = true
param upstreamApiKey = 'canary-upstream'
param clientIpHeader = 'X-Azure-ClientIP'
param frontDoorId = 'fd-id'
param corsOrigins = ['https://chat.example.com']
param operatorIds = ['00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b']
param alertEmails = ['on-call@example.com']
param scale = { instanceMemoryMB: 512, perInstanceConcurrency: 77, alwaysReady: 2, maximumInstances: 9 }
param privateNetwork = true
param rollingUpdates = true
param prefix = 'abcdefghijklmnopqrst'
`

// roles names the roles by id.
var roles = map[string]string{
	"b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
	"76199698-9eea-4c19-bc75-cec21354c6b6": "Storage Table Data Reader",
	"0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
	"3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
	"a97b65f3-24c7-4388-baec-2e87135dc908": "Cognitive Services User",
	"4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
}

// assignments are who may do what: "scope: role", the scope by its last two
// parts. The app's own, or those of an operator.
func assignments(s biceptest.Snapshot, operator string) []string {
	var found []string
	for _, r := range s.Of("Microsoft.Authorization/roleAssignments") {
		principal, _ := r.At("principalId").(string)
		if (operator == "") == strings.HasPrefix(principal, "[reference(") && (operator == "" || principal == operator) {
			scope, _, _ := strings.Cut(r.ID, "/providers/Microsoft.Authorization/")
			parts := strings.Split(scope, "/")
			role, _ := r.At("roleDefinitionId").(string)
			found = append(found, parts[len(parts)-2]+" "+parts[len(parts)-1]+": "+roles[role[strings.LastIndex(role, "/")+1:]])
		}
	}
	slices.Sort(found)
	return found
}

func wantList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nnot\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const suffix = "grdpdksqlg5uq" // of this subscription's group of this name

// appRoles are what the app always may.
func appRoles() []string {
	return []string{
		"storageAccounts sttollgate" + suffix + ": Storage Blob Data Owner",
		"components appi-tollgate-" + suffix + ": Monitoring Metrics Publisher",
		"vaults kvtollgate" + suffix + ": Key Vault Secrets User",
		"tables counters: Storage Table Data Contributor",
		"tables usage: Storage Table Data Contributor",
	}
}

func keyTables(role string) []string {
	return []string{"tables tiers: " + role, "tables subscriptions: " + role, "tables apikeys: " + role}
}

func TestTheParameterFileDeploysAllButWhatIsOptional(t *testing.T) {
	t.Parallel()
	biceptest.Compiler(t)
	text, err := os.ReadFile("main.bicepparam")
	if err != nil {
		t.Fatal(err)
	}
	s, err := biceptest.TakeFile(t, string(text))
	if err != nil {
		t.Fatal(err)
	}

	wantList(t, "the app may", assignments(s, ""), slices.Concat(appRoles(), keyTables("Storage Table Data Reader"),
		[]string{"accounts ai-tollgate-" + suffix + ": Cognitive Services User"})...)
	model := s.One(t, "Microsoft.CognitiveServices/accounts/deployments")
	if !strings.HasSuffix(model.Name, "/DeepSeek-R1") || model.At("model", "name") != "DeepSeek-V3.2" || model.At("model", "format") != "DeepSeek" {
		t.Errorf("deployment %s of %v", model.Name, model.At("model"))
	}
	if got := s.Outputs["answeredBy"]; got != "DeepSeek-R1 is answered by DeepSeek DeepSeek-V3.2, version 1" {
		t.Errorf("the output says %v", got)
	}
	for _, kind := range []string{"Microsoft.Network/virtualNetworks", "Microsoft.Network/privateEndpoints"} {
		if len(s.Of(kind)) > 0 {
			t.Errorf("there is a %s", kind)
		}
	}
	settings := s.Settings(t)
	for _, name := range []string{"UPSTREAM_API_KEY", "CLIENT_IP_HEADER"} {
		if value, set := settings[name]; set {
			t.Errorf("%s is set to %s", name, value)
		}
	}
}

func TestStorageTakesIdentitiesOnly(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, "")
	account := s.One(t, "Microsoft.Storage/storageAccounts")
	for name, want := range map[string]any{"allowSharedKeyAccess": false, "allowBlobPublicAccess": false,
		"minimumTlsVersion": "TLS1_2", "supportsHttpsTrafficOnly": true} {
		if account.At(name) != want {
			t.Errorf("%s is %v", name, account.At(name))
		}
	}
	settings := s.Settings(t)
	for name := range settings {
		if name == "AzureWebJobsStorage" || strings.HasSuffix(name, "accountKey") {
			t.Errorf("%s is set", name)
		}
	}
	if settings["AzureWebJobsStorage__credential"] != "managedidentity" || !strings.HasSuffix(settings["AzureWebJobsStorage__clientId"], ".clientId]") {
		t.Errorf("storage is reached as %s", settings["AzureWebJobsStorage__clientId"])
	}
	app := s.One(t, "Microsoft.Web/sites")
	if got := app.At("functionAppConfig", "deployment", "storage", "authentication", "type"); got != "UserAssignedIdentity" {
		t.Errorf("packages are fetched by %v", got)
	}
	for _, r := range s.Of("Microsoft.Web/sites/basicPublishingCredentialsPolicies") {
		if r.At("allow") != false {
			t.Errorf("%s allows passwords", r.Name)
		}
	}
}

func TestTheHandlersTablesAreMade(t *testing.T) {
	t.Parallel()
	var made []string
	for _, r := range biceptest.Take(t, "").Of("Microsoft.Storage/storageAccounts/tableServices/tables") {
		made = append(made, r.Name[strings.LastIndex(r.Name, "/")+1:])
	}
	slices.Sort(made)
	wantList(t, "tables", made, directory.Usual.Tiers, directory.Usual.Subscriptions, directory.Usual.Keys, counters.Usual, "usage")
}

func TestTheAppIsACustomHandlerOnFlexConsumption(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	if sku := s.One(t, "Microsoft.Web/serverfarms").SKU; sku["name"] != "FC1" || sku["tier"] != "FlexConsumption" {
		t.Errorf("the plan is %v", sku)
	}
	app := s.One(t, "Microsoft.Web/sites")
	config := fmt.Sprint(app.At("functionAppConfig", "runtime"), app.At("functionAppConfig", "scaleAndConcurrency"))
	want := "map[name:custom version:1.0]map[alwaysReady:[map[instanceCount:2 name:http]] instanceMemoryMB:512 maximumInstanceCount:9 triggers:map[http:map[perInstanceConcurrency:77]]]"
	if strings.ReplaceAll(config, "] map", "]map") != want {
		t.Errorf("the app is %s", config)
	}
	for strategy, s := range map[string]biceptest.Snapshot{"Recreate": biceptest.Take(t, ""), "RollingUpdate": s} {
		if got := s.One(t, "Microsoft.Web/sites").At("functionAppConfig", "siteUpdateStrategy", "type"); got != strategy {
			t.Errorf("instances are replaced by %v, not %s", got, strategy)
		}
	}
	for _, name := range []string{"FUNCTIONS_WORKER_RUNTIME", "WEBSITE_RUN_FROM_PACKAGE"} {
		if _, set := s.Settings(t)[name]; set {
			t.Errorf("%s is set, which Flex Consumption doesn't take", name)
		}
	}
}

func TestTokenMetricsKeepTheirDimensions(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	insights := s.One(t, "Microsoft.Insights/components")
	for name, want := range map[string]any{"CustomMetricsOptedInType": "WithDimensions", "DisableLocalAuth": true,
		"WorkspaceResourceId": s.One(t, "Microsoft.OperationalInsights/workspaces").ID} {
		if insights.At(name) != want {
			t.Errorf("%s is %v", name, insights.At(name))
		}
	}
	if got := s.Settings(t)["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]; !strings.Contains(got, "Authorization=AAD") {
		t.Errorf("metrics are sent by %s", got)
	}
	if got := fmt.Sprint(s.One(t, "Microsoft.Insights/actionGroups").At("emailReceivers")); !strings.Contains(got, "on-call@example.com") {
		t.Errorf("alerts go to %s", got)
	}
}

func TestWorkbookAndAlertsWatchApplicationInsights(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, "")
	insights := s.One(t, "Microsoft.Insights/components").ID
	if source := s.One(t, "Microsoft.Insights/workbooks").At("sourceId"); source != insights {
		t.Errorf("the workbook shows %v", source)
	}
	rules := s.Of("Microsoft.Insights/scheduledQueryRules")
	if len(rules) == 0 {
		t.Error("there are no alert rules")
	}
	for _, rule := range rules {
		if scopes := fmt.Sprint(rule.At("scopes")); scopes != "["+insights+"]" {
			t.Errorf("%s looks at %s", rule.Name, scopes)
		}
		if groups := fmt.Sprint(rule.At("actions", "actionGroups")); !strings.Contains(groups, "actionGroupId") {
			t.Errorf("%s tells %s", rule.Name, groups)
		}
	}
}

func TestSeveralEndpointsTakeThePlaceOfOne(t *testing.T) {
	t.Parallel()
	settings := biceptest.Take(t, "param settings = { UPSTREAMS: '[]', MODELS: 'a,b' }").Settings(t)
	for name := range settings {
		if strings.HasPrefix(name, "UPSTREAM_") {
			t.Errorf("%s stands beside UPSTREAMS", name)
		}
	}
	if settings["UPSTREAMS"] != "[]" || settings["MODELS"] != "a,b" {
		t.Errorf("settings are %v", settings)
	}
}

func TestDiagnosticsOfWhatHoldsSecretsOrTakesCalls(t *testing.T) {
	t.Parallel()
	var logged []string
	for _, r := range biceptest.Take(t, "").Of("Microsoft.Insights/diagnosticSettings") {
		_, scope, _ := strings.Cut(r.ID, "/providers/Microsoft.")
		logged = append(logged, strings.Split(scope, "/")[0])
	}
	slices.Sort(logged)
	wantList(t, "diagnostic settings", logged, "CognitiveServices", "KeyVault", "Storage", "Web")
}

func TestAnEndpointElsewhereIsCalledByItsKeyFromTheVault(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, "param upstreamUrl = 'https://models.example.com'\nparam upstreamApiKey = 'canary'\nparam upstreamShape = 'models'")
	if found := s.Of("Microsoft.CognitiveServices/accounts"); len(found) > 0 {
		t.Errorf("%s is made all the same", found[0].ID)
	}
	settings := s.Settings(t)
	if settings["UPSTREAM_URL"] != "https://models.example.com" || settings["UPSTREAM_SHAPE"] != "models" {
		t.Errorf("upstream is %s as %s", settings["UPSTREAM_URL"], settings["UPSTREAM_SHAPE"])
	}
	if got := settings["UPSTREAM_API_KEY"]; !strings.Contains(got, "@Microsoft.KeyVault(") || !strings.Contains(got, "upstreamKeyUri") {
		t.Errorf("its key is %s", got)
	}
	wantList(t, "the app may", assignments(s, ""), slices.Concat(appRoles(), keyTables("Storage Table Data Reader"))...)
	if got := fmt.Sprint(s.Outputs["answeredBy"]); !strings.Contains(got, "whatever https://models.example.com has") {
		t.Errorf("the output says %s", got)
	}
}

const theirs = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/other/providers/Microsoft.CognitiveServices/accounts/theirs"

func TestAnExistingFoundryResourceIsUsedWhereItIs(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, "param foundryAccountId = '"+theirs+"'")
	if found := append(s.Of("Microsoft.CognitiveServices/accounts"), s.Of("Microsoft.CognitiveServices/accounts/deployments")...); len(found) > 0 {
		t.Errorf("%s is made all the same", found[0].ID)
	}
	wantList(t, "the app may", assignments(s, ""), slices.Concat(appRoles(), keyTables("Storage Table Data Reader"),
		[]string{"accounts theirs: Cognitive Services User"})...)
	for _, r := range s.Of("Microsoft.Authorization/roleAssignments") {
		if strings.Contains(r.ID, "/theirs/") && !strings.HasPrefix(r.ID, theirs+"/") {
			t.Errorf("the role is given at %s", r.ID)
		}
	}
	if got := fmt.Sprint(s.Outputs["answeredBy"]); !strings.Contains(got, "whatever theirs has deployed") {
		t.Errorf("the output says %s", got)
	}
}

func TestTwoEndpointsAreNone(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("main.bicepparam")
	if err != nil {
		t.Fatal(err)
	}
	_, err = biceptest.TakeFile(t, string(text)+"param upstreamUrl = 'https://models.example.com'\nparam foundryAccountId = '"+theirs+"'")
	if err == nil || !strings.Contains(err.Error(), "leave one of them empty") {
		t.Errorf("both are taken: %v", err)
	}
}

func TestOperatorsMayWriteTheTablesAndReadThePepper(t *testing.T) {
	t.Parallel()
	const who = "00000000-0000-0000-0000-00000000000a"
	s := biceptest.Take(t, everything)
	wantList(t, "an operator may", assignments(s, who), append(keyTables("Storage Table Data Contributor"),
		"tables counters: Storage Table Data Contributor", "tables usage: Storage Table Data Contributor",
		"secrets key-pepper: Key Vault Secrets User")...)
}

func TestOnlyTheTeamsFrontDoorMayCallAndIsTrusted(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	config := fmt.Sprint(s.One(t, "Microsoft.Web/sites").At("siteConfig"))
	for _, want := range []string{"ipSecurityRestrictionsDefaultAction:Deny", "x-azure-fdid:[fd-id]", "AzureFrontDoor.Backend"} {
		if !strings.Contains(config, want) {
			t.Errorf("no %s in %s", want, config)
		}
	}
	if got := s.Settings(t)["CLIENT_IP_HEADER"]; got != "X-Azure-ClientIP" {
		t.Errorf("CLIENT_IP_HEADER is %q", got)
	}
}

func TestBrowsersOfTheGivenPagesMayCall(t *testing.T) {
	t.Parallel()
	app := biceptest.Take(t, everything).One(t, "Microsoft.Web/sites")
	if got := fmt.Sprint(app.At("siteConfig", "cors", "allowedOrigins")); got != "[https://chat.example.com]" {
		t.Errorf("allowed are %s", got)
	}
}

func TestPrivateNetworkClosesWhatTheAppUses(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	for _, kind := range []string{"Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults", "Microsoft.CognitiveServices/accounts"} {
		if r := s.One(t, kind); r.At("publicNetworkAccess") != "Disabled" || r.At("networkAcls", "defaultAction") != "Deny" {
			t.Errorf("%s is open: %v", kind, r.At("publicNetworkAccess"))
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
			t.Errorf("%s leads to %s", group, target)
		}
	}
	slices.Sort(names)
	wantList(t, "private endpoints", names, "[blob]", "[table]", "[vault]", "[account]")
	subnets := fmt.Sprint(s.One(t, "Microsoft.Network/virtualNetworks").At("subnets"))
	for _, want := range []string{"10.70.0.0/26", "Microsoft.App/environments", "10.70.0.64/27"} {
		if !strings.Contains(subnets, want) {
			t.Errorf("no %s among %s", want, subnets)
		}
	}
	if s.One(t, "Microsoft.Web/sites").At("virtualNetworkSubnetId") == nil {
		t.Error("the app is not in the network")
	}
	var zones []string
	for _, r := range s.Of("Microsoft.Network/privateDnsZones") {
		zones = append(zones, r.Name)
	}
	slices.Sort(zones)
	wantList(t, "zones", zones, "[format('privatelink.blob.{0}', environment().suffixes.storage)]", "[format('privatelink.table.{0}', environment().suffixes.storage)]",
		"[format('privatelink{0}', replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.'))]", "privatelink.cognitiveservices.azure.com", "privatelink.openai.azure.com", "privatelink.services.ai.azure.com")
}

// secret is an expression of a secret: of a secure parameter, or of a key.
var secret = regexp.MustCompile(`parameters\('(keyPepper|upstreamApiKey)'\)|newGuid\(|list[A-Z]\w*\(`)

func TestSecretsAreInTheVaultAlone(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	inVault := 0
	for _, r := range s.Resources {
		found := secret.FindString(fmt.Sprint(r.Properties))
		switch {
		case r.Type == "Microsoft.KeyVault/vaults/secrets" && found != "":
			inVault++
		case found != "":
			t.Errorf("%s in %s", found, r.ID)
		}
	}
	if inVault != 2 {
		t.Errorf("the vault has %d secrets", inVault)
	}
	if found := secret.FindString(fmt.Sprint(s.Outputs)); found != "" {
		t.Errorf("%s in the outputs", found)
	}
	settings := s.Settings(t)
	for _, name := range []string{"KEY_PEPPER", "UPSTREAM_API_KEY"} {
		if !strings.Contains(settings[name], "@Microsoft.KeyVault(SecretUri=") {
			t.Errorf("%s is %s", name, settings[name])
		}
	}
}

func TestADeploymentLeavesThePepperThatIsThere(t *testing.T) {
	t.Parallel()
	output, err := biceptest.Run(t, ".", "build", "modules/vault.bicep", "--stdout")
	if err != nil {
		t.Fatal(output)
	}
	pepper := output[strings.Index(output, `"pepper": {`):]
	if before, _, _ := strings.Cut(pepper, `"type"`); !strings.Contains(before, `"onlyIfNotExists"`) {
		t.Errorf("the pepper is written again: %s", before)
	}
}

// names are Azure's rules, by resource type, for the last part of a name.
// Source: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
var names = map[string]*regexp.Regexp{
	"Microsoft.ManagedIdentity/userAssignedIdentities": regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}$`),
	"Microsoft.OperationalInsights/workspaces":         regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]$`),
	"Microsoft.Insights/components":                    regexp.MustCompile(`^[^%&\\?/]{1,259}[^%&\\?/. ]$`),
	"Microsoft.Storage/storageAccounts":                regexp.MustCompile(`^[a-z0-9]{3,24}$`),
	"Microsoft.KeyVault/vaults":                        regexp.MustCompile(`^[a-zA-Z]([a-zA-Z0-9]|-[a-zA-Z0-9]){2,23}$`),
	"Microsoft.CognitiveServices/accounts":             regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$`),
	"Microsoft.Web/serverfarms":                        regexp.MustCompile(`^[a-zA-Z0-9-]{1,60}$`),
	"Microsoft.Web/sites":                              regexp.MustCompile(`^[a-z0-9]([a-z0-9]|-[a-z0-9]){1,59}$`),
	"Microsoft.Network/virtualNetworks":                regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9_]$`),
	"Microsoft.Network/privateEndpoints":               regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}[a-zA-Z0-9_]$`),
}

func TestNamesAreWithinAzuresRulesForAnyPrefix(t *testing.T) {
	t.Parallel()
	for _, parameters := range []string{everything, "param prefix = '9-To_5.gate way!'", "param prefix = '--------------------'"} {
		s := biceptest.Take(t, parameters)
		for _, kind := range slices.Sorted(maps.Keys(names)) {
			found := s.Of(kind)
			if len(found) == 0 && parameters == everything {
				t.Errorf("%q: no %s", parameters, kind)
			}
			for _, r := range found {
				if !names[kind].MatchString(r.Name) || len(r.Name) > 24 && (kind == "Microsoft.Storage/storageAccounts" || kind == "Microsoft.KeyVault/vaults") {
					t.Errorf("%q: a %s can't be called %q", parameters, kind, r.Name)
				}
			}
		}
	}
}
