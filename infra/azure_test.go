package infra_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tollgate/infra/biceptest"
)

// fakes stand in for the tools other than az. Each records how it was called.
var fakes = map[string]string{
	"func": `echo "func $* in $PWD as $FUNCTIONS_WORKER_RUNTIME" >> "$CALLS"; [ -z "${UNHEALTHY:-}" ]`,
	"make": `echo "make $*" >> "$CALLS"; mkdir -p .artifacts/app`,
	"curl": `echo "curl $*" >> "$CALLS"
n=$(cat "$CALLS.curl" 2>/dev/null || echo 0); echo $((n + 1)) > "$CALLS.curl"
[ "$n" -ge "${COLD:-0}" ] || { echo "curl: (28) Operation timed out"; exit 28; }
case "${ANSWERS:-tollgate}" in
  tollgate) printf 'HTTP/2 401 \r\ncontent-type: application/json\r\nx-request-id: 0123\r\n\r\n' ;;
  host) printf 'HTTP/1.1 503 Function host is not running.\r\nX-Request-Id: 0123\r\n\r\n' ;;
  stranger) printf 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n\r\n' ;;
  page) printf 'HTTP/2 200 \r\nx-request-id: 0123\r\n\r\n' ;;
esac`,
}

// changes matches calls that change something or call the gateway.
var changes = regexp.MustCompile(`^(make|func|curl|operators|az (group (create|delete)|deployment group (create|what-if)|functionapp (deployment|restart)|rest --method post))\b`)

// azure runs infra/azure.sh with fakes of these tools only, an answer to its question,
// and settings. It returns the output and the calls that matched changes.
func azure(t *testing.T, tools, command, answer string, settings ...string) (printed string, calls []string, err error) {
	t.Helper()
	return staged(t, tools, exec.Command("./azure.sh", command), answer, settings...)
}

