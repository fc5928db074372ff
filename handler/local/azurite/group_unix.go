//go:build unix

package azurite

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a Ctrl-C at the terminal from the emulator, so that a gateway
// that drains can still write its last counters; whoever started it stops it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
