package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// A redirect to a login, or a web page, must not count as success.
func TestRevokeFailsIfAWebPageAnswersInstead(t *testing.T) {
	m := newTerminal(t)
	m.environment = map[string]string{"MANAGE_KEY": testKey}
	for want, answer := range map[string]http.Handler{
		"is /manage turned on there?":    http.RedirectHandler("/login", http.StatusFound),
		"something other than the API's": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
	} {
		server := httptest.NewServer(answer)
		m.fails(exitFailed, []string{want}, "key", "revoke", "team-a", "--slot", "primary", "--server", server.URL)
		server.Close()
	}
}
