package infra_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	counters "tollgate/handler/counter/tablestore"
	turns "tollgate/handler/housekeeping/tablestore"
	ledger "tollgate/handler/ledger/tablestore"
	audit "tollgate/handler/manage/tablestore"
	prices "tollgate/handler/price/tablestore"
	stored "tollgate/handler/stored/tablestore"
	directory "tollgate/handler/subscription/tablestore"
	"tollgate/infra/biceptest"
)

// everything turns on all optional parts that don't exclude each other.
const everything = `param upstreamByKey = true
param upstreamApiKey = 'canary-upstream'
param clientIpHeader = 'X-Azure-ClientIP'
param frontDoorId = 'fd-id'
param deployFrom = ['192.0.2.0/24']
param corsOrigins = ['https://chat.example.com']
param operatorIds = ['00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b']
param alertEmails = ['on-call@example.com']
param alertWebhook = true
param alertWebhookUrl = 'https://hooks.example.com/canary-webhook'
param scale = { instanceMemoryMB: 512, perInstanceConcurrency: 77, alwaysReady: 2, maximumInstances: 9 }
param privateNetwork = true
param rollingUpdates = true
param manageAudience = '00000000-0000-0000-0000-00000000000c'
param console = true
param prefix = 'abcdefghijklmnopqrst'
`

// roles holds the names of roles by id.
var roles = map[string]string{
	"b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
	"76199698-9eea-4c19-bc75-cec21354c6b6": "Storage Table Data Reader",
	"0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
	"3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
	"a97b65f3-24c7-4388-baec-2e87135dc908": "Cognitive Services User",
	"5e0bd9bd-7b93-4f28-af87-19fc36ad61bd": "Cognitive Services OpenAI User",
	"4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
}

// assignments returns the role assignments of the app or of an operator as "scope: role",
// with the last two parts of the scope.
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
		t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const suffix = "grdpdksqlg5uq" // the unique string of the snapshots' subscription and group

// appRoles returns the roles that the app always has.
func appRoles() []string {
	return []string{
		"storageAccounts sttollgate" + suffix + ": Storage Blob Data Owner",
		"components appi-tollgate-" + suffix + ": Monitoring Metrics Publisher",
		"vaults kvtollgate" + suffix + ": Key Vault Secrets User",
		"tables counters: Storage Table Data Contributor",
		"tables usage: Storage Table Data Contributor",
		"tables responses: Storage Table Data Contributor",
		"tables housekeeping: Storage Table Data Contributor",
	}
}

func keyTables(role string) []string {
	return []string{"tables tiers: " + role, "tables groups: " + role, "tables subscriptions: " + role, "tables apikeys: " + role, "tables prices: " + role}
}

func TestTheParameterFileDeploysNoOptionalParts(t *testing.T) {
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
		t.Errorf("got the deployment %s of %v, want DeepSeek-R1 of DeepSeek's DeepSeek-V3.2", model.Name, model.At("model"))
	}
	if got := s.Outputs["answeredBy"]; got != "DeepSeek-R1 is answered by DeepSeek DeepSeek-V3.2, version 1" {
		t.Errorf("got the output %v, want DeepSeek-R1 is answered by DeepSeek DeepSeek-V3.2, version 1", got)
	}
	for _, kind := range []string{"Microsoft.Network/virtualNetworks", "Microsoft.Network/privateEndpoints"} {
		if len(s.Of(kind)) > 0 {
			t.Errorf("got a %s, want none", kind)
		}
	}
	settings := s.Settings(t)
	for _, name := range []string{"UPSTREAM_API_KEY", "CLIENT_IP_HEADER"} {
		if value, set := settings[name]; set {
			t.Errorf("got %s set to %s, want it unset", name, value)
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
			t.Errorf("%s: got %v, want %v", name, account.At(name), want)
		}
	}
	settings := s.Settings(t)
	for name := range settings {
		if name == "AzureWebJobsStorage" || strings.HasSuffix(name, "accountKey") {
			t.Errorf("got %s, want no key of the storage account", name)
		}
	}
	// All are needed: with the service URIs alone, instances of the host sometimes fail.
	for name, want := range map[string]string{"credential": "^managedidentity$", "clientId": `\.clientId\]$`, "accountName": "^" + account.Name + "$",
		"blobServiceUri": "outputs.blobUri", "tableServiceUri": "outputs.tableUri"} {
		if got := settings["AzureWebJobsStorage__"+name]; !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("AzureWebJobsStorage__%s: got %q, want %s", name, got, want)
		}
	}
	app := s.One(t, "Microsoft.Web/sites")
	if got := app.At("functionAppConfig", "deployment", "storage", "authentication", "type"); got != "UserAssignedIdentity" {
		t.Errorf("got packages fetched by %v, want UserAssignedIdentity", got)
	}
	for _, r := range s.Of("Microsoft.Web/sites/basicPublishingCredentialsPolicies") {
		if r.At("allow") != false {
			t.Errorf("%s: got publishing by password allowed, want it denied", r.Name)
		}
	}
}

