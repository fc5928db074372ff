package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"tollgate/handler/app"
	"tollgate/handler/asynctest"
	"tollgate/handler/local/azurite"
)

// program is the gateway's program, which built builds once for all tests.
var program struct {
	sync.Once
	folder string
	err    error
}

// TestMain removes the program that built left.
func TestMain(m *testing.M) {
	status := azurite.Main(m)
	if program.folder != "" {
		_ = os.RemoveAll(program.folder)
	}
	os.Exit(status)
}

// built returns the path of the gateway's program.
func built(t *testing.T) string {
	t.Helper()
	program.Do(func() {
		if program.folder, program.err = os.MkdirTemp("", "tollgate-e2e-*"); program.err != nil {
			return
		}
		if out, err := exec.Command("go", "build", "-o", program.folder, "..").CombinedOutput(); err != nil {
			program.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return filepath.Join(program.folder, "handler")
}

// A running is a gateway in this process, as main runs it.
type running struct {
	url       string
	out, errs asynctest.Buffer
	stop      func() // ends the gateway and waits for its exit
}

// run runs a gateway with settings on a free port, which portSetting names to it: PORT,
// or the setting that the Functions host uses. It ends with the test, or before with stop.
func run(t *testing.T, portSetting string, settings map[string]string) *running {
	t.Helper()
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	settings[portSetting] = port
	g := &running{url: "http://127.0.0.1:" + port}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- app.Run(ctx, env(settings), &g.out, &g.errs) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		want := app.ExitDone
		if portSetting != "PORT" {
			want = app.ExitRestart
		}
		if status := <-ended; status != want {
			t.Errorf("got exit status %d, want %d: %s", status, want, g.errs.String())
		}
	})
	t.Cleanup(g.stop)
	waitForGateway(t, g.url)
	return g
}

// waitForGateway waits until a gateway answers at a URL.
func waitForGateway(t *testing.T, url string) {
	t.Helper()
	asynctest.Eventually(t, "the gateway answers", func() error {
		response, err := http.Get(url + "/")
		if err == nil {
			response.Body.Close()
		}
		return err
	})
}
