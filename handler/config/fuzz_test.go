package config

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// settingName begins every fault of the settings.
var settingName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]+ `)

// FuzzConfiguration reads settings, one a line, on top of valid ones. Whatever they
// are, every fault names a setting, and nothing printed shows a secret.
func FuzzConfiguration(f *testing.F) {
	f.Add("UPSTREAMS=[{\"url\":\"https://x.example.com\",\"credential\":{\"apiKey\":\"canary-key\"},\"models\":{\"a\":\"b\"}}]\nUPSTREAM_URL=")
	f.Add("UPSTREAMS=[{\"url\":\"http://x\",\"shape\":\"soap\",\"weight\":-1,\"credential\":{\"setting\":\"X\"}},{}]\nMODELS=a,b\nX=canary-x")
	f.Add("PORT=0\nSTORE=disk\nBASE_PATH=x\nHEADER_TIMEOUT=-1s\nMAX_BODY_BYTES=1e9\nRETRY_AFTER_HEADER=a b\nMETRIC_DIMENSIONS=x")
	f.Add("UPSTREAM_URL=https://x?y\nUPSTREAM_SHAPE=deployments\nSTREAM_TOKENS_COMMENT=yes\nKEY_PEPPER=@Microsoft.KeyVault(x)")
	f.Add("STORE=memory\nMEMORY_DIRECTORY={\"tiers\":[]}\nFUNCTIONS_CUSTOMHANDLER_PORT=70000\nTELEMETRY_SAMPLING=2")
	f.Fuzz(func(t *testing.T, text string) {
		values := make(map[string]string)
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			values[name] = value
		}
		for name := range values {
			if strings.Contains(name, "canary") { // a name is no secret
				return
			}
		}
		for name, value := range validSettings {
			if _, set := values[name]; !set || strings.Contains(value, "canary") {
				values[name] = value
			}
		}
		c, err := Load(env(values))
		shown := fmt.Sprintf("%v %+v %#v %v", c, c, c, c.LogValue())
		if err != nil {
			shown = err.Error()
			for fault := range strings.Lines(shown) {
				if !settingName.MatchString(fault) {
					t.Errorf("got the fault %q, want one that begins with a setting's name", fault)
				}
			}
		}
		for _, secret := range []string{validSettings["KEY_PEPPER"], validSettings["UPSTREAM_API_KEY"]} {
			if strings.Contains(shown, secret) {
				t.Errorf("got %q, want no secret in it", shown)
			}
		}
	})
}
