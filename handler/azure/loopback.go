package azure

import "net"

// IsLoopback reports whether a host, without its port, is this machine. Only to such a host may
// keys and tokens be sent unencrypted.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
