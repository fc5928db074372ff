package azure

import "net"

// IsLoopback reports whether a host, without its port, is this machine. Keys and tokens
// may travel in the clear to such a host only.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
