package appinsights

import (
	"testing"
)

func TestTokensHaveTheAudienceOfTheConnectionsCloud(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://westeurope-5.in.applicationinsights.azure.com/":   "https://monitor.azure.com/.default",
		"https://usgovvirginia-1.in.applicationinsights.azure.us/": "https://monitor.azure.us/.default",
		"https://chinaeast2-0.in.applicationinsights.azure.cn/":    "https://monitor.azure.cn/.default",
	} {
		connection, err := ParseConnection("InstrumentationKey=01234567-89ab-cdef-0123-456789abcdef;IngestionEndpoint=" + endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if got := scope(connection.Audience); got != want {
			t.Errorf("%s: got the scope %s, want %s", endpoint, got, want)
		}
	}
}

func TestSystemAndUserAssignedIdentitiesHaveTokens(t *testing.T) {
	for _, a := range []Authentication{{Entra: true}, {Entra: true, ClientID: "01234567-89ab-cdef-0123-456789abcdef"}} {
		if token, err := a.token(defaultAudience); err != nil || token == nil {
			t.Errorf("%+v: got %v, want a token source", a, err)
		}
	}
}
