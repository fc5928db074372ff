//go:build unix

package azurite

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the emulator into a process group of its own, so that a Ctrl-C doesn't
// reach it: a draining gateway can still write its counters. The process that started
// the emulator stops it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