// staged runs a command as azure does.
func staged(t *testing.T, tools string, run *exec.Cmd, answer string, settings ...string) (printed string, calls []string, err error) {
	t.Helper()
	dir := t.TempDir()
	bin, log := filepath.Join(dir, "bin"), filepath.Join(dir, "calls")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for tool := range strings.FieldsSeq(tools) {
		script := fakes[tool]
		if tool == "az" {
			script = `AZ_STANDIN=1 GORACE=atexit_sleep_ms=0 exec ` + self + ` "$@"` // the race detector would sleep a second at each exit
		}
		if err := os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, usual := range []string{"sh", "dirname", "cat", "sed", "sleep", "mkdir", "rm"} {
		path, err := exec.LookPath(usual)
		if err != nil {
			t.Skipf("no %s: %v", usual, err)
		}
		if err := os.Symlink(path, filepath.Join(bin, usual)); err != nil {
			t.Fatal(err)
		}
	}
	run.Env = append([]string{"PATH=" + bin, "CALLS=" + log, "RETRY_SECONDS=0", "ANSWER_FROM_STDIN=1"}, settings...)
	run.Stdin = strings.NewReader(answer + "\n")
	output, err := run.CombinedOutput()
	text, _ := os.ReadFile(log) // there is no log if nothing was called
	for line := range strings.Lines(string(text)) {
		if changes.MatchString(line) {
			calls = append(calls, strings.TrimSpace(line))
		}
	}
	return string(output), calls, err
}

// here names an existing deployment.
var here = []string{"GROUP=g", "EXISTS=true"}

func TestEachCommandChecksBeforeItDoesAnything(t *testing.T) {
	t.Parallel()
	const all = "make az curl func"
	for name, c := range map[string]struct {
		tools, command, answer, want string
		settings                     []string
	}{
		"no az":            {"make curl", "deploy", "y", "az is not installed", []string{"GROUP=g", "LOCATION=l"}},
		"no az, publish":   {"make func", "publish", "y", "az is not installed", []string{"APP=a"}},
		"no az, refresh":   {"make", "refresh", "", "az is not installed", []string{"GROUP=g", "APP=a"}},
		"no az, destroy":   {"make func", "destroy", "g", "az is not installed", []string{"GROUP=g"}},
		"no curl":          {"make az", "deploy", "y", "curl is not installed", here},
		"no func":          {"make az", "publish", "y", "func is not installed", []string{"APP=a"}},
		"func by its name": {"make az", "publish", "y", "core-tools is not installed", []string{"APP=a", "FUNC=core-tools"}},
		"no login":         {all, "deploy", "y", "run az login", []string{"GROUP=g", "LOCATION=l", "LOGGED_OUT=1"}},
		"no login, func":   {all, "publish", "y", "run az login", []string{"APP=a", "LOGGED_OUT=1"}},
		"no subscription":  {all, "deploy", "y", "without a subscription: az account list", append(here, "NO_SUBSCRIPTION=1")},
		"no group":         {all, "deploy", "y", "GROUP is missing: set it, as in make deploy GROUP=", nil},
		"no location":      {all, "deploy", "y", "There is no resource group g yet, and LOCATION, the region to create it in, is missing", []string{"GROUP=g"}},
		"no app":           {all, "publish", "y", "APP is missing", nil},
		"no app, refresh":  {all, "refresh", "", "APP is missing: set it, as in make refresh GROUP=g APP=", []string{"GROUP=g"}},
		"no parameters":    {all, "deploy", "y", "There is no parameter file infra/none.bicepparam", append(here, "PARAMETERS=infra/none.bicepparam")},
		"not agreed":       {all, "deploy", "n", "Nothing was changed", []string{"GROUP=g", "LOCATION=westeurope"}},
		"another name":     {all, "destroy", "h", "Nothing was changed", here},
		"no such group":    {all, "destroy", "g", "There is no resource group g", []string{"GROUP=g"}},
		"nobody there":     {all, "deploy", "", "set YES=1", []string{"GROUP=g", "LOCATION=westeurope", "ANSWER_FROM_STDIN="}},
		"no such command":  {all, "undo", "", "usage:", nil},

		"an old az":        {all, "deploy", "y", "az is version 2.87.1, and 2.88.0 or newer is needed: az upgrade", append(here, "AZ_VERSION=2.87.1")},
		"an old Bicep":     {all, "deploy", "y", "Bicep CLI version 0.9.1 (b98a3e4c41) is too old, and 0.41.2 or newer is needed: az bicep upgrade", append(here, "BICEP_VERSION=0.9.1")},
		"no Bicep":         {all, "deploy", "y", "Bicep is not installed: az bicep install", append(here, "BICEP_VERSION=")},
		"faulty":           {all, "deploy", "y", "infra/main.bicepparam is not valid: leave one of them empty.\n", append(here, "FAULT=Template snapshotting could not be completed for the following reason: 'The template variable 'suffix' is not valid: leave one of them empty.. Please see https://aka.ms/arm-functions for usage details.'.")},
		"a provider":       {all, "deploy", "y", "Microsoft.KeyVault is not registered: az provider register --namespace Microsoft.KeyVault --wait", append(here, "UNREGISTERED=Microsoft.KeyVault")},
		"in lower case":    {all, "deploy", "y", "az provider register --namespace Microsoft.Insights --wait", append(here, "UNREGISTERED=microsoft.insights")},
		"of the network":   {all, "deploy", "y", "az provider register --namespace Microsoft.App --wait", append(here, "UNREGISTERED=Microsoft.App", `GIVEN={"privateNetwork":true}`)},
		"a reader":         {all, "deploy", "y", "az role assignment create --role Contributor --assignee YOU --scope /subscriptions/0000-1111/resourceGroups/g, run by an owner", append(here, "ROLES=Reader")},
		"no roles to give": {all, "deploy", "y", "'Role Based Access Control Administrator' --assignee YOU --scope /subscriptions/0000-1111, run by an owner", []string{"GROUP=g", "LOCATION=westeurope", "ROLES=Contributor,Reader"}},
		"only roles":       {all, "deploy", "y", "You may not create resources", append(here, "ROLES=User Access Administrator")},
		"no such model":    {all, "deploy", "y", "westeurope has no DeepSeek DeepSeek-V4-Pro, version 2026-04-23: choose another model", append(here, `GIVEN={"model":{"name":"DeepSeek-V4-Pro","version":"2026-04-23","format":"DeepSeek","sku":"GlobalStandard"}}`)},
		"another version":  {all, "deploy", "y", "swedencentral has no OpenAI gpt-4o, version 2024-05-13", []string{"GROUP=g", "LOCATION=swedencentral", `GIVEN={"model":{"name":"gpt-4o","version":"2024-05-13","format":"OpenAI","sku":"Standard"}}`}},
		"another sku":      {all, "deploy", "y", "but not as DataZoneStandard", append(here, `GIVEN={"model":{"name":"gpt-4o","version":"2024-11-20","format":"OpenAI","sku":"DataZoneStandard"}}`)},
		"no such resource": {all, "deploy", "y", "The resource /subscriptions/s doesn't exist, or you may not read it: correct foundryAccountId", append(here, `GIVEN={"foundryAccountId":"/subscriptions/s"}`)},
		"another kind":     {all, "deploy", "y", "is of kind SpeechServices, which can't answer chat completions", append(here, "KIND=SpeechServices", `GIVEN={"foundryAccountId":"/subscriptions/s"}`)},
		"no preview":       {all, "deploy", "", "There is no resource group g, and a preview needs one: az group create --name g --location westeurope", []string{"GROUP=g", "LOCATION=westeurope", "WHAT_IF=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			printed, calls, err := azure(t, c.tools, c.command, c.answer, c.settings...)
			if err == nil || !strings.Contains(printed, c.want) {
				t.Errorf("got error %v and %s, want an error and %q", err, printed, c.want)
			}
			if calls != nil {
				t.Errorf("got the changes %q, want none", calls)
			}
		})
	}
}

func TestEverythingMissingIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	printed, _, err := azure(t, "az make curl", "deploy", "y", append(here, "UNREGISTERED=Microsoft.Web Microsoft.Storage", "ROLES=Reader", "FAULT=broken",
		`GIVEN={"model":{"name":"none","version":"1","format":"DeepSeek","sku":"GlobalStandard"}}`)...)
	if err == nil || strings.Count(printed, "\n- ") != 6 {
		t.Errorf("got error %v and %s, want two providers, two roles, a model and the parameters", err, printed)
	}
}

