package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// Addresses says which headers to trust for a client's address. A client can write anything
// into all others.
type Addresses struct {
	// Header is the header in which the operator's own proxy sends the address, such
	// as Front Door's X-Azure-ClientIP; empty if there is no such proxy.
	Header string
	// FrontEnd is true behind Azure's front end, which overwrites Client-IP and X-Client-IP.
	FrontEnd bool
	// Host is true behind the Functions host, which replaces X-Forwarded-For by the
	// peer that it saw itself.
	Host bool
}

// frontEndHeaders are the headers in which Azure's front end sends its peer's address.
var frontEndHeaders = []string{"Client-Ip", "X-Client-Ip"}

// clientOf returns the address of a request's client, from the first trusted header
// that has one, else from the connection. It returns the zero Addr if neither has one.
//
// It takes the last of several values: the nearest proxy added it, and the client may
// have sent those before it.
func (a Addresses) clientOf(r *http.Request) netip.Addr {
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

// clientBits is the length, in bits, of the IPv6 prefix that identifies a client: a
// network gives each customer or machine at least a /64, and they choose the rest.
// Source: https://www.rfc-editor.org/rfc/rfc6177
const clientBits = 64

// clientKey returns the text that an address is counted under: an IPv4 address, or
// an IPv6 network.
func clientKey(address netip.Addr) string {
	if !address.Is6() {
		return address.String()
	}
	return netip.PrefixFrom(address, clientBits).Masked().String()
}

// lastAddress returns the last entry of a header that lists addresses.
func lastAddress(values []string) netip.Addr {
	if len(values) == 0 {
		return netip.Addr{}
	}
	last := values[len(values)-1]
	return parseAddress(last[strings.LastIndexByte(last, ',')+1:])
}

// parseAddress reads an address with or without a port: 192.0.2.7,
// 192.0.2.7:49828, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:49828. It drops the
// zone and unmaps IPv4 in IPv6, so that a client has one spelling.
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
