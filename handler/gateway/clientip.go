package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// Addresses says whose word on a client's address is believed. Anybody else's is the
// client's own invention.
type Addresses struct {
	// Header is where a proxy of the operator's own says it, such as Front Door in
	// X-Azure-ClientIP; empty: there is no such proxy.
	Header string
	// FrontEnd is whether Azure's front end is there. It sets frontEndHeaders,
	// whatever the client sent.
	FrontEnd bool
	// Host is whether the Functions host is there. It leaves no more of X-Forwarded-For
	// than the peer that it saw itself.
	Host bool
}

// frontEndHeaders are where Azure's front end writes the address it was called from.
var frontEndHeaders = []string{"Client-Ip", "X-Client-Ip"}

// of returns the address of a call's client, the zero Addr where nothing says it: that
// of the first source that is there and says one, else of the connection.
//
// Of several values the last counts: the nearest proxy put it there, and what comes
// before it may be the client's invention.
func (a Addresses) of(r *http.Request) netip.Addr {
	sources := make([]string, 0, 4)
	if a.Header != "" {
		sources = append(sources, a.Header)
	}
	if a.FrontEnd {
		sources = append(sources, frontEndHeaders...)
	}
	if a.Host {
		sources = append(sources, "X-Forwarded-For")
	}
	for _, name := range sources {
		if address := lastAddress(r.Header.Values(name)); address.IsValid() {
			return address
		}
	}
	return parseAddress(r.RemoteAddr)
}

// clientBits is how many bits of an IPv6 address are one client's: a network gives
// each of its customers or machines a /64 at least, in which they choose the rest.
// Source: https://www.rfc-editor.org/rfc/rfc6177
const clientBits = 64

// client is what addresses are counted by: an IPv4 address, or an IPv6 network.
func client(address netip.Addr) string {
	if !address.Is6() {
		return address.String()
	}
	return netip.PrefixFrom(address, clientBits).Masked().String()
}

// lastAddress is the last entry of a header that lists addresses.
func lastAddress(values []string) netip.Addr {
	if len(values) == 0 {
		return netip.Addr{}
	}
	last := values[len(values)-1]
	return parseAddress(last[strings.LastIndexByte(last, ',')+1:])
}

// parseAddress reads an address with or without a port: 192.0.2.7,
// 192.0.2.7:49828, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:49828. One
// client is one address: without its zone, and IPv4 as such.
func parseAddress(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().WithZone("")
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}
