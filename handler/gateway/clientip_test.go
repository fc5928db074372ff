package gateway

import (
	"net/http"
	"testing"
)

func TestAClientCannotForgeItsAddress(t *testing.T) {
	host, azure := Addresses{Host: true}, Addresses{Host: true, FrontEnd: true}
	frontDoor := Addresses{Host: true, FrontEnd: true, Header: "X-Azure-ClientIP"}
	for name, test := range map[string]struct {
		believed Addresses
		headers  [][2]string
		want     string
	}{
		"no proxy":                            {Addresses{}, nil, "198.51.100.1"},
		"claims without any proxy":            {Addresses{}, [][2]string{{"X-Forwarded-For", "10.0.0.1"}, {"Client-IP", "10.0.0.1"}, {"X-Client-IP", "10.0.0.1"}, {"X-Azure-ClientIP", "10.0.0.1"}, {"X-Real-IP", "10.0.0.1"}, {"Forwarded", "for=10.0.0.1"}}, "198.51.100.1"},
		"a proxy of one's own":                {Addresses{Header: "X-Forwarded-For"}, [][2]string{{"X-Forwarded-For", "10.0.0.1, 192.0.2.7"}, {"Client-IP", "10.0.0.1"}}, "192.0.2.7"},
		"the host alone":                      {host, [][2]string{{"X-Forwarded-For", "192.0.2.7"}}, "192.0.2.7"},
		"a front end that isn't there":        {host, [][2]string{{"Client-IP", "10.0.0.1"}, {"X-Client-IP", "10.0.0.1"}, {"X-Forwarded-For", "192.0.2.7"}}, "192.0.2.7"},
		"invented before the proxy's":         {host, [][2]string{{"X-Forwarded-For", "10.0.0.1, 192.0.2.7:49828"}}, "192.0.2.7"},
		"invented in a line of its own":       {host, [][2]string{{"X-Forwarded-For", "10.0.0.1"}, {"X-Forwarded-For", "192.0.2.7"}}, "192.0.2.7"},
		"the front end before X-Forwarded":    {azure, [][2]string{{"X-Forwarded-For", "10.0.0.1"}, {"CLIENT-IP", "192.0.2.7:49828"}, {"X-Client-IP", "192.0.2.7"}}, "192.0.2.7"},
		"the front end's second header":       {azure, [][2]string{{"X-Client-IP", "192.0.2.7"}}, "192.0.2.7"},
		"nobody trusts a Front Door":          {azure, [][2]string{{"X-Azure-ClientIP", "10.0.0.1"}, {"CLIENT-IP", "192.0.2.7:1"}}, "192.0.2.7"},
		"a trusted Front Door":                {frontDoor, [][2]string{{"X-Azure-ClientIP", "192.0.2.7"}, {"CLIENT-IP", "203.0.113.5:1"}}, "192.0.2.7"},
		"around the Front Door":               {frontDoor, [][2]string{{"CLIENT-IP", "203.0.113.5:1"}}, "203.0.113.5"},
		"an address of version 6":             {azure, [][2]string{{"CLIENT-IP", "[2001:db8::1]:49828"}}, "2001:db8::1"},
		"version 6 without a port":            {azure, [][2]string{{"X-Client-IP", "2001:DB8:0::1"}}, "2001:db8::1"},
		"version 6 in brackets":               {azure, [][2]string{{"X-Client-IP", "[2001:db8::1]"}}, "2001:db8::1"},
		"one client, however it is written":   {azure, [][2]string{{"X-Client-IP", "::ffff:192.0.2.7"}}, "192.0.2.7"},
		"a zone is the proxy's, not the call": {azure, [][2]string{{"X-Client-IP", "fe80::1%eth0"}}, "fe80::1"},
		"nonsense":                            {azure, [][2]string{{"CLIENT-IP", "unknown"}, {"X-Forwarded-For", "_hidden"}}, "198.51.100.1"},
	} {
		r := &http.Request{Header: http.Header{}, RemoteAddr: "198.51.100.1:1234"}
		for _, h := range test.headers {
			r.Header.Add(h[0], h[1])
		}
		if got := test.believed.clientOf(r); got.String() != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
	if got := (Addresses{}).clientOf(&http.Request{RemoteAddr: "@"}); got.IsValid() {
		t.Errorf("got %s for a connection without an address, want none", got)
	}
}

// Anybody with one IPv6 address has at least 2⁶⁴ of them.
func TestAnIPv6NetworkIsOneClient(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2::1": "2001:db8:1:2::/64", "2001:db8:1:2:ffff:ffff:ffff:ffff": "2001:db8:1:2::/64",
		"[2001:db8:1:2::99]:443": "2001:db8:1:2::/64", "2001:db8:1:3::1": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := clientKey(parseAddress(address)); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