func TestTheHandlersTablesAreCreated(t *testing.T) {
	t.Parallel()
	var made []string
	for _, r := range biceptest.Take(t, "").Of("Microsoft.Storage/storageAccounts/tableServices/tables") {
		made = append(made, r.Name[strings.LastIndex(r.Name, "/")+1:])
	}
	slices.Sort(made)
	wantList(t, "tables", made, directory.DefaultTables.Tiers, directory.DefaultTables.Groups, directory.DefaultTables.Subscriptions, directory.DefaultTables.Keys, counters.DefaultTable, stored.DefaultTable, turns.DefaultTable, audit.DefaultTable, ledger.DefaultTable, prices.DefaultTable)
}

func TestTheAppIsACustomHandlerOnFlexConsumption(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	if sku := s.One(t, "Microsoft.Web/serverfarms").SKU; sku["name"] != "FC1" || sku["tier"] != "FlexConsumption" {
		t.Errorf("got the plan %v, want FC1 of FlexConsumption", sku)
	}
	app := s.One(t, "Microsoft.Web/sites")
	config := fmt.Sprint(app.At("functionAppConfig", "runtime"), app.At("functionAppConfig", "scaleAndConcurrency"))
	want := "map[name:custom version:1.0]map[alwaysReady:[map[instanceCount:2 name:http]] instanceMemoryMB:512 maximumInstanceCount:9 triggers:map[http:map[perInstanceConcurrency:77]]]"
	if strings.ReplaceAll(config, "] map", "]map") != want {
		t.Errorf("the app: got %s, want %s", config, want)
	}
	for strategy, s := range map[string]biceptest.Snapshot{"Recreate": biceptest.Take(t, ""), "RollingUpdate": s} {
		if got := s.One(t, "Microsoft.Web/sites").At("functionAppConfig", "siteUpdateStrategy", "type"); got != strategy {
			t.Errorf("got instances replaced by %v, want %s", got, strategy)
		}
	}
	for _, name := range []string{"FUNCTIONS_WORKER_RUNTIME", "WEBSITE_RUN_FROM_PACKAGE"} {
		if _, set := s.Settings(t)[name]; set {
			t.Errorf("got %s, which Flex Consumption refuses, want it unset", name)
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
			t.Errorf("%s: got %v, want %v", name, insights.At(name), want)
		}
	}
	if got := s.Settings(t)["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]; !strings.Contains(got, "Authorization=AAD") {
		t.Errorf("got metrics sent with %s, want Authorization=AAD", got)
	}
	if got := fmt.Sprint(s.One(t, "Microsoft.Insights/actionGroups").At("emailReceivers")); !strings.Contains(got, "on-call@example.com") {
		t.Errorf("got alerts sent to %s, want on-call@example.com among them", got)
	}
}

func TestWorkbookAndAlertsAlsoSeeLateItems(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, "")
	insights := s.One(t, "Microsoft.Insights/components").ID
	if source := s.One(t, "Microsoft.Insights/workbooks").At("sourceId"); source != insights {
		t.Errorf("got the workbook's source %v, want %v", source, insights)
	}
	rules := s.Of("Microsoft.Insights/scheduledQueryRules")
	if len(rules) == 0 {
		t.Error("got no alert rules, want some")
	}
	for _, rule := range rules {
		if scopes := fmt.Sprint(rule.At("scopes")); scopes != "["+insights+"]" {
			t.Errorf("%s: got the scopes %s, want [%s]", rule.Name, scopes, insights)
		}
		if window, often := rule.At("windowSize"), rule.At("evaluationFrequency"); often != "PT5M" || window == "PT5M" {
			t.Errorf("%s: got a window of %v every %v, want more than the PT5M between runs, so that late items are seen", rule.Name, window, often)
		}
		if groups := fmt.Sprint(rule.At("actions", "actionGroups")); !strings.Contains(groups, "actionGroupId") {
			t.Errorf("%s: got the action groups %s, want the deployment's", rule.Name, groups)
		}
	}
}

