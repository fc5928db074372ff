package secret_test

import (
	"testing"

	"tollgate/handler/secret"
)

func TestHeadersWithSecretsAreKnownByName(t *testing.T) {
	for name, want := range map[string]bool{
		"api-key": true, "X-API-KEY": true, "Ocp-Apim-Subscription-Key": true, "Authorization": true, "Proxy-Authorization": true,
		"X-Functions-Key": true, "Cookie": true, "X-Auth-Token": true, "X-MS-TOKEN-AAD-ID-TOKEN": true, "X-Client-Secret": true, "x_apikey": true,
		"X-Team": false, "X-Tenant-Id": false, "X-Cost-Center": false, "Ocp-Apim-Trace": false, "User-Agent": false, "X-MS-CLIENT-PRINCIPAL-ID": false,
	} {
		if got := secret.SensitiveHeader(name); got != want {
			t.Errorf("SensitiveHeader(%s) = %t, want %t", name, got, want)
		}
	}
}