// TestOtherRolesAndUnknownStatesDontStopADeployment: other roles may grant the same rights,
// and a check that can't read its facts is skipped.
func TestOtherRolesAndUnknownStatesDontStopADeployment(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"two roles":          {"ROLES=Reader,Contributor,Role Based Access Control Administrator"},
		"two others":         {"ROLES=Contributor,User Access Administrator"},
		"rights unseen":      {"ROLES=hidden"},
		"the oldest":         {"AZ_VERSION=2.88.0", "BICEP_VERSION=0.41.2"},
		"a new major":        {"AZ_VERSION=3.0.0", "BICEP_VERSION=1.0.0"},
		"no network":         {"UNREGISTERED=Microsoft.App Microsoft.Network"},
		"Azure OpenAI":       {"KIND=OpenAI", `GIVEN={"foundryAccountId":"/subscriptions/s","model":{"name":"none"}}`},
		"elsewhere":          {`GIVEN={"upstreamUrl":"https://models.example.com","model":{"name":"none"}}`},
		"checks are skipped": {"SKIP_CHECKS=1", "ROLES=Reader", "FAULT=broken", "AZ_VERSION=2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			printed, calls, err := azure(t, "az make curl", "deploy", "", append(append(settings, here...), "WHAT_IF=1")...)
			if err != nil {
				t.Errorf("got error %v and %s, want the preview", err, printed)
			}
			wantCalls(t, calls, "az deployment group what-if --resource-group g --name tollgate --parameters infra/main.bicepparam", "operators")
		})
	}
}

