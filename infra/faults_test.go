package infra_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tollgate/infra/biceptest"
)

const (
	sound     = `model: { deployment: 'DeepSeek-R1', name: 'DeepSeek-V3.2', version: '1', format: 'DeepSeek', sku: 'GlobalStandard', capacity: 100 }`
	soundSize = `scale: { instanceMemoryMB: 2048, perInstanceConcurrency: 200, alwaysReady: 0, maximumInstances: 40 }`
)

// cases holds parameters with the beginnings of their faults.
var cases = []struct {
	parameters string // of faultsOf, replacing the valid ones of the same names
	want       []string
}{
	{"", nil},
	{"foundryAccountId: '" + theirs + "'", nil},
	{"upstreamUrl: 'https://models.example.com'", nil},
	{"foundryAccountId: '" + theirs + "', upstreamUrl: 'https://models.example.com'", []string{"foundryAccountId and upstreamUrl both name"}},
	{"foundryAccountId: 'theirs'", []string{`foundryAccountId is "theirs": use a resource id`}},
	{"foundryAccountId: '/subscriptions/s/resourceGroups/g/providers/Microsoft.Search/searchServices/s'", []string{"foundryAccountId is"}},
	{"foundryAccountId: '" + theirs + "/deployments/d'", []string{"foundryAccountId is"}},
	{"scale: { instanceMemoryMB: 512, perInstanceConcurrency: 1, alwaysReady: 5, maximumInstances: 5 }", nil},
	{"scale: { instanceMemoryMB: 512, perInstanceConcurrency: 1, alwaysReady: 6, maximumInstances: 5 }", []string{"scale.alwaysReady is 6, above scale.maximumInstances, 5"}},
	{strings.NewReplacer("GlobalStandard", "GlobalBatch").Replace(sound), []string{"model.sku is GlobalBatch"}},
	{strings.NewReplacer("GlobalStandard", "DataZoneProvisionedManaged", "100", "14").Replace(sound), []string{"model.capacity is 14"}},
	{strings.NewReplacer("GlobalStandard", "DataZoneProvisionedManaged", "100", "15").Replace(sound), nil},
	{"clientIpHeader: 'X-Azure-ClientIP'", []string{"clientIpHeader is X-Azure-ClientIP without frontDoorId"}},
	{"clientIpHeader: 'X-Azure-ClientIP', frontDoorId: 'fd-id'", nil},
	{"housekeepingSchedule: '0 */5 * * * *'", nil},
	{"housekeepingSchedule: '0 30 3 * * *'", nil},
	{"housekeepingSchedule: '0 0 0 * * 1'", []string{`The schedule of housekeeping is "0 0 0 * * 1"`}},
	{"housekeepingSchedule: '0 * * * *'", []string{"The schedule of housekeeping is"}},
	{"housekeepingSchedule: '01:00:00'", []string{"The schedule of housekeeping is"}},
	{"settings: { MANAGE_KEY: 'canary' }", []string{"settings has MANAGE_KEY"}},
	{"settings: { KEY_PEPPER: 'canary', UPSTREAM_API_KEY: 'canary' }", []string{"settings has a secret in KEY_PEPPER", "settings has a secret in UPSTREAM_API_KEY"}},
	{"settings: { EAST_KEY: '@Microsoft.KeyVault(SecretUri=https://v/secrets/east)' }", nil},
	{"settings: { east_key: 'canary' }", []string{"settings has a secret in east_key"}},
	{"settings: { AzureWebJobsStorage: 'AccountName=a;AccountKey=canary' }", []string{"settings has a secret in AzureWebJobsStorage"}},
	{`settings: { UPSTREAMS: '[{"credential":{"apiKey":"canary"}}]' }`, []string{"settings has a secret in UPSTREAMS"}},
	{`settings: { UPSTREAMS: '[{"credential":{"APIKEY":"canary"}}]' }`, []string{"settings has a secret in UPSTREAMS"}},
	{`settings: { UPSTREAMS: '[{"credential":{"setting":"EAST_KEY"}}]', MODELS: 'a,b' }`, nil},
	{"settings: { MANAGE_KEY: 'canary' }, clientIpHeader: 'X', foundryAccountId: 'x'",
		[]string{"foundryAccountId is", "clientIpHeader is X", "settings has MANAGE_KEY"}},
}

