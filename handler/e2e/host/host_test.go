package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tollgate/handler/asynctest"
	"tollgate/handler/azure/azuretest"
	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

const (
	pepper = "for-tests-under-a-host-on-one-machine"
	// secretPrompt is the callers' prompt. It must not be in any log.
	secretPrompt = "canary-prompt"
	// patience bounds every wait: a host on a busy machine of two cores starts in a few seconds.
	patience = 30 * time.Second
)

// TestMain runs no test under -short: each builds the package or runs a host.
func TestMain(m *testing.M) {
	if flag.Parse(); testing.Short() {
		fmt.Println("skipped by -short: these tests build the package and run a Functions host")
		os.Exit(0)
	}
	status := azurite.Main(m)
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(status)
}

var built struct {
	sync.Once
	dir string
	err error
}

// dist returns the folder that `make build` creates, built once for all tests.
func dist(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "tollgate-host-*"); built.err != nil {
			return
		}
		if output, err := runMake("build", "DIST="+built.dir); err != nil {
			built.err = fmt.Errorf("make build: %w\n%s", err, output)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// options configures a host.
type options struct {
	model           http.Handler            // by default a simulated DeepSeek-R1
	limits          subscriptiontest.Limits // by default ten thousand tokens a minute
	store           string                  // a connection string, by default the shared emulator's
	functionTimeout string                  // by default host.json's
	settings        []string                // of the handler, or of the stand-in of a host
	frontEnd        bool                    // the stand-in acts like Azure's front end
	fails           bool                    // the host must fail to start
}

// A running is a Functions host that runs Tollgate.
type running struct {
	url, key string
	id       string // the tier's and the subscription's
	folder   string // the folder that the host runs
	log      *hostLog
	exited   chan struct{}
}

// started makes ids unique, so that a repeated test gets a new counter.
var started atomic.Int64

// start runs a host until the test ends. Without one the test is skipped.
func start(t *testing.T, o options) *running {
	t.Helper()
	t.Parallel()
	command := os.Getenv("FUNC")
	if command == "" {
		command = "func"
	}
	program, err := exec.LookPath(command)
	if err != nil {
		t.Skipf("no Functions host: install Azure Functions Core Tools, or set FUNC (%v)", err)
	}
	if program, err = filepath.Abs(program); err != nil { // the host runs in another folder
		t.Fatal(err)
	}
	if o.frontEnd && !strings.Contains(filepath.Base(program), "standin") {
		t.Skip("Core Tools have no front end such as Azure's: only a stand-in of the host pretends to one")
	}
	h := &running{key: subscription.NewKey(), id: fmt.Sprintf("%s-%d", strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")), started.Add(1)), folder: t.TempDir(), log: new(hostLog), exited: make(chan struct{})}
	if o.store == "" {
		o.store = azurite.Shared(t)
	}
	h.subscribe(t, o.store, o.limits)
	h.assemble(t, o.functionTimeout)
	if o.model == nil {
		o.model = new(fakemodel.Endpoint)
	}
	model := httptest.NewServer(o.model)
	t.Cleanup(model.Close)
	if o.frontEnd {
		o.settings = append(o.settings, "STANDIN_FRONT_END=1", "WEBSITE_SITE_NAME=standin")
	}
	h.run(t, program, append([]string{"AzureWebJobsStorage=" + o.store, "KEY_PEPPER=" + pepper, "UPSTREAM_URL=" + model.URL,
		"UPSTREAM_SHAPE=openai", "UPSTREAM_API_KEY=" + fakemodel.Key, "MODELS=DeepSeek-R1",
		"HOUSEKEEPING_SCHEDULE=0 0 0 1 1 *", // not during a test; a stand-in doesn't read local.settings.json
		"STANDIN_DRAIN_SECONDS=1"}, o.settings...))
	if !o.fails {
		asynctest.Until(t, "the host answers", func() bool {
			response, err := http.Get(h.url + "/")
			if err != nil {
				return false
			}
			defer response.Body.Close()
			return response.StatusCode == http.StatusOK
		})
	}
	return h
}

// subscribe makes a tier, a subscription and a key of the test's own.
func (h *running) subscribe(t *testing.T, connection string, limits subscriptiontest.Limits) {
	t.Helper()
	service := azuretest.Open(t, connection)
	if limits.TokensPerMinute == 0 && limits.TokenQuota == 0 {
		limits.TokensPerMinute = 10_000
	}
	store := tablestore.New(service, tablestore.DefaultTables)
	if err := subscriptiontest.Add(t.Context(), store, pepper, subscription.Tier{ID: h.id, Rules: limits.Rules()}, h.id, h.key); err != nil {
		t.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// assemble copies the built folder, so that the test can find its handler by the path, and
// shortens the host's limit.
func (h *running) assemble(t *testing.T, functionTimeout string) {
	t.Helper()
	if err := os.CopyFS(h.folder, os.DirFS(dist(t))); err != nil {
		t.Fatal(err)
	}
	if functionTimeout == "" {
		return
	}
	file := filepath.Join(h.folder, "host.json")
	var settings map[string]any
	if err := json.Unmarshal(must(os.ReadFile(file)), &settings); err != nil {
		t.Fatal(err)
	}
	settings["functionTimeout"] = functionTimeout
	if err := os.WriteFile(file, must(json.Marshal(settings)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run starts the host. At the end of the test it stops the host and searches its log.
func (h *running) run(t *testing.T, program string, settings []string) {
	t.Helper()
	port := must(azurite.FreePort())
	h.url = "http://127.0.0.1:" + port
	command := exec.Command(program, "start", "--port", port)
	command.Dir = h.folder
	command.Env = append(os.Environ(), settings...)
	command.Stdout, command.Stderr = h.log, h.log
	command.WaitDelay = 5 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = command.Wait()
		close(h.exited)
	}()
	t.Cleanup(func() {
		h.stop(t, command.Process)
		text := h.log.String()
		for _, private := range []string{h.key, secretPrompt, pepper} {
			if strings.Contains(text, private) {
				t.Errorf("got %q in the host's log, want it nowhere", private)
			}
		}
		if t.Failed() {
			t.Logf("the host's log:\n%s", text)
		}
	})
}

// stop interrupts the host and requires the handler to be gone in the end. A host that
// lives on without a handler is killed: about one stop in 300 of func-standin, on a busy
// machine, leaves two of its threads waiting for each other.
func (h *running) stop(t *testing.T, host *os.Process) {
	t.Helper()
	_ = host.Signal(os.Interrupt)
	select {
	case <-h.exited:
	case <-time.After(patience):
		pid, _ := h.find()
		_ = host.Kill()
		<-h.exited
		if pid == 0 {
			t.Log("killed a host that hung after its handler had ended")
			return
		}
		t.Errorf("got a host that doesn't end by itself, and its handler %d, want both to end", pid)
	}
	if pid, _ := h.find(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		t.Errorf("got a handler %d that outlives its host, want it gone", pid)
	}
}

// handler returns the handler's process id, 0 if there is none.
func (h *running) handler(t *testing.T) int {
	t.Helper()
	pid, ok := h.find()
	if !ok {
		t.Skip("no /proc to find the handler in")
	}
	return pid
}

// find returns the handler's process id, 0 if there is none. It reports whether the system
// shows processes in /proc.
func (h *running) find() (pid int, ok bool) {
	executable := filepath.Join(h.folder, "handler")
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == executable {
			if pid, err = strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
				return pid, true
			}
		}
	}
	return 0, len(links) > 0
}

// signal sends the handler a signal and returns its process id.
func (h *running) signal(t *testing.T, s syscall.Signal) int {
	t.Helper()
	pid := h.handler(t)
	if pid == 0 {
		t.Fatal("got no handler process, want one")
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
	return pid
}

// body returns the body of a chat completion.
func body(stream bool) string {
	return fmt.Sprintf(`{"model":"DeepSeek-R1","stream":%t,"messages":[{"role":"user","content":%q}]}`, stream, secretPrompt)
}

// post makes a call; the answer's body is the caller's to close.
func (h *running) post(ctx context.Context, text string, headers ...string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+"/openai/v1/chat/completions", strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("api-key", h.key)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return http.DefaultClient.Do(request)
}

// answer makes a call and reads all of its answer.
func (h *running) answer(t *testing.T, text string, headers ...string) (status int, answered string) {
	t.Helper()
	response, err := h.post(t.Context(), text, headers...)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(read)
}

// used returns the tokens that the subscription has used of its quota, as GET /usage
// answers.
func (h *running) used(t *testing.T) int64 {
	t.Helper()
	request := must(http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/usage", nil))
	request.Header.Set("api-key", h.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var usage struct{ Quota struct{ Used int64 } }
	if err := json.NewDecoder(response.Body).Decode(&usage); err != nil {
		t.Fatal(err)
	}
	return usage.Quota.Used
}

// stored returns the tokens that the subscription's counter in the table has as used or
// leased. It needs no running handler.
func (h *running) stored(t *testing.T) int64 {
	t.Helper()
	service := azuretest.Open(t, azurite.Shared(t))
	state, _, _, err := countertables.New(service, countertables.DefaultTable).Load(t.Context(), h.id+"/tokens")
	if err != nil {
		t.Fatal(err)
	}
	return state.Quota - state.Standing(time.Now()).QuotaRemaining
}

// A hostLog is the log that a host writes.
type hostLog struct{ asynctest.Buffer }

// call returns the log line of the first call with an outcome.
func (l *hostLog) call(outcome string) (line struct {
	Status     int
	Outcome    string
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
}, found bool) {
	lines := bufio.NewScanner(strings.NewReader(l.String()))
	for lines.Scan() {
		_, text, _ := strings.Cut(lines.Text(), "{")
		if strings.Contains(text, `"msg":"call"`) && json.Unmarshal([]byte("{"+text), &line) == nil && line.Outcome == outcome {
			return line, true
		}
	}
	return line, false
}
