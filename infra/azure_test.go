package infra_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakes stand in for the tools, each writing down how it was called.
var fakes = map[string]string{
	"az": `echo "az $*" >> "$CALLS"
case "$*" in
  "account show"*) [ -z "${LOGGED_OUT:-}" ] && echo "Team 0000-1111" ;;
  "group exists"*) echo "${EXISTS:-false}" ;;
  "ad signed-in-user"*) [ -n "${ME:-}" ] && echo "$ME" ;;
  "resource list"*) echo "Microsoft.Web/sites func-tollgate-x" ;;
  "deployment group create"*) echo "operators $OPERATOR_IDS" >> "$CALLS" ;;
  *outputs.appName*) echo func-tollgate-x ;;
  *outputs.url*) echo https://func-tollgate-x.azurewebsites.net ;;
  *outputs.answeredBy*) echo DeepSeek-R1 is answered by DeepSeek-V3.2 ;;
  *outputs.next*) echo tollgate tier set ;;
  *config-zip*) n=$(cat "$TRIES" 2>/dev/null || echo 0); echo $((n + 1)) > "$TRIES"; [ "$n" -ge "${REFUSALS:-0}" ] ;;
esac`,
	"func": `echo "func $* in $PWD as $FUNCTIONS_WORKER_RUNTIME" >> "$CALLS"`,
	"make": `echo "make $*" >> "$CALLS"; mkdir -p .artifacts/app`,
}

// azure runs infra/azure.sh with the fakes of these tools alone, an answer to
// its question, and settings. It returns what was printed and what was called.
func azure(t *testing.T, tools, command, answer string, settings ...string) (printed string, calls []string, err error) {
	t.Helper()
	dir := t.TempDir()
	bin, log := filepath.Join(dir, "bin"), filepath.Join(dir, "calls")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for tool := range strings.FieldsSeq(tools) {
		if err := os.WriteFile(filepath.Join(bin, tool), []byte("#!/bin/sh\n"+fakes[tool]+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, usual := range []string{"sh", "dirname", "cat", "sed", "sleep", "mkdir"} {
		path, err := exec.LookPath(usual)
		if err != nil {
			t.Skipf("no %s: %v", usual, err)
		}
		if err := os.Symlink(path, filepath.Join(bin, usual)); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.Command("./azure.sh", command)
	run.Env = append([]string{"PATH=" + bin, "CALLS=" + log, "TRIES=" + filepath.Join(dir, "tries"), "RETRY_SECONDS=0", "ANSWER_FROM_STDIN=1"}, settings...)
	run.Stdin = strings.NewReader(answer + "\n")
	output, err := run.CombinedOutput()
	text, _ := os.ReadFile(log) // none where nothing was called
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "az account show") && !strings.HasPrefix(line, "az group exists") && !strings.HasPrefix(line, "az ad ") &&
			!strings.HasPrefix(line, "az deployment group show") && !strings.HasPrefix(line, "az resource list") {
			calls = append(calls, strings.TrimSpace(line)) // the others change nothing
		}
	}
	return string(output), calls, err
}

func TestEachCommandChecksBeforeItDoesAnything(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tools, command, answer, want string
		settings                     []string
	}{
		"no az":            {"make func", "deploy", "y", "az is not installed", []string{"GROUP=g", "LOCATION=l"}},
		"no az, publish":   {"make func", "publish", "y", "az is not installed", []string{"APP=a"}},
		"no az, destroy":   {"make func", "destroy", "g", "az is not installed", []string{"GROUP=g"}},
		"no func":          {"make az", "publish", "y", "func is not installed", []string{"APP=a"}},
		"func by its name": {"make az", "publish", "y", "core-tools is not installed", []string{"APP=a", "FUNC=core-tools"}},
		"no login":         {"make az", "deploy", "y", "run az login", []string{"GROUP=g", "LOCATION=l", "LOGGED_OUT=1"}},
		"no login, func":   {"make az func", "publish", "y", "run az login", []string{"APP=a", "LOGGED_OUT=1"}},
		"no group":         {"make az", "deploy", "y", "GROUP is missing: set it, as in make deploy GROUP=", nil},
		"no location":      {"make az", "deploy", "y", "LOCATION is missing", []string{"GROUP=g"}},
		"no app":           {"make az func", "publish", "y", "APP is missing", nil},
		"not agreed":       {"make az", "deploy", "n", "Nothing was done", []string{"GROUP=g", "LOCATION=l"}},
		"another name":     {"make az", "destroy", "h", "Nothing was done", []string{"GROUP=g", "EXISTS=true"}},
		"no such group":    {"make az", "destroy", "g", "There is no resource group g", []string{"GROUP=g"}},
		"nobody there":     {"make az", "deploy", "", "set YES=1", []string{"GROUP=g", "LOCATION=l", "ANSWER_FROM_STDIN="}},
		"no such command":  {"make az", "undo", "", "usage:", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			printed, calls, err := azure(t, c.tools, c.command, c.answer, c.settings...)
			if err == nil || !strings.Contains(printed, c.want) {
				t.Errorf("%v: %s", err, printed)
			}
			if calls != nil {
				t.Errorf("it did %q", calls)
			}
		})
	}
}