func TestTheVaultAndTheModelHaveDiagnostics(t *testing.T) {
	t.Parallel()
	var logged []string
	for _, r := range biceptest.Take(t, "").Of("Microsoft.Insights/diagnosticSettings") {
		_, scope, _ := strings.Cut(r.ID, "/providers/Microsoft.")
		logged = append(logged, strings.Split(scope, "/")[0])
	}
	slices.Sort(logged)
	wantList(t, "diagnostic settings", logged, "CognitiveServices", "KeyVault", "Storage", "Web")
}

// secret matches a Bicep expression that contains a secure parameter or a key.
var secret = regexp.MustCompile(`parameters\('(keyPepper|upstreamApiKey|alertWebhookUrl|alertWebhookSecret)'\)|newGuid\(|list[A-Z]\w*\(`)

func TestSecretsAreOnlyInTheVault(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, everything)
	inVault := 0
	for _, r := range s.Resources {
		found := secret.FindString(fmt.Sprint(r.Properties))
		switch {
		case r.Type == "Microsoft.KeyVault/vaults/secrets" && found != "":
			inVault++
		case found != "":
			t.Errorf("%s: got the secret %s, want it in the vault only", r.ID, found)
		}
	}
	if inVault != 4 {
		t.Errorf("got %d secrets in the vault, want 4", inVault)
	}
	if found := secret.FindString(fmt.Sprint(s.Outputs)); found != "" {
		t.Errorf("got the secret %s in the outputs, want none", found)
	}
	settings := s.Settings(t)
	for _, name := range []string{"KEY_PEPPER", "UPSTREAM_API_KEY", "ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET"} {
		if !strings.Contains(settings[name], "@Microsoft.KeyVault(SecretUri=") {
			t.Errorf("%s: got %s, want a Key Vault reference", name, settings[name])
		}
	}
}

func TestADeploymentKeepsTheExistingPepperAndWebhookSecret(t *testing.T) {
	t.Parallel()
	output, err := biceptest.Run(t, ".", "build", "modules/vault.bicep", "--stdout")
	if err != nil {
		t.Fatalf("got %s, want the vault's template", output)
	}
	for _, name := range []string{"pepper", "webhookSecret"} {
		_, resource, found := strings.Cut(output, `"`+name+`": {`)
		if before, _, _ := strings.Cut(resource, `"type"`); !found || !strings.Contains(before, `"onlyIfNotExists"`) {
			t.Errorf("%s: got the conditions %s, want onlyIfNotExists: a second deployment must keep it", name, before)
		}
	}
}

func TestWithoutAWebhookTheVaultHasNoneAndTheAppNoSetting(t *testing.T) {
	t.Parallel()
	s := biceptest.Take(t, "")
	for _, r := range s.Of("Microsoft.KeyVault/vaults/secrets") {
		if strings.Contains(r.ID, "alert-webhook") {
			t.Errorf("got %s, want no secret of a webhook", r.ID)
		}
	}
	for name := range s.Settings(t) {
		if strings.HasPrefix(name, "ALERT_WEBHOOK") {
			t.Errorf("got the setting %s, want none", name)
		}
	}
}

// names holds Azure's rules for the last part of a name, by resource type.
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
				t.Errorf("%q: got no %s, want one", parameters, kind)
			}
			for _, r := range found {
				if !names[kind].MatchString(r.Name) || len(r.Name) > 24 && (kind == "Microsoft.Storage/storageAccounts" || kind == "Microsoft.KeyVault/vaults") {
					t.Errorf("%q: got the name %q of a %s, want one that Azure accepts", parameters, r.Name, kind)
				}
			}
		}
	}
}
