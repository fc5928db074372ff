package gateway

import (
	"net/http"
	"testing"
)

func TestTheClientsAddressCantBeInvented(t *testing.T) {
	const trusted = "X-Azure-ClientIP"
	for name, test := range map[string]struct {
		trusted string
		headers [][2]string
		want    string
	}{
		"no proxy":                            {"", nil, "198.51.100.1"},
		"the host alone":                      {"", [][2]string{{"X-Forwarded-For", "192.0.2.7"}}, "192.0.2.7"},
		"invented before the proxy's":         {"", [][2]string{{"X-Forwarded-For", "10.0.0.1, 192.0.2.7:49828"}}, "192.0.2.7"},
		"invented in a line of its own":       {"", [][2]string{{"X-Forwarded-For", "10.0.0.1"}, {"X-Forwarded-For", "192.0.2.7"}}, "192.0.2.7"},
		"the front end before X-Forwarded":    {"", [][2]string{{"X-Forwarded-For", "10.0.0.1"}, {"CLIENT-IP", "192.0.2.7:49828"}, {"X-Client-IP", "192.0.2.7"}}, "192.0.2.7"},
		"the front end's second header":       {"", [][2]string{{"X-Client-IP", "192.0.2.7"}}, "192.0.2.7"},
		"nobody trusts a Front Door":          {"", [][2]string{{"X-Azure-ClientIP", "10.0.0.1"}, {"CLIENT-IP", "192.0.2.7:1"}}, "192.0.2.7"},
		"a trusted Front Door":                {trusted, [][2]string{{"X-Azure-ClientIP", "192.0.2.7"}, {"CLIENT-IP", "203.0.113.5:1"}}, "192.0.2.7"},
		"around the Front Door":               {trusted, [][2]string{{"CLIENT-IP", "203.0.113.5:1"}}, "203.0.113.5"},
		"an address of version 6":             {"", [][2]string{{"CLIENT-IP", "[2001:db8::1]:49828"}}, "2001:db8::1"},
		"version 6 without a port":            {"", [][2]string{{"X-Client-IP", "2001:DB8:0::1"}}, "2001:db8::1"},
		"version 6 in brackets":               {"", [][2]string{{"X-Client-IP", "[2001:db8::1]"}}, "2001:db8::1"},
		"one client, however it is written":   {"", [][2]string{{"X-Client-IP", "::ffff:192.0.2.7"}}, "192.0.2.7"},
		"a zone is the proxy's, not the call": {"", [][2]string{{"X-Client-IP", "fe80::1%eth0"}}, "fe80::1"},
		"nonsense":                            {"", [][2]string{{"CLIENT-IP", "unknown"}, {"X-Forwarded-For", "_hidden"}}, "198.51.100.1"},
	} {
		r := &http.Request{Header: http.Header{}, RemoteAddr: "198.51.100.1:1234"}
		for _, h := range test.headers {
			r.Header.Add(h[0], h[1])
		}
		if got := clientIP(r, test.trusted); got.String() != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	if got := clientIP(&http.Request{RemoteAddr: "@"}, ""); got.IsValid() {
		t.Errorf("an address out of nothing: %s", got)
	}
}