func TestDeploySaysWhatItWillDoAndDoesIt(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az make", "deploy", "y", "GROUP=g", "LOCATION=swedencentral", "ME=my-id", "REFUSALS=1")
	if err != nil {
		t.Fatal(err, printed)
	}
	wantCalls(t, calls,
		"make package",
		"az group create --name g --location swedencentral --output none",
		"az deployment group create --resource-group g --name tollgate --parameters infra/main.bicepparam --output none",
		"operators my-id",
		"az functionapp deployment source config-zip --resource-group g --name func-tollgate-x --src .artifacts/tollgate.zip --output none",
		"az functionapp deployment source config-zip --resource-group g --name func-tollgate-x --src .artifacts/tollgate.zip --output none")
	for _, want := range []string{"In the subscription Team 0000-1111:", "make the resource group g in swedencentral", "let my-id run",
		"try 1 of 5", "DeepSeek-R1 is answered by DeepSeek-V3.2", "https://func-tollgate-x.azurewebsites.net", "tollgate tier set"} {
		if !strings.Contains(printed, want) {
			t.Errorf("no %q in:\n%s", want, printed)
		}
	}
}

func TestDeployUpdatesAGroupThatIsThere(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az make", "deploy", "", "GROUP=g", "EXISTS=true", "YES=1", "PARAMETERS=team.bicepparam", "OPERATOR_IDS=a,b")
	if err != nil || strings.Contains(printed, "make the resource group") {
		t.Fatal(err, printed)
	}
	wantCalls(t, calls,
		"make package",
		"az deployment group create --resource-group g --name tollgate --parameters team.bicepparam --output none",
		"operators a,b",
		"az functionapp deployment source config-zip --resource-group g --name func-tollgate-x --src .artifacts/tollgate.zip --output none")
}

func TestDeployFailsWhereThePackageIsNeverTaken(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az make", "deploy", "y", "GROUP=g", "EXISTS=true", "REFUSALS=9")
	if err == nil || !strings.Contains(printed, "The package was not taken. Everything else is deployed") || len(calls) != 3+5 {
		t.Errorf("%v after %d calls: %s", err, len(calls), printed)
	}
}

func TestPublishGivesFuncTheFolderOfThePackage(t *testing.T) {
	t.Parallel()
	printed, calls, err := azure(t, "az make func", "publish", "y", "APP=func-tollgate-x")
	if err != nil || !strings.Contains(printed, "to the app func-tollgate-x, replacing what it runs") {
		t.Fatal(err, printed)
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
		!strings.Contains(printed, "as the Foundry resource does") {
		t.Errorf("%v: %s", err, printed)
	}
	wantCalls(t, calls, "az group delete --name g --yes")
}

func wantCalls(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("it did\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
