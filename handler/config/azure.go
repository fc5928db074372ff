package config

import (
	"slices"
	"strings"
)

// inAzure reports whether the process runs in an Azure app: App Service and Functions
// set these variables for every app, and nothing sets them on a developer's machine.
// Source: https://learn.microsoft.com/azure/app-service/reference-app-settings
func (s *settings) inAzure() bool {
	return s.text("WEBSITE_SITE_NAME", "") != "" || s.text("WEBSITE_INSTANCE_ID", "") != ""
}

// publishedPeppers lists the peppers that this repository contains: those of
// local.settings.sample.json and of the demo.
var publishedPeppers = []string{"for-local-development-only-change-it", "for-the-demo-on-one-machine-only"}

// checkAzure reports settings that are safe only on a developer's machine.
func (s *settings) checkAzure() {
	if !s.inAzure() {
		return
	}
	if slices.Contains(publishedPeppers, strings.TrimSpace(s.getenv("KEY_PEPPER"))) {
		s.fault("KEY_PEPPER", "is an example published with Tollgate", "use a long random text, such as the output of openssl rand -hex 32")
	}
	if strings.TrimSpace(s.getenv("MANAGE_KEY")) != "" {
		s.fault("MANAGE_KEY", "is one password for all operators, meant for your own machine only", "remove it in Azure, and set MANAGE_ISSUER and MANAGE_AUDIENCE")
	}
}
