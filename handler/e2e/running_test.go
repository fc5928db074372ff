package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tollgate/handler/app"
	"tollgate/handler/asynctest"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/subscription/subscriptiontest"
)

// program is the gateway's program, which buildGateway builds once for all tests.
var program struct {
	sync.Once
	folder string
	err    error
}

// TestMain removes the program that buildGateway built.
func TestMain(m *testing.M) {
	status := azurite.Main(m)
	if program.folder != "" {
		_ = os.RemoveAll(program.folder)
	}
	os.Exit(status)
}

// buildGateway builds the gateway's program, if it hasn't been built, and returns its path.
func buildGateway(t *testing.T) string {
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

// run runs a gateway with settings on a free port, which it gets in portSetting: PORT, or
// the setting that the Functions host uses. The gateway ends with the test, or when stop is
// called.
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

// memorySettings returns the settings of a gateway that keeps everything in memory and
// serves one subscription, team-a, of a tier with the id demo, before a model at a URL.
// settings are more pairs of name and value.
func memorySettings(model, tier, key string, settings ...string) map[string]string {
	all := map[string]string{"KEY_PEPPER": subscriptiontest.PepperSecret, "UPSTREAM_URL": model, "UPSTREAM_API_KEY": fakemodel.Key, "STORE": "memory",
		"MEMORY_DIRECTORY": fmt.Sprintf(`{"tiers":[%s],"subscriptions":[{"id":"team-a","tier":"demo"}],"keys":[{"subscription":"team-a","slot":"primary","key":%q}]}`, tier, key)}
	for i := 0; i < len(settings); i += 2 {
		all[settings[i]] = settings[i+1]
	}
	return all
}

// An answer is the gateway's answer to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes a request with headers, pairs of name and value.
func ask(t *testing.T, method, address, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// chat makes a call with a prompt and headers, pairs of name and value. It fails the test if
// the answer's status is not the wanted one.
func (g *running) chat(t *testing.T, want int, key, prompt string, headers ...string) {
	t.Helper()
	body := fmt.Sprintf(`{"model":"DeepSeek-R1","messages":[{"role":"user","content":%q}]}`, prompt)
	if got := ask(t, http.MethodPost, g.url+"/models/chat/completions", body, append([]string{"Api-Key", key}, headers...)...); got.status != want {
		t.Errorf("a call: got %d %s, want %d", got.status, got.body, want)
	}
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