// TestParametersAreReadFromBicepsOutput uses the real compiler. Its errors stop a
// deployment before the group is created.
func TestParametersAreReadFromBicepsOutput(t *testing.T) {
	t.Parallel()
	compiler := biceptest.Compiler(t)
	text, err := os.ReadFile("main.bicepparam")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(biceptest.Folder(), ".tollgate-check.test.bicepparam") // ignored by git
	t.Cleanup(func() { os.Remove(file) })
	for _, c := range []struct {
		added string
		want  []string
	}{
		{"param privateNetwork = true\nparam clientIpHeader = 'X'\nparam location = 'here'\nparam settings = { BASE_PATH: 'a \"value\": \\\\n b' }\n",
			[]string{".bicepparam is not valid: clientIpHeader is X without frontDoorId", "leave clientIpHeader empty.\n", "--namespace Microsoft.App",
				"here has no DeepSeek DeepSeek-V3.2, version 9"}},
		{"param frontDoorId = 1\n", []string{"can't be read", "BCP"}},
	} {
		given := strings.Replace(string(text), "version: '1'", "version: '9'", 1) + c.added
		if err := os.WriteFile(file, []byte(given), 0o600); err != nil {
			t.Fatal(err)
		}
		printed, calls, err := azure(t, "az make curl", "deploy", "y", "GROUP=g", "LOCATION=westeurope", "BICEP="+compiler, "BICEP_PATH="+os.Getenv("PATH"), "UNREGISTERED=Microsoft.App",
			"PARAMETERS=infra/"+filepath.Base(file), "HOME="+t.TempDir(), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1")
		if err == nil || calls != nil {
			t.Errorf("%s: got error %v and the changes %q, want an error and no changes", c.added, err, calls)
		}
		for _, want := range c.want {
			if !strings.Contains(printed, want) {
				t.Errorf("%s: got\n%s\nwant %q in it", c.added, printed, want)
			}
		}
	}
}

const (
	upload  = "az functionapp deployment source config-zip --resource-group g --name func-tollgate-x --src .artifacts/tollgate.zip --output none"
	refresh = "az rest --method post --url /subscriptions/0000-1111/resourceGroups/g/providers/Microsoft.Web/sites/func-tollgate-x/config/configreferences/appsettings/refresh?api-version=2022-03-01 --output none"
	greet   = "curl --silent --show-error --max-time 30 --output /dev/null --dump-header - https://func-tollgate-x.azurewebsites.net/models"
	restart = "az functionapp restart --resource-group g --name func-tollgate-x --output none"
	create  = "az deployment group create --resource-group g --name tollgate --parameters infra/main.bicepparam --output none"
)

func TestDeployAnnouncesItsStepsAndRunsThem(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az make curl", "deploy", "y", "GROUP=g", "LOCATION=swedencentral", "ME=my-id", "UPLOADS=role,taken", "COLD=1",
		"REFERENCES=error,none,AccessToKeyVaultDenied,Resolved")
	if err != nil {
		t.Fatalf("got error %v and\n%s\nwant a deployment", err, printed)
	}
	wantCalls(t, calls, "make package", "az group create --name g --location swedencentral --output none", create, "operators my-id",
		refresh, refresh, refresh, refresh, upload, upload, greet, greet)
	for _, want := range []string{"In the subscription Team 0000-1111:", "create the resource group g in swedencentral", "allow my-id to run", "send alerts to nobody (set alertEmails",
		"KEY_PEPPER AccessToKeyVaultDenied", "try 3 of 20", "All Key Vault references are resolved",
		"try 1 of 5", "Tollgate answers at https://func-tollgate-x.azurewebsites.net", "DeepSeek-R1 is answered by DeepSeek-V3.2", "tollgate tier set\ntollgate key create"} {
		if !strings.Contains(printed, want) {
			t.Errorf("got\n%s\nwant %q in it", printed, want)
		}
	}
}

func TestDeployUpdatesAnExistingGroup(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az make curl", "deploy", "", append(here, "YES=1", "OPERATOR_IDS=a,b", `GIVEN={"alertEmails":["on-call@example.com"]}`)...)
	if err != nil || strings.Contains(printed, "create the resource group") || strings.Contains(printed, "nobody") {
		t.Fatalf("got error %v and\n%s\nwant a deployment that creates no group and names operators and receivers", err, printed)
	}
	wantCalls(t, calls, "make package", create, "operators a,b", refresh, upload, greet)
}

func TestDeployWithoutAUserSaysSo(t *testing.T) {
	t.Parallel()
	printed, _, err := azure(t, "az make curl", "deploy", "y", here...)
	if err != nil || !strings.Contains(printed, "allow nobody (set OPERATOR_IDS") {
		t.Errorf("got error %v and %s, want it to allow nobody and name OPERATOR_IDS", err, printed)
	}
}

func TestDeployWithAReferenceThatStaysUnresolvedUploadsNothing(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az make curl", "deploy", "y", append(here, "REFERENCES=SecretNotFound")...)
	if err == nil || !strings.Contains(printed, "try 20 of 20): KEY_PEPPER SecretNotFound") || !strings.Contains(printed, "make refresh GROUP=g APP=func-tollgate-x") {
		t.Errorf("got error %v and %s, want an error after try 20 with the reference and make refresh", err, printed)
	}
	if last := calls[len(calls)-1]; last != refresh {
		t.Errorf("got the last change %q, want %q", last, refresh)
	}
}

