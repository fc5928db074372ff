package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestTheWebhooksFaultsNameTheSettingAndShowNoSecret(t *testing.T) {
	long := strings.Repeat("canary-of-a-secret", 2)
	for want, values := range map[string]map[string]string{
		"ALERT_WEBHOOK_URL is missing, but ALERT_WEBHOOK_SECRET is set": {"ALERT_WEBHOOK_SECRET": long},
		"ALERT_WEBHOOK_SECRET is missing, but ALERT_WEBHOOK_URL is set": {"ALERT_WEBHOOK_URL": "https://hooks.example.com/t?sig=canary"},
		"ALERT_WEBHOOK_SECRET is shorter than 32 bytes":                 {"ALERT_WEBHOOK_URL": "https://hooks.example.com/", "ALERT_WEBHOOK_SECRET": "canary"},
		"ALERT_WEBHOOK_SECRET is a reference to Key Vault":              {"ALERT_WEBHOOK_URL": "https://hooks.example.com/", "ALERT_WEBHOOK_SECRET": "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/canary)"},
	} {
		if _, err := Load(with(values)); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v, want an error that begins with %q and shows no secret", err, want)
		}
	}
	for address, fine := range map[string]bool{
		"https://hooks.example.com/t?sig=canary": true, "https://[2001:db8::1]:8443": true, "http://127.0.0.1:9000/canary": true, "http://localhost:9000/": true,
		"http://hooks.example.com/canary": false, "http://192.0.2.7/canary": false, "https://user:canary@hooks.example.com/": false, "https://hooks.example.com/#canary": false,
		"https:///canary": false, "hooks.example.com/canary": false, "ftp://hooks.example.com/canary": false, "https://hooks.example.com/%zzcanary": false,
	} {
		c, err := Load(with(map[string]string{"ALERT_WEBHOOK_URL": address, "ALERT_WEBHOOK_SECRET": long}))
		switch {
		case fine && (err != nil || c.Alerts.URL.Reveal() != address || c.Alerts.Secret.Reveal() != long):
			t.Errorf("%s: got error %v, want it taken", address, err)
		case !fine && (err == nil || !strings.HasPrefix(err.Error(), "ALERT_WEBHOOK_URL is not an address") || strings.Contains(err.Error(), "canary")):
			t.Errorf("%s: got error %v, want a fault of ALERT_WEBHOOK_URL that doesn't show it", address, err)
		}
		if shown := fmt.Sprintf("%v %+v %#v", c, c, c); fine && strings.Contains(shown, "canary-of") {
			t.Errorf("%s: got %s, want no secret in it", address, shown)
		}
	}
}