// evaluated compiles a template beside modules/ and returns its outputs' values by name.
func evaluated(t *testing.T, template string) map[string]any {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(biceptest.Folder(), "modules"), filepath.Join(dir, "modules")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"main.bicep": template, "main.bicepparam": "using 'main.bicep'\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if output, err := biceptest.Run(t, dir, "snapshot", "main.bicepparam", "--mode", "overwrite"); err != nil {
		t.Fatalf("bicep snapshot: got error %v and %s, want a snapshot", err, output)
	}
	text, err := os.ReadFile(filepath.Join(dir, "main.snapshot.json"))
	if err != nil {
		t.Fatal(err)
	}
	var snapshot struct{ Outputs map[string]any }
	if err := json.Unmarshal(text, &snapshot); err != nil {
		t.Fatal(err)
	}
	return snapshot.Outputs
}

func TestInvalidParametersAreReportedWithTheFix(t *testing.T) {
	t.Parallel()
	biceptest.Compiler(t)
	all := map[string]string{"model": sound, "scale": soundSize, "foundryAccountId": "foundryAccountId: ''", "upstreamUrl": "upstreamUrl: ''",
		"clientIpHeader": "clientIpHeader: ''", "frontDoorId": "frontDoorId: ''", "housekeepingSchedule": "housekeepingSchedule: '0 0 * * * *'", "settings": "settings: {}"}
	template := "import { faultsOf } from 'modules/faults.bicep'\n"
	for i, c := range cases {
		given := []string{}
		for name, text := range all {
			if !strings.Contains(c.parameters, name+":") {
				given = append(given, text)
			}
		}
		if c.parameters != "" {
			given = append(given, c.parameters)
		}
		template += fmt.Sprintf("output case%d string[] = faultsOf({ %s })\n", i, strings.Join(given, ", "))
	}
	found := evaluated(t, template)
	for i, c := range cases {
		var got []string
		for _, fault := range found[fmt.Sprintf("case%d", i)].([]any) {
			got = append(got, fault.(string))
		}
		if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
			t.Errorf("%s: got the faults %q, want %q", c.parameters, got, c.want)
		}
		if strings.Contains(strings.Join(got, " "), "canary") {
			t.Errorf("%s: got the faults %q, want them without the secret", c.parameters, got)
		}
	}
}

