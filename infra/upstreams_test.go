package infra_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/infra/biceptest"
)

// TestAnExistingResourcesKindDecidesItsURL: only Azure knows a resource's kind and
// subdomain, so the test evaluates the module's output with each possible pair.
func TestAnExistingResourcesKindDecidesItsURL(t *testing.T) {
	t.Parallel()
	biceptest.Compiler(t)
	text, err := os.ReadFile("modules/foundry-access.bicep")
	if err != nil {
		t.Fatal(err)
	}
	_, expression, found := strings.Cut(string(text), "output url string = ")
	if !found || !strings.Contains(string(text), "var subdomain = account.properties.?customSubDomainName ?? ''") {
		t.Fatal("got a module without the subdomain's variable, want it")
	}
	expression, _, _ = strings.Cut(expression, "\noutput ")
	expression = strings.NewReplacer("fail(", "string(", "account.kind", "kind").Replace(expression)
	template := "func url(name string, kind string, subdomain string, shape string) string => " + expression + "\n"
	cases := []struct{ kind, subdomain, shape, want string }{
		{"AIServices", "sub", "openai", "https://sub.services.ai.azure.com"},
		{"AIServices", "sub", "models", "https://sub.services.ai.azure.com"},
		{"OpenAI", "sub", "openai", "https://sub.openai.azure.com"},
		{"OpenAI", "sub", "deployments", "https://sub.openai.azure.com"},
		{"OpenAI", "sub", "models", "Set upstreamShape to openai or deployments"},
		{"SpeechServices", "sub", "openai", "of kind SpeechServices, which answers no chat completions"},
		{"CognitiveServices", "sub", "openai", "of kind CognitiveServices"},
		{"AIServices", "", "openai", "has no custom subdomain"},
		{"OpenAI", "", "openai", "has no custom subdomain"},
	}
	for i, c := range cases {
		template += fmt.Sprintf("output case%d string = url('theirs', '%s', '%s', '%s')\n", i, c.kind, c.subdomain, c.shape)
	}
	outputs := evaluated(t, template)
	for i, c := range cases {
		if got := fmt.Sprint(outputs[fmt.Sprintf("case%d", i)]); !strings.Contains(got, c.want) || strings.HasPrefix(c.want, "https") && got != c.want {
			t.Errorf("%+v: got %q, want %q", c, got, c.want)
		}
	}
}

// TestTheAppsRoleAllowsOnlyCallsToTheModel: for OpenAI's models there is a role that
// can't read keys.
func TestTheAppsRoleAllowsOnlyCallsToTheModel(t *testing.T) {
	t.Parallel()
	const openAI = "param model = { deployment: 'gpt', name: 'gpt-4o', version: '2024-11-20', format: 'OpenAI', sku: 'GlobalStandard', capacity: 100 }\n"
	for parameters, want := range map[string]string{
		"param upstreamShape = 'models'\n":            "Cognitive Services User",
		"param foundryAccountId = '" + theirs + "'\n": "Cognitive Services OpenAI User",
	} {
		s, err := biceptest.TakeFile(t, "using 'main.bicep'\n"+openAI+parameters)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(assignments(s, ""), "\n"); !strings.Contains(got, ": "+want+"\n") || strings.Count(got, "Cognitive") != 1 {
			t.Errorf("%s: got\n%s\nwant %s as the only Cognitive Services role", parameters, got, want)
		}
	}
}

// TestUpstreamFamilyNamesTheDeployedModel: UPSTREAM_FAMILY is the model's name, not its
// deployment's, and is unset for a model that the template doesn't deploy.
func TestUpstreamFamilyNamesTheDeployedModel(t *testing.T) {
	t.Parallel()
	for parameters, want := range map[string]string{
		"": "DeepSeek-V3.2", // deployed as DeepSeek-R1
		"param foundryAccountId = '" + theirs + "'":           "",
		"param upstreamUrl = 'https://models.example.com'":    "",
		"param settings = { UPSTREAM_FAMILY: 'gpt-4o-mini' }": "gpt-4o-mini",
		"param settings = { UPSTREAMS: '[]', MODELS: 'a,b' }": "",
	} {
		if got := biceptest.Take(t, parameters).Settings(t)["UPSTREAM_FAMILY"]; got != want {
			t.Errorf("%s: got the family %q, want %q", parameters, got, want)
		}
	}
}

// open copies the templates to a new folder and makes secretSettings an ordinary
// parameter, so that a snapshot shows its values.
func open(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"bicepconfig.json", "workbook.json", "queries"} {
		if err := os.Symlink(filepath.Join(biceptest.Folder(), name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "modules"), os.DirFS("modules")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"main.bicep", "modules/app.bicep"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		const secured = "@secure()\nparam secretSettings"
		if strings.Count(string(text), secured) != 1 {
			t.Fatalf("%s: got no secure secretSettings, want one", file)
		}
		opened := strings.Replace(string(text), secured, "#disable-next-line secure-secrets-in-params\nparam secretSettings", 1)
		if err := os.WriteFile(filepath.Join(dir, file), []byte(opened), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSecretSettingsReachTheAppAndNoHistory(t *testing.T) {
	t.Parallel()
	biceptest.Compiler(t)
	const given = `param secretSettings = { UPSTREAMS: '[{"url":"https://x.example.com","models":{"gpt":"g"},"credential":{"apiKey":"canary"}}]', MODELS: 'secret' }
param settings = { MODELS: 'open', BASE_PATH: '/b' }
`
	text, err := os.ReadFile("main.bicepparam")
	if err != nil {
		t.Fatal(err)
	}
	s, err := biceptest.TakeFile(t, string(text)+given)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.Text, "canary") {
		t.Error("got the secret in what is deployed, want it nowhere")
	}
	if got := fmt.Sprint(s.One(t, "Microsoft.Web/sites/config").Properties); !strings.Contains(got, "parameters('secretSettings')") {
		t.Errorf("got the app's settings %s, want parameters('secretSettings') in them", got)
	}

	seen, err := biceptest.TakeFrom(t, open(t), string(text)+given)
	if err != nil {
		t.Fatal(err)
	}
	settings := seen.Settings(t)
	if settings["MODELS"] != "secret" || settings["BASE_PATH"] != "/b" || !strings.Contains(settings["UPSTREAMS"], "canary") || settings["KEY_PEPPER"] == "" {
		t.Errorf("got %v, want the secret settings over the others", settings)
	}
	if url, set := settings["UPSTREAM_URL"]; set {
		t.Errorf("got UPSTREAM_URL %s beside the secret UPSTREAMS, want it unset", url)
	}
}
