package appinsights

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// An identity is a credential that records the last request for a token.
type identity struct {
	asked policy.TokenRequestOptions
	err   error
}

func (i *identity) GetToken(_ context.Context, asked policy.TokenRequestOptions) (azcore.AccessToken, error) {
	i.asked = asked
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, i.err
}

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
		var i identity
		token, err := from(&i, connection.Audience)(t.Context())
		if err != nil || token != "t" || len(i.asked.Scopes) != 1 || i.asked.Scopes[0] != want {
			t.Errorf("%s: got scopes %v, error %v; want %s", endpoint, i.asked.Scopes, err, want)
		}
	}
	failing := identity{err: errors.New("no identity here")}
	if _, err := from(&failing, defaultAudience)(t.Context()); !errors.Is(err, failing.err) || !strings.Contains(err.Error(), "monitor.azure.com") {
		t.Errorf("got %v, want the credential's error with the scope", err)
	}
}

func TestSystemAndUserAssignedIdentitiesHaveTokens(t *testing.T) {
	for _, a := range []Authentication{{Entra: true}, {Entra: true, ClientID: "01234567-89ab-cdef-0123-456789abcdef"}} {
		if token, err := a.token(defaultAudience); err != nil || token == nil {
			t.Errorf("%+v: got %v, want a token source", a, err)
		}
	}
}
