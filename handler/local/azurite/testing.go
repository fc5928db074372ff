package azurite

import (
	"context"
	"errors"
	"sync"
	"testing"
)

var sharedServer struct {
	sync.Mutex
	server *Server
}

// Shared returns the connection string of one in-memory emulator for all tests of a
// package, whose TestMain must call Main. Each test must use table names of its own.
// Without Node.js or the emulator, and under -short, the test is skipped.
func Shared(t testing.TB) string {
	t.Helper()
	sharedServer.Lock()
	defer sharedServer.Unlock()
	if sharedServer.server == nil {
		sharedServer.server = startForTest(context.Background(), t)
	}
	return sharedServer.server.ConnectionString
}

// Own returns an in-memory emulator for one test, stopped at its end. Without Node.js or
// the emulator, and under -short, the test is skipped.
func Own(t testing.TB) *Server {
	t.Helper()
	server := startForTest(t.Context(), t)
	t.Cleanup(server.Stop)
	return server
}

func startForTest(ctx context.Context, t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short: it needs Azurite")
	}
	server, err := Start(ctx, "")
	if errors.Is(err, ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// Main runs a package's tests and stops their shared emulator. It returns the exit
// status for os.Exit.
func Main(m *testing.M) int {
	defer func() {
		sharedServer.Lock()
		defer sharedServer.Unlock()
		if sharedServer.server != nil {
			sharedServer.server.Stop()
		}
	}()
	return m.Run()
}
