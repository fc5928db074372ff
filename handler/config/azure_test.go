package config

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestSettingsForDevelopmentAreFaultsInAzure(t *testing.T) {
	key := strings.Repeat("canary-operator-", 3)
	for _, azure := range []map[string]string{{"WEBSITE_SITE_NAME": "app"}, {"WEBSITE_INSTANCE_ID": "1a2b"}, {"WEBSITE_SITE_NAME": "app", "FUNCTIONS_CUSTOMHANDLER_PORT": "4321"}} {
		for want, wrong := range map[string]map[string]string{
			"MANAGE_KEY is one password":        {"MANAGE_KEY": key},
			"MANAGE_KEY is one password for":    {"MANAGE_KEY": " " + key + "\n"},
			"MANAGE_KEY is one password for al": {"MANAGE_KEY": key, "MANAGE_ISSUER": "https://login.example.com/v2.0", "MANAGE_AUDIENCE": "x"},
			"KEY_PEPPER is an example":          {"KEY_PEPPER": "for-local-development-only-change-it"},
			"KEY_PEPPER is an example pub":      {"KEY_PEPPER": "for-the-demo-on-one-machine-only\n"},
		} {
			values := make(map[string]string)
			for _, more := range []map[string]string{validSettings, azure, wrong} {
				for name, value := range more {
					values[name] = value
				}
			}
			if _, err := Load(env(values)); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v with %v: got %v, want only %q and no secret", azure, wrong, err, want)
			}
		}
	}
	if _, err := Load(with(map[string]string{"MANAGE_KEY": key, "KEY_PEPPER": publishedPeppers[0], "FUNCTIONS_CUSTOMHANDLER_PORT": "4321"})); err != nil {
		t.Errorf("under a host outside Azure: got %v, want no fault", err)
	}
	if _, err := Load(with(map[string]string{"WEBSITE_SITE_NAME": "app", "MANAGE_ISSUER": "https://login.example.com/v2.0", "MANAGE_AUDIENCE": "x"})); err != nil {
		t.Errorf("in Azure with its own pepper and issuer: got %v, want no fault", err)
	}
}

// TestEveryPublishedPepperIsListed reads the peppers from the sample settings and the
// demo.
func TestEveryPublishedPepperIsListed(t *testing.T) {
	sample, err := os.ReadFile("../../local.settings.sample.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Values map[string]string }
	if err := json.Unmarshal(sample, &file); err != nil {
		t.Fatal(err)
	}
	demo, err := os.ReadFile("../cmd/demo/setup.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`const pepper = "([^"]+)"`).FindSubmatch(demo)
	if found == nil {
		t.Fatal("cmd/demo/setup.go: got no constant pepper, want one")
	}
	for _, pepper := range []string{file.Values["KEY_PEPPER"], string(found[1])} {
		if pepper == "" || !slices.Contains(publishedPeppers, pepper) {
			t.Errorf("publishedPeppers: got none of it equal to %q, want it listed", pepper)
		}
	}
}
