package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/handler/ledger"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

// with adds settings to valid ones.
func with(values map[string]string) func(string) string {
	all := maps.Clone(validSettings)
	maps.Copy(all, values)
	return env(all)
}

func TestUpstreamsListsSeveralEndpoints(t *testing.T) {
	c, err := Load(with(map[string]string{"UPSTREAM_URL": "", "KEY_OF_B": "canary-b", "AZURE_CLIENT_ID": "1", "UPSTREAMS": `[
		{"name":"reserved","url":"https://a.example.com","shape":"deployments","deployment":"r1-ptu","priority":1,"credential":{"apiKey":"canary-a"}},
		{"name":"overflow","url":"https://b.example.com","priority":2,"weight":3,"streamOptions":true,"credential":{"setting":"KEY_OF_B"}},
		{"url":"https://c.example.com","shape":"openai","credential":{"clientId":"7","audience":"https://ai.azure.com/.default"}}, {"url":"https://d.example.com","shape":"openai"}]`}))
	if err != nil || len(c.Upstream.Endpoints) != 4 {
		t.Fatalf("got %d endpoints, error %v; want 4", len(c.Upstream.Endpoints), err)
	}
	a, b := c.Upstream.Endpoints[0], c.Upstream.Endpoints[1]
	if a.Key.Reveal() != "canary-a" || a.Deployment != "r1-ptu" || a.Priority != 1 || a.Shape != shape.Deployments ||
		b.Key.Reveal() != "canary-b" || b.Weight != 3 || b.Shape != shape.OpenAI || !*b.StreamOptions || c.Upstream.Endpoints[2].Identity != (upstream.Identity{ClientID: "7", Audience: "https://ai.azure.com/.default"}) {
		t.Errorf("got %+v, want the endpoints of UPSTREAMS", c.Upstream.Endpoints)
	}
	if shown := fmt.Sprintf("%v %+v %#v %v", c, c, c, c.LogValue()); strings.Contains(shown, "canary") {
		t.Errorf("got %s, want no key in it", shown)
	}
	if b.Identity != (upstream.Identity{}) || c.Upstream.Endpoints[3].Identity != (upstream.Identity{ClientID: "1"}) {
		t.Errorf("got identities %+v and %+v, want none and 1", b.Identity, c.Upstream.Endpoints[3].Identity)
	}
}

