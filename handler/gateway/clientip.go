package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// frontEndHeaders are set by Azure's front end, whatever the caller sent: the
// address that it was called from.
var frontEndHeaders = []string{"Client-Ip", "X-Client-Ip"}

// clientIP is the address of a call's client, the zero Addr where nothing tells
// it. trusted names the header of a proxy of the operator's own before Azure,
// such as X-Azure-ClientIP of a Front Door; empty: there is none. Then come the
// front end's headers, then X-Forwarded-For, of which the Functions host leaves
// no more than the peer that it saw itself, then the connection.
//
// Of several values the last counts: the nearest proxy put it there, and what
// comes before it may be the client's invention.
func clientIP(r *http.Request, trusted string) netip.Addr {
	for _, name := range append([]string{trusted}, frontEndHeaders...) {
		if address := lastAddress(r.Header.Values(name)); address.IsValid() {
			return address
		}
	}
	if address := lastAddress(r.Header.Values("X-Forwarded-For")); address.IsValid() {
		return address
	}
	return parseAddress(r.RemoteAddr)
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