// TestEachOutcomeOfAnUploadHasItsOwnMessage: az fails with the same status whether or not
// the package was uploaded.
func TestEachOutcomeOfAnUploadHasItsOwnMessage(t *testing.T) {
	t.Parallel()
	const frontDoor = `GIVEN={"frontDoorId":"fd-id"}`
	for name, c := range map[string]struct {
		uploads  int
		fails    bool
		want     string
		settings []string
	}{
		"never taken":            {5, true, "The package was not uploaded. Everything else is deployed", []string{"UPLOADS=role"}},
		"not worth another try":  {1, true, "the package has no host.json", []string{"UPLOADS=broken"}},
		"taken, slow to come up": {1, false, "The package was uploaded, but az did not see the app start.\nTollgate answers", []string{"UPLOADS=unhealthy", "COLD=2"}},
		"taken, no host key":     {1, false, "The package was uploaded", []string{"UPLOADS=key"}},
		"taken, but unhealthy":   {1, true, "Tollgate does not answer at https://func-tollgate-x.azurewebsites.net. The last answer: HTTP/1.1 503", []string{"UPLOADS=unhealthy", "ANSWERS=host"}},
		"another answers":        {1, true, "Tollgate does not answer", []string{"ANSWERS=stranger"}},
		"the host's page":        {1, true, "Tollgate does not answer", []string{"ANSWERS=page"}},
		"nobody answers":         {1, true, "The last answer: curl: (28)", []string{"COLD=99"}},
		"behind a Front Door":    {1, false, "Request /models through it", []string{"UPLOADS=unhealthy", frontDoor}},
		"az waits for the app":   {1, false, "az did not finish in time. That is expected with frontDoorId", []string{"UPLOADS=forever", "UPLOAD_SECONDS=1", frontDoor}},
		"az hangs":               {1, true, "az did not finish within 1 s", []string{"UPLOADS=forever", "UPLOAD_SECONDS=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			printed, calls, err := azure(t, "az make curl", "deploy", "y", append(c.settings, here...)...)
			if (err != nil) != c.fails || !strings.Contains(printed, c.want) {
				t.Errorf("got error %v and %s, want failure %t and %q", err, printed, c.fails, c.want)
			}
			if got := strings.Count(strings.Join(calls, "\n"), upload); got != c.uploads {
				t.Errorf("got %d uploads, want %d", got, c.uploads)
			}
		})
	}
}

func TestRefreshReadsTheReferencesAgain(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az", "refresh", "", "GROUP=g", "APP=func-tollgate-x", "REFERENCES=Initialized,Resolved")
	if err != nil || !strings.Contains(printed, "are resolved") {
		t.Errorf("got error %v and %s, want resolved references", err, printed)
	}
	wantCalls(t, calls, refresh, refresh, restart)
}

func TestPublishExplainsAnAppThatDoesNotStart(t *testing.T) {
	t.Parallel()
	printed, _, err := azure(t, "az make func", "publish", "y", "APP=func-tollgate-x", "UNHEALTHY=1")
	if err == nil || !strings.Contains(printed, "If it says that the deployment was successful, the package is uploaded") {
		t.Errorf("got error %v and %s, want an error that says when the package is uploaded", err, printed)
	}
}

func TestPublishGivesFuncTheFolderOfThePackage(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az make func", "publish", "y", "APP=func-tollgate-x")
	if err != nil || !strings.Contains(printed, "to the app func-tollgate-x, replacing what it runs") {
		t.Fatalf("got error %v and\n%s\nwant the app's name and that it is replaced", err, printed)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	wantCalls(t, calls, "make package",
		"func azure functionapp publish func-tollgate-x --no-build in "+filepath.Join(root, ".artifacts", "app")+" as custom")
}

func TestDestroyDeletesTheGroupByItsName(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az", "destroy", "g", "GROUP=g", "EXISTS=true")
	if err != nil || !strings.Contains(printed, "Microsoft.Web/sites func-tollgate-x") || !strings.Contains(printed, "All keys, limits and usage are lost") ||
		!strings.Contains(printed, "the Foundry resource reserves its name for 2 days") {
		t.Errorf("got error %v and %s, want the resources, what is lost and which names stay reserved", err, printed)
	}
	wantCalls(t, calls, "az group delete --name g --yes")
}

func wantCalls(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got the changes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
