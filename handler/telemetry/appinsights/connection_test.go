package appinsights_test

import (
	"strings"
	"testing"

	"tollgate/handler/telemetry/appinsights"
)

const key = "InstrumentationKey=01234567-89ab-cdef-0123-456789abcdef"

func TestConnectionStringsOfEveryCloudAreRead(t *testing.T) {
	for text, want := range map[string][2]string{
		key: {"https://dc.services.visualstudio.com/", "https://monitor.azure.com"},
		key + ";IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/":               {"https://westeurope-5.in.applicationinsights.azure.com/", "https://monitor.azure.com"},
		" " + key + " ; ingestionendpoint = https://x.in.applicationinsights.azure.com ;":               {"https://x.in.applicationinsights.azure.com/", "https://monitor.azure.com"},
		key + ";IngestionEndpoint=https://usgovvirginia-1.in.applicationinsights.azure.us/":             {"https://usgovvirginia-1.in.applicationinsights.azure.us/", "https://monitor.azure.us"},
		key + ";IngestionEndpoint=https://chinaeast2-0.in.applicationinsights.azure.cn/":                {"https://chinaeast2-0.in.applicationinsights.azure.cn/", "https://monitor.azure.cn"},
		key + ";EndpointSuffix=applicationinsights.us;Location=usgovtexas;Authorization=ikey":           {"https://usgovtexas.dc.applicationinsights.us/", "https://monitor.azure.us"},
		key + ";IngestionEndpoint=https://x.in.applicationinsights.azure.com/;AADAudience=https://a.b/": {"https://x.in.applicationinsights.azure.com/", "https://a.b"},
		key + ";IngestionEndpoint=http://127.0.0.1:4318/":                                               {"http://127.0.0.1:4318/", "https://monitor.azure.com"},
	} {
		c, err := appinsights.ParseConnection(text)
		if err != nil || c.Endpoint != want[0] || c.Audience != want[1] || c.InstrumentationKey != strings.TrimPrefix(key, "InstrumentationKey=") {
			t.Errorf("%s: got %+v, error %v; want %v", text, c, err, want)
		}
	}
}

func TestWrongConnectionStringsNameThePart(t *testing.T) {
	for text, want := range map[string]string{
		"https://example.com": "name=value", "InstrumentationKey=abc": "InstrumentationKey", "IngestionEndpoint=https://x.y/": "InstrumentationKey",
		key + ";" + key: "twice", key + ";Authorization=AAD": "Authorization", key + ";IngestionEndpoint=http://x.in.applicationinsights.azure.com/": "IngestionEndpoint",
		key + ";IngestionEndpoint=ftp://x/": "IngestionEndpoint", "InstrumentationKey=0123456789ab-cdef-0123-4567-89abcdef0123": "InstrumentationKey",
	} {
		if _, err := appinsights.ParseConnection(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", text, err, want)
		}
	}
}

func TestAuthenticationStringsAreReadOrRefusedWithTheFix(t *testing.T) {
	for text, want := range map[string]appinsights.Authentication{
		"": {}, "Authorization=AAD": {Entra: true}, "ClientId=abc;Authorization=AAD": {Entra: true, ClientID: "abc"}, "authorization=aad; clientid=abc;": {Entra: true, ClientID: "abc"},
	} {
		if got, err := appinsights.ParseAuthentication(text); err != nil || got != want {
			t.Errorf("%q: got %+v, error %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"AAD", "Authorization=Basic", "ClientId=abc", "=x"} {
		if _, err := appinsights.ParseAuthentication(text); err == nil || !strings.Contains(err.Error(), "Authorization=AAD") {
			t.Errorf("%q: got %v, want an error with the fix", text, err)
		}
	}
}