func TestEveryFaultOfUpstreamsIsNamed(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`:       {"UPSTREAMS is not a JSON array of endpoints"},
		`nonsense`: {"UPSTREAMS is not a JSON array of endpoints"},
		`[]`:       {"UPSTREAMS no upstream is configured"},
		`[] []`:    {"UPSTREAMS is not a JSON array of endpoints: there is text after the array"},
		`[{"url":"https://x.example.com","URL":"https://y.example.com"}]`: {"URL appears twice"},
		`[{"uri":"x"}]`: {`"uri"`},
		`[{"url":"https://x.example.com","weight":0}]`: {"[0].weight is 0"},
		`[{"weight":"1"}]`:           {"weight"},
		`[{"credential":{"key":1}}]`: {`"key"`},
		`[{"name":"a","url":"http://x.example.com","shape":"soap","weight":-1},{"name":"b","url":"https://x.example.com","shape":"deployments"}]`: {
			`UPSTREAMS upstream "a": url is not https`, `UPSTREAMS upstream "a": shape must be`, `UPSTREAMS upstream "a": weight is negative`, `UPSTREAMS upstream "b": deployment is missing`},
		`[{"name":"upstream-2","url":"https://x.example.com"},{"url":"https://y.example.com"}]`:                    {"name is used twice"},
		`[{"url":"https://x.example.com","credential":{"apiKey":"k","setting":"S"}}]`:                              {"[0].credential has more than one"},
		`[{"url":"https://x.example.com","credential":{"apiKey":"@Microsoft.KeyVault(SecretUri=x)"}}]`:             {"[0].credential.apiKey is a reference to Key Vault"},
		`[{"url":"https://x.example.com","credential":{"audience":"https://ai.azure.com"}}]`:                       {`[0].credential.audience is "https://ai.azure.com": use https://cognitiveservices.azure.com/.default`},
		`[{"url":"https://x.example.com","credential":{"audience":"https:///.default"}}]`:                          {`[0].credential.audience is "https:///.default"`},
		`[{"url":"https://x.example.com","credential":{"audience":"http://ai.azure.com/.default"}}]`:               {`[0].credential.audience is "http://`},
		`[{"url":"https://x.example.com","credential":{"apiKey":"k","audience":"https://ai.azure.com/.default"}}]`: {"[0].credential.audience is set, and a key too"},
		`[{"url":"https://x.example.com","credential":{"setting":"NO_SUCH"}}]`:                                     {`[0].credential names the setting "NO_SUCH"`},
		`[{"url":"https://x.example.com","models":{"a":"A"}},{"url":"https://y.example.com","models":{"b":"B"}}]`:  {`MODELS names "DeepSeek-R1", which no endpoint`},
	} {
		values := map[string]string{"UPSTREAM_URL": "", "UPSTREAMS": text}
		if strings.Contains(text, "models") {
			values["MODELS"] = "a,DeepSeek-R1"
		}
		_, err := Load(with(values))
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q in it", text, err, part)
			}
		}
	}
	for text, want := range map[string]string{ // the only fault
		`{}`: "UPSTREAMS is not a JSON array of endpoints",
		`[{"url":"https://x.example.com","priority":1.5}]`: "UPSTREAMS is not a JSON array of endpoints: priority has the wrong type",
	} {
		if _, err := Load(with(map[string]string{"UPSTREAM_URL": "", "UPSTREAMS": text})); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want only %q", text, err, want)
		}
	}
	if _, err := Load(with(map[string]string{"UPSTREAMS": `[{"url":"https://x.example.com"}]`})); err == nil || !strings.Contains(err.Error(), "UPSTREAM_URL is set, and UPSTREAMS too") {
		t.Errorf("with both: got %v, want a fault of UPSTREAM_URL", err)
	}
	if _, err := Load(with(map[string]string{"MODELS": "a, b,a"})); err == nil || !strings.HasPrefix(err.Error(), `MODELS names "a" twice`) {
		t.Errorf("a model twice: got %v, want a fault of MODELS", err)
	}
	for _, name := range []string{ledger.MergedModels, strings.Repeat("m", 101)} {
		if _, err := Load(with(map[string]string{"MODELS": "a," + name})); err == nil || !strings.Contains(err.Error(), "MODELS names") || !strings.Contains(err.Error(), "at most 100 bytes") {
			t.Errorf("the model %q: got %v, want a fault of MODELS", name, err)
		}
	}
	if _, err := Load(with(map[string]string{"UPSTREAM_URL": "https://x.example.com/models"})); err == nil || !strings.Contains(err.Error(), "UPSTREAM_URL upstream") {
		t.Errorf("a wrong UPSTREAM_URL: got %v, want its fault", err)
	}
}

func TestModelsDefaultToTheModelsOfTheEndpoints(t *testing.T) {
	for text, want := range map[string][]string{
		`[{"url":"https://x.example.com","models":{"b":"B"}},{"url":"https://y.example.com","models":{"a":"A","b":"B"}}]`: {"a", "b"},
		`[{"url":"https://x.example.com","models":{"b":"B"}},{"url":"https://y.example.com"}]`:                            {"DeepSeek-R1"},
	} {
		c, err := Load(with(map[string]string{"UPSTREAM_URL": "", "UPSTREAMS": text}))
		if err != nil || !slices.Equal(c.Gateway.Models, want) {
			t.Errorf("%s: got %v, error %v; want %v", text, c.Gateway.Models, err, want)
		}
	}
}