// TestInvalidParametersDeployNothing: every resource's name depends on the check.
func TestInvalidParametersDeployNothing(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("main.bicepparam")
	if err != nil {
		t.Fatal(err)
	}
	_, err = biceptest.TakeFile(t, string(text)+"param upstreamUrl = 'https://models.example.com'\nparam foundryAccountId = '"+theirs+"'\nparam clientIpHeader = 'X'\n"+
		"param settings = { MANAGE_KEY: 'canary', HOUSEKEEPING_SCHEDULE: '@daily' }")
	for _, want := range []string{"leave one of them empty", "without frontDoorId", "set manageAudience", `housekeeping is "@daily"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want a fault with %q", err, want)
		}
	}
}

func TestTheAlertWaitsForThreePeriodsOfHousekeeping(t *testing.T) {
	t.Parallel()
	biceptest.Compiler(t)
	schedules := map[string]float64{"0 0 * * * *": 1, "0 */10 * * * *": 1, "0 0 */4 * * *": 4, "0 0 3 * * *": 24, "0 0 3,15 * * *": 24, "0 0 */24 * * *": 24}
	template, names := "import { hoursBetween } from 'modules/faults.bicep'\n", []string{}
	for schedule := range schedules {
		template += fmt.Sprintf("output schedule%d int = hoursBetween('%s')\n", len(names), schedule)
		names = append(names, schedule)
	}
	found := evaluated(t, template)
	for i, schedule := range names {
		if got := found[fmt.Sprintf("schedule%d", i)]; got != schedules[schedule] {
			t.Errorf("%s: got %v hours between runs, want %v", schedule, got, schedules[schedule])
		}
	}
	for hours, parameters := range map[string]string{"3": "", "48": "param settings = { HOUSEKEEPING_SCHEDULE: '0 0 3 * * *' }"} {
		rules := biceptest.Take(t, parameters).Of("Microsoft.Insights/scheduledQueryRules")
		i := slices.IndexFunc(rules, func(r biceptest.Resource) bool { return r.Name == "tollgate-housekeeping" })
		if i < 0 {
			t.Fatal("got no alert rule for housekeeping, want one")
		}
		if got := fmt.Sprint(rules[i].At("criteria")); !strings.Contains(got, "let silence = "+hours+"h;") || rules[i].At("overrideQueryTimeRange") != "P2D" {
			t.Errorf("%s: got a rule with %s over %v, want a silence of %s h looked for in P2D", parameters, got, rules[i].At("overrideQueryTimeRange"), hours)
		}
	}
}

// siteConfig lists the accepted names. Flex Consumption refuses most others.
// Source: https://github.com/Azure/azure-cli/issues/31414
var siteConfig = []string{"minTlsVersion", "http20Enabled", "cors", "ipSecurityRestrictions", "ipSecurityRestrictionsDefaultAction",
	"scmIpSecurityRestrictions", "scmIpSecurityRestrictionsDefaultAction"}

func TestSiteConfigHasOnlyWhatFlexConsumptionAccepts(t *testing.T) {
	t.Parallel()
	output, err := exec.Command(biceptest.Compiler(t), "build", "main.bicep", "--stdout").Output()
	if err != nil {
		t.Fatal(err)
	}
	var template any
	if err := json.Unmarshal(output, &template); err != nil {
		t.Fatal(err)
	}
	found := 0
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, inner := range value {
				if name == "siteConfig" {
					found++
					object, ok := inner.(map[string]any)
					if !ok {
						t.Errorf("got the siteConfig %v, want an object with literal names", inner)
					}
					for set := range object {
						if !slices.Contains(siteConfig, set) {
							t.Errorf("got %s in siteConfig, want only names that Flex Consumption is known to accept", set)
						}
					}
				}
				walk(inner)
			}
		case []any:
			for _, inner := range value {
				walk(inner)
			}
		}
	}
	walk(template)
	if found == 0 {
		t.Error("got no siteConfig, want one")
	}
}

func TestPackagesComeOnlyFromTheGivenAddresses(t *testing.T) {
	t.Parallel()
	config := fmt.Sprint(biceptest.Take(t, everything).One(t, "Microsoft.Web/sites").At("siteConfig"))
	if !strings.Contains(config, "scmIpSecurityRestrictionsDefaultAction:Deny") || !strings.Contains(config, "ipAddress:192.0.2.0/24") {
		t.Errorf("got the deployment site's restrictions %s, want Deny by default and 192.0.2.0/24 allowed", config)
	}
	config = fmt.Sprint(biceptest.Take(t, "").One(t, "Microsoft.Web/sites").At("siteConfig"))
	if !strings.Contains(config, "scmIpSecurityRestrictionsDefaultAction:Allow") {
		t.Errorf("got the deployment site's restrictions %s, want Allow by default", config)
	}
}

func TestAlertRulesDeployBeforeTheirTablesExist(t *testing.T) {
	t.Parallel()
	for _, rule := range biceptest.Take(t, "").Of("Microsoft.Insights/scheduledQueryRules") {
		if rule.At("skipQueryValidation") != true {
			t.Errorf("%s: got skipQueryValidation %v, want true", rule.Name, rule.At("skipQueryValidation"))
		}
	}
}
