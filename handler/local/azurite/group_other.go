//go:build !unix

package azurite

import "os/exec"

// ownGroup does nothing: process groups are Unix's.
func ownGroup(*exec.Cmd) {}
