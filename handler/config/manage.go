package config

import (
	"fmt"
	"net/url"

	"tollgate/handler/azure"
	"tollgate/handler/manage"
	"tollgate/handler/manage/entra"
	"tollgate/handler/secret"
)

// Manage configures the operators' API and the console. Both are off by default:
// their paths then answer 404 like any unknown path.
type Manage struct {
	// Entra selects the tokens that /manage accepts. MANAGE_ISSUER:
	// https://login.microsoftonline.com/<tenant>/v2.0, with MANAGE_AUDIENCE: the
	// application's id or URI. MANAGE_ROLE: default Tollgate.Admin.
	Entra entra.Settings
	// Key is a key that /manage accepts, for a gateway on a developer's machine.
	// MANAGE_KEY: 32 bytes or more.
	Key secret.Text
	// Console turns on the page at /console. CONSOLE: off (default) or on.
	Console bool
}

// manage reads the operators' settings.
func (s *settings) manage() Manage {
	m := Manage{
		Entra:   entra.Settings{Issuer: s.text("MANAGE_ISSUER", ""), Audience: s.text("MANAGE_AUDIENCE", ""), Role: s.text("MANAGE_ROLE", "Tollgate.Admin")},
		Key:     secret.New(s.text("MANAGE_KEY", "")),
		Console: s.oneOf("CONSOLE", "off", "on") == "on",
	}
	if !m.Key.Empty() && len(m.Key.Reveal()) < manage.MinOperatorKeyLength {
		s.fault("MANAGE_KEY", fmt.Sprintf("is shorter than %d bytes", manage.MinOperatorKeyLength), "use a long random text, such as the output of openssl rand -hex 32")
	}
	switch {
	case m.Entra.Issuer == "" && m.Entra.Audience != "":
		s.fault("MANAGE_ISSUER", "is missing, but MANAGE_AUDIENCE is set", "set it to https://login.microsoftonline.com/<tenant>/v2.0")
	case m.Entra.Issuer != "" && m.Entra.Audience == "":
		s.fault("MANAGE_AUDIENCE", "is missing, but MANAGE_ISSUER is set", "set it to the application's id or URI: the aud of its tokens")
	case m.Entra.Issuer != "" && !safe(m.Entra.Issuer):
		s.fault("MANAGE_ISSUER", fmt.Sprintf("is %q", m.Entra.Issuer), "use https://login.microsoftonline.com/<tenant>/v2.0, or the iss of your tokens")
	}
	return m
}

// On reports whether /manage is served.
func (m Manage) On() bool { return m.Entra.Issuer != "" || !m.Key.Empty() }

// safe reports whether an issuer's keys may be read from an address: over https, or from this
// machine, so that nobody in between can change them.
func safe(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && azure.IsLoopback(u.Hostname())
}
