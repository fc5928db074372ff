package config

import (
	"slices"
	"strings"
)

// inAzure says whether the process runs in an Azure app: App Service and
// Functions set these for every app, and nothing on a developer's machine does.
// Source: https://learn.microsoft.com/azure/app-service/reference-app-settings
func (s *settings) inAzure() bool {
	return s.text("WEBSITE_SITE_NAME", "") != "" || s.text("WEBSITE_INSTANCE_ID", "") != ""
}

// published are peppers that anyone can read in this repository: those of
// local.settings.sample.json and of the demo.
var published = []string{"for-local-development-only-change-it", "for-the-demo-on-one-machine-only"}

// checkAzure names the settings that are good enough for one's own machine only.
func (s *settings) checkAzure() {
	if !s.inAzure() {
		return
	}
	if slices.Contains(published, strings.TrimSpace(s.getenv("KEY_PEPPER"))) {
		s.fault("KEY_PEPPER", "is one that is published with Tollgate", "use a long random text, such as the output of openssl rand -hex 32")
	}
	if strings.TrimSpace(s.getenv("MANAGE_KEY")) != "" {
		s.fault("MANAGE_KEY", "is one password for all operators, which is for your own machine only", "leave it out in Azure, and set MANAGE_ISSUER and MANAGE_AUDIENCE")
	}
}
