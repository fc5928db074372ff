// Package azurite runs the pinned Azure Storage emulator of infra/local, for the demo,
// "make run" and tests. The gateway itself doesn't import it. Only the emulator's table
// service is started, as a Node.js process on a free port of 127.0.0.1, which ends with
// the process that started it.
//
// Start reading at [Start]; tests use [Shared].
package azurite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// ErrNotInstalled means that Node.js or the emulator's package is missing.
var ErrNotInstalled = errors.New("azurite is not installed: run npm ci in infra/local (needs Node.js 20 or newer)")

// AccountName and AccountKey are the emulator's published test credentials. They are no
// secret: only an emulator accepts them.
// Source: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
const (
	AccountName = "devstoreaccount1"
	AccountKey  = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// startTimeout bounds the wait for the emulator to listen: a cold Node on a
// busy two-core machine takes about three seconds.
const startTimeout = 60 * time.Second

// started begins the line that the table service prints once it accepts connections.
const started = "Azurite Table service successfully started on"

// bootstrap loads the emulator's script, its first argument, and exits when standard
// input closes: the emulator never outlives the process that started it, however that
// process dies.
const bootstrap = `process.stdin.on("end", () => process.exit()).resume(); require(process.argv[1])`

// portTries is the number of ports to try: another process may take a free port before
// the emulator does.
const portTries = 3

// A Server is a running table emulator.
type Server struct {
	// ConnectionString is the emulator's connection string, for AzureWebJobsStorage.
	ConnectionString string

	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs the table service on a free port of 127.0.0.1, with its data in dir, or in
// memory if dir is empty. It returns once the service listens, or ErrNotInstalled. The
// caller must stop the server.
func Start(ctx context.Context, dir string) (*Server, error) {
	var problems []error
	for range portTries {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		s, err := StartOn(ctx, dir, port)
		if err == nil || errors.Is(err, ErrNotInstalled) {
			return s, err
		}
		problems = append(problems, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(problems...)
}

// StartOn is like Start, on a given port.
func StartOn(ctx context.Context, dir, port string) (*Server, error) {
	script := filepath.Join(localDir(), "node_modules", "azurite", "dist", "src", "table", "main.js")
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(script); err != nil || missing != nil {
		return nil, ErrNotInstalled
	}
	args := []string{"-e", bootstrap, script, "--tableHost", "127.0.0.1", "--tablePort", port, "--silent", "--disableTelemetry"}
	if dir == "" {
		args = append(args, "--inMemoryPersistence")
	} else {
		args = append(args, "--location", dir)
	}
	s, err := launch(ctx, exec.Command(node, args...))
	if err != nil {
		return nil, err
	}
	s.ConnectionString = ConnectionString(port)
	return s, nil
}

func launch(ctx context.Context, cmd *exec.Cmd) (*Server, error) {
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start azurite: %w", err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // kept open, never written
		return nil, fmt.Errorf("start azurite: %w", err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start azurite: %w", err)
	}
	s := &Server{cmd: cmd, exited: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(s.exited)
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), started) {
				close(ready)
				break
			}
		}
		_, _ = io.Copy(io.Discard, output)
		_ = cmd.Wait()
	}()

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-ready:
		return s, nil
	case <-s.exited:
		return nil, fmt.Errorf("start azurite: it exited before it listened: %s", strings.TrimSpace(stderr.String()))
	case <-ctx.Done():
		s.Stop()
		return nil, fmt.Errorf("start azurite: %w", ctx.Err())
	}
}

// FreePort returns a port of 127.0.0.1 that nothing listens on. It is below the range from
// which the system takes ports for outgoing connections, so that none of those takes it
// first. Each process tries a range of its own, by its id, so that concurrent tests don't
// choose the same port.
func FreePort() (string, error) {
	base := firstPort + os.Getpid()%portUsers*portsEach
	var problems []error
	for range portsEach {
		port := strconv.Itoa(base + int(portsTried.Add(1)-1)%portsEach)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return port, listener.Close()
		}
		problems = append(problems, err)
	}
	return "", fmt.Errorf("find a free port: %w", errors.Join(problems...))
}

const (
	firstPort = 20_000
	portsEach = 40
	portUsers = 300 // keeps all ports below 32,768, Linux's first for outgoing connections
)

// portsTried counts the ports tried, so that a port isn't chosen again at once.
var portsTried atomic.Int64

// ConnectionString returns the connection string of an emulator on a port of 127.0.0.1. The
// emulator need not be running.
func ConnectionString(port string) string {
	return fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;TableEndpoint=http://127.0.0.1:%s/%s",
		AccountName, AccountKey, port, AccountName)
}

// Stop kills the emulator and waits for its exit. It may be called more than once.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// localDir returns infra/local of the checkout that this file was compiled from; with
// -trimpath, of the working directory.
func localDir() string {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		return filepath.Join(filepath.Dir(file), "..", "..", "..", "infra", "local")
	}
	return filepath.Join("infra", "local")
}
