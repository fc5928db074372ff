package infra_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"tollgate/infra/biceptest"
)

// An azd holds the parts of azure.yaml that must agree with the other files.
type azd struct {
	Infra    struct{ Provider, Path, Module string }
	Services map[string]struct {
		Project, Host, Language, Dist string
		Hooks                         struct{ Prepackage hook }
	}
	Hooks struct{ Postprovision hook }
}

type hook struct{ Shell, Run string }

func azureYAML(t *testing.T) (a azd) {
	t.Helper()
	text, err := os.ReadFile("../azure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAzdDeploysThePackageOfTheMakefile(t *testing.T) {
	t.Parallel()
	a := azureYAML(t)
	if len(a.Services) != 1 {
		t.Fatalf("got %d services, want one", len(a.Services))
	}
	service := a.Services["gateway"]
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(makefile), "\npackage:")
	recipe, _, _ = strings.Cut(recipe, "\n\n")
	if service.Hooks.Prepackage.Run != "make package" || !strings.Contains(recipe, "$(call assemble,"+service.Dist+",linux,amd64)") {
		t.Errorf("got azd packing %q after %q, want the folder that make package assembles:\n%s", service.Dist, service.Hooks.Prepackage.Run, recipe)
	}
	if service.Host != "function" || service.Language != "custom" || service.Project != "." {
		t.Errorf("got %+v, want a function app in a language that azd doesn't build", service)
	}
}

func TestAzdAndTheTemplateAgreeOnNamesAndOutputs(t *testing.T) {
	t.Parallel()
	a := azureYAML(t)
	s := biceptest.Take(t, "param tags = { team: 'platform' }")
	app := s.One(t, "Microsoft.Web/sites")
	for name := range a.Services {
		if app.Tags["azd-service-name"] != name || app.Tags["team"] != "platform" {
			t.Errorf("got the app's tags %v, want azd-service-name: %s and the given ones", app.Tags, name)
		}
	}
	for _, suffix := range []string{".bicep", ".bicepparam"} {
		if _, err := os.Stat("../" + a.Infra.Path + "/" + a.Infra.Module + suffix); err != nil || a.Infra.Provider != "bicep" {
			t.Errorf("got azd's module %+v (error %v), want Bicep files that exist", a.Infra, err)
		}
	}
	for _, used := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(a.Hooks.Postprovision.Run, -1) {
		if s.Outputs[used[1]] == nil {
			t.Errorf("got the output %s in the hook, want one of the template", used[1])
		}
	}
}

// TestAzdsHookRefreshesTheReferences runs the hook with azd's environment, which names
// the app and its group.
func TestAzdsHookRefreshesTheReferences(t *testing.T) {
	t.Parallel()
	hook := azureYAML(t).Hooks.Postprovision
	run := exec.Command(hook.Shell, "-c", hook.Run)
	run.Dir = ".."
	printed, calls, err := staged(t, "az", run, "", "AZURE_RESOURCE_GROUP=g", "SERVICE_GATEWAY_NAME=func-tollgate-x", "REFERENCES=Initialized,Resolved")
	if err != nil || !strings.Contains(printed, "are resolved") {
		t.Errorf("got error %v and %s, want resolved references", err, printed)
	}
	wantCalls(t, calls, refresh, refresh, restart)
}

// TestTheParameterFileNeedsNoEnvironment evaluates the file as azd does, as make does and
// without either.
func TestTheParameterFileNeedsNoEnvironment(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("main.bicepparam")
	if err != nil {
		t.Fatal(err)
	}
	for _, read := range regexp.MustCompile(`readEnvironmentVariable\(([^()]*)\)`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(read[1], ",") {
			t.Errorf("got readEnvironmentVariable(%s), want a default in it", read[1])
		}
	}
	compiler := biceptest.Compiler(t)
	for name, c := range map[string]struct {
		environment []string
		want        string
	}{
		"nothing": {nil, `[] [] ""`},
		"azd":     {[]string{"AZURE_PRINCIPAL_ID=azds", "ALERT_EMAILS=a@example.com,b@example.com"}, `["azds"] ["a@example.com" "b@example.com"] ""`},
		"make":    {[]string{"AZURE_PRINCIPAL_ID=azds", "OPERATOR_IDS=makes,others", "UPSTREAM_API_KEY=key"}, `["makes" "others"] [] "key"`},
	} {
		run := exec.Command(compiler, "build-params", "main.bicepparam", "--stdout")
		run.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1"}, c.environment...)
		output, err := run.Output()
		if err != nil {
			t.Errorf("%s: got error %v, want parameters", name, err)
		}
		var whole struct{ ParametersJSON string }
		var file struct {
			Parameters struct {
				OperatorIds, AlertEmails struct{ Value []string }
				UpstreamAPIKey           struct{ Value string }
			}
		}
		if err := errors.Join(json.Unmarshal(output, &whole), json.Unmarshal([]byte(whole.ParametersJSON), &file)); err != nil {
			t.Fatalf("%s: got error %v for %s, want JSON", name, err, output)
		}
		p := file.Parameters
		if got := fmt.Sprintf("%q %q %q", p.OperatorIds.Value, p.AlertEmails.Value, p.UpstreamAPIKey.Value); got != c.want {
			t.Errorf("%s: got operators, receivers and key %s, want %s", name, got, c.want)
		}
	}
}

var commentedModel = regexp.MustCompile(`(?m)^// param model = \{\n(//.*\n)*?// \}\n`)

// TestTheParameterFilesOtherModelsDeploy uncomments the other model in the parameter file
// and evaluates that.
func TestTheParameterFilesOtherModelsDeploy(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("main.bicepparam")
	if err != nil {
		t.Fatal(err)
	}
	commented := commentedModel.FindString(string(text))
	if commented == "" {
		t.Fatal("got no model in a comment of main.bicepparam, want one")
	}
	usual := regexp.MustCompile(`(?m)^param model = \{\n([^}]*)\}\n`).FindString(string(text))
	const name = "DeepSeek-V4-Pro" // the comment offers it in place of Flash
	if !strings.Contains(commented, "// or "+name) {
		t.Errorf("got a comment that doesn't offer %s, want it there:\n%s", name, commented)
	}
	other := strings.NewReplacer("// or DeepSeek-V4-Pro, here and below", "", "// ", "", "DeepSeek-V4-Flash", name).Replace(commented)
	s, err := biceptest.TakeFile(t, strings.Replace(string(text), usual, other, 1))
	if err != nil {
		t.Fatal(err)
	}
	model := s.One(t, "Microsoft.CognitiveServices/accounts/deployments")
	if model.At("model", "name") != name || model.At("model", "version") != "2026-04-23" {
		t.Errorf("got %v, want %s", model.At("model"), name)
	}
	if got := s.Settings(t); got["MODELS"] != name || got["UPSTREAM_FAMILY"] != name {
		t.Errorf("got MODELS %q and UPSTREAM_FAMILY %q, want %s in both", got["MODELS"], got["UPSTREAM_FAMILY"], name)
	}
}
