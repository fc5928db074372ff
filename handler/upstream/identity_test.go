package upstream

import (
	"testing"

	"tollgate/handler/secret"
)

func TestTheScopeOfATokenIsTheEndpointsAudience(t *testing.T) {
	for audience, want := range map[string]string{
		"":                              "https://cognitiveservices.azure.com/.default",
		"https://ai.azure.com/.default": "https://ai.azure.com/.default",
	} {
		if got := (Identity{Audience: audience}).scope(); got != want {
			t.Errorf("audience %q: got the scope %s, want %s", audience, got, want)
		}
	}
}

func TestOnlyEndpointsWithoutAKeyGetTokens(t *testing.T) {
	given := []Endpoint{{URL: "https://a.example.com"}, {URL: "https://b.example.com", Key: secret.New("k")}, {URL: "https://c.example.com", Identity: Identity{ClientID: "1"}}}
	got, err := WithTokens(given)
	if err != nil || got[0].Token == nil || got[1].Token != nil || got[2].Token == nil || given[0].Token != nil {
		t.Errorf("got tokens %t %t %t, %v, and changed the input: %t; want true false true, no error, false",
			got[0].Token != nil, got[1].Token != nil, got[2].Token != nil, err, given[0].Token != nil)
	}
}