func TestATokensAudienceCanBeChosen(t *testing.T) {
	const projects = "https://ai.azure.com/.default"
	c, err := Load(with(map[string]string{"UPSTREAM_API_KEY": "", "AZURE_CLIENT_ID": "1", "UPSTREAM_AUDIENCE": projects}))
	if want := (upstream.Identity{ClientID: "1", Audience: projects}); err != nil || c.Upstream.Endpoints[0].Identity != want {
		t.Errorf("got %+v, error %v; want the identity %+v", c.Upstream.Endpoints, err, want)
	}
	for _, given := range []map[string]string{{"UPSTREAM_API_KEY": "", "UPSTREAM_AUDIENCE": "ai.azure.com"}, {"UPSTREAM_API_KEY": "k", "UPSTREAM_AUDIENCE": projects}} {
		if _, err := Load(with(given)); err == nil || !strings.Contains(err.Error(), "UPSTREAM_AUDIENCE ") {
			t.Errorf("%v: got %v, want a fault of UPSTREAM_AUDIENCE", given, err)
		}
	}
}

func TestAModelOfAnEndpointIsANameOrAnObject(t *testing.T) {
	c, err := Load(with(map[string]string{"UPSTREAM_URL": "", "UPSTREAMS": `[
		{"url":"https://a.example.com","models":{"DeepSeek-R1":"r1","chat":{"name":"chat-prod","family":"gpt-4o"}}},
		{"url":"https://b.example.com","deployment":"d","family":"DeepSeek-V3.2"}]`}))
	if err != nil {
		t.Fatal(err)
	}
	models := c.Upstream.Endpoints[0].Models
	if models["DeepSeek-R1"] != (upstream.Model{Name: "r1"}) || models["chat"] != (upstream.Model{Name: "chat-prod", Family: "gpt-4o"}) || c.Upstream.Endpoints[1].Family != "DeepSeek-V3.2" {
		t.Errorf("got %+v, want the names and families of UPSTREAMS", c.Upstream.Endpoints)
	}
	for text, want := range map[string]string{
		`[{"url":"https://a.example.com","models":{"m":{"name":"x","famly":"y"}}}]`: "famly",
		`[{"url":"https://a.example.com","models":{"m":{"family":"y"}}}]`:           "models has an empty name",
		`[{"url":"https://a.example.com","models":{"m":"x"},"family":"y"}]`:         "family can't be combined with models",
		`[{"url":"https://a.example.com","models":{"m":7}}]`:                        "wrong type",
	} {
		if _, err := Load(with(map[string]string{"UPSTREAM_URL": "", "UPSTREAMS": text})); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", text, err, want)
		}
	}
}

func TestASingleEndpointHasAFamilyStreamOptionsAndRates(t *testing.T) {
	c, err := Load(with(map[string]string{"UPSTREAM_FAMILY": "o3", "UPSTREAM_STREAM_OPTIONS": "off", "SETTLE_TIMEOUT": "0", "TOKENS_PER_SECOND": "50, gpt-4o = 120"}))
	if err != nil {
		t.Fatal(err)
	}
	if e := c.Upstream.Endpoints[0]; e.Family != "o3" || e.StreamOptions == nil || *e.StreamOptions || c.Gateway.SettleTimeout != 0 || c.Gateway.TokensPerSecond[""] != 50 || c.Gateway.TokensPerSecond["gpt-4o"] != 120 {
		t.Errorf("got %+v, %v, %v; want the settings above", e, c.Gateway.SettleTimeout, c.Gateway.TokensPerSecond)
	}
	if c, err := Load(with(nil)); err != nil || c.Upstream.Endpoints[0].StreamOptions != nil || c.Gateway.SettleTimeout != 20*time.Second {
		t.Errorf("by default got %+v, error %v; want no stream options and 20s", c, err)
	}
	for name, value := range map[string]string{"UPSTREAM_STREAM_OPTIONS": "maybe", "SETTLE_TIMEOUT": "-1s", "TOKENS_PER_SECOND": "0"} {
		if _, err := Load(with(map[string]string{name: value})); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: got %v, want a fault that names the setting", name, value, err)
		}
	}
	for _, value := range []string{"a", "=5", "m=x", "1,2", "m=1,m=2", "9999999"} {
		if _, err := Load(with(map[string]string{"TOKENS_PER_SECOND": value})); err == nil {
			t.Errorf("TOKENS_PER_SECOND=%s: got no fault, want one", value)
		}
	}
}
