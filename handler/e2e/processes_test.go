package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/ledger"
	ledgertables "tollgate/handler/ledger/tablestore"
	"tollgate/handler/local/azurite"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

const (
	perMinute   = 60_000 // tokens: four processes use them up in 12 s, or more on a slow machine
	maxTokens   = 40     // max_tokens of each call
	callersEach = 64     // callers of each process, which make a call a second
	// allRunning is the time for which all four processes run: longer than the 10 s of usage
	// that the killed one may lose.
	allRunning = 17 * time.Second
	// afterKill is the time for which the others go on: until the lease of the killed process
	// has expired and been reclaimed.
	afterKill = 27 * time.Second
	// flushTime is the time within which a process writes the usage of a call.
	flushTime = 10 * time.Second
	// slowMachine is the time that a slow machine gets after that to reach the limit.
	slowMachine = 3 * time.Minute
)

// callers are the callers of one process.
type callers struct {
	reported             atomic.Int64 // tokens in the answers
	calls                atomic.Int64 // answered
	refused, unavailable atomic.Int64
	lost                 atomic.Int64 // calls whose answer never came
	stopping, ended      chan struct{}

	mu       sync.Mutex
	answered []answered
}

// An answered is the usage in an answer, in tokens, and when it came.
type answered struct {
	at     time.Time
	tokens int64
}

// maxUnwritten returns the most tokens that the killed process may not have written: those
// of calls that were answered within flushTime before the kill, or never.
func (c *callers) maxUnwritten(killed time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	tokens := c.lost.Load() * (maxTokens + 1)
	for _, a := range c.answered {
		if killed.Sub(a.at) < flushTime {
			tokens += a.tokens
		}
	}
	return tokens
}

// refusedOf returns the number of calls refused so far.
func refusedOf(groups []callers) (refused int64) {
	for i := range groups {
		refused += groups[i].refused.Load()
	}
	return refused
}

// TestFourProcessesShareOneLimit uses up one subscription's limit through four gateways
// that share one emulator, kills one gateway halfway, and compares the ledger with the
// usage in the answers.
func TestFourProcessesShareOneLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it takes more than a minute")
	}
	emulator := azurite.Own(t)
	key := withPerMinute(t, emulator)
	// To tell the calls apart in the rows, those of the process to be killed report
	// completion tokens (and one prompt token), and all others report prompt tokens.
	living, doomed := modelAnswering(t, `{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":0}}`), modelAnswering(t, `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":%d}}`)
	binary := buildGateway(t)
	var processes [4]*process
	for i := range processes {
		model := living
		if i == 3 {
			model = doomed
		}
		processes[i] = startProcess(t, binary, emulator.ConnectionString, model)
	}
	began := time.Now()
	var groups [4]callers
	for i := range groups {
		groups[i].start(processes[i].url, key, i == 3)
	}
	<-time.After(time.Until(began.Add(allRunning)))
	killed := time.Now()
	processes[3].kill(t, syscall.SIGKILL)
	<-groups[3].ended
	<-time.After(time.Until(killed.Add(afterKill)))
	for end := time.Now().Add(slowMachine); refusedOf(groups[:3]) == 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond) // compare reports a limit that is never reached
	}
	for i := range 3 {
		close(groups[i].stopping)
		<-groups[i].ended
		processes[i].kill(t, syscall.SIGTERM)
	}
	compare(t, used(t, emulator), &groups, groups[3].maxUnwritten(killed))
}

// withPerMinute creates a subscription with the minute's limit, and returns its key.
func withPerMinute(t *testing.T, emulator *azurite.Server) string {
	t.Helper()
	return withLimits(t, emulator, subscriptiontest.Limits{TokensPerMinute: perMinute, Reserve: subscription.ReserveFull})
}

// withLimits creates a subscription with limits, and returns its key.
func withLimits(t *testing.T, emulator *azurite.Server, limits subscriptiontest.Limits) string {
	t.Helper()
	service := azuretest.Open(t, emulator.ConnectionString)
	return subscriptiontest.Seed(t, tablestore.New(service, tablestore.DefaultTables), subscription.Tier{ID: "hot", Rules: limits.Rules()}, "crowd")
}

// modelAnswering starts a model that answers with body, in which it puts a random number of
// tokens up to the cap.
func modelAnswering(t *testing.T, body string) string {
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, body, 1+rand.IntN(maxTokens))
	}))
	t.Cleanup(model.Close)
	return model.URL
}

// A process is a gateway in its own process.
type process struct {
	url    string
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

func startProcess(t *testing.T, binary, connection, model string, settings ...string) *process {
	t.Helper()
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{url: "http://127.0.0.1:" + port, cmd: exec.Command(binary)}
	p.cmd.Env = append(os.Environ(), "PORT="+port, "KEY_PEPPER="+subscriptiontest.PepperSecret, "UPSTREAM_URL="+model, "UPSTREAM_SHAPE=openai", "UPSTREAM_API_KEY=none",
		"AzureWebJobsStorage="+connection, "STORE=tables", "FUNCTIONS_CUSTOMHANDLER_PORT=", "FUNCTIONS_HTTPWORKER_PORT=", "APPLICATIONINSIGHTS_CONNECTION_STRING=")
	p.cmd.Env = append(p.cmd.Env, settings...)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // does nothing if it has ended
	waitForGateway(t, p.url)
	return p
}

// kill sends the process a signal, and waits for its exit.
func (p *process) kill(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil && signal == syscall.SIGTERM {
		t.Errorf("after SIGTERM: got exit %v with %s, want status 0", err, p.stderr.String())
	}
}

// start starts callers that each make a call a second to one process. They end when they
// are stopped, or when the process is gone if it is to be killed.
func (c *callers) start(url, key string, dies bool) {
	c.stopping, c.ended = make(chan struct{}), make(chan struct{})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callersEach}}
	var callers sync.WaitGroup
	for range callersEach {
		callers.Go(func() {
			next := time.NewTimer(rand.N(time.Second))
			defer next.Stop()
			for {
				select {
				case <-next.C:
				case <-c.stopping:
					return
				}
				next.Reset(time.Second)
				if !c.call(client, url, key) && dies {
					return
				}
			}
		})
	}
	go func() {
		callers.Wait()
		client.CloseIdleConnections()
		close(c.ended)
	}()
}

const callersBody = `{"model":"DeepSeek-R1","max_tokens":40,"messages":[{"role":"user","content":"x"}]}`

// call makes one call and records its result; it returns false if there was no answer.
func (c *callers) call(client *http.Client, url, key string) bool {
	request, err := http.NewRequest(http.MethodPost, url+"/openai/v1/chat/completions", strings.NewReader(callersBody))
	if err != nil {
		return false
	}
	request.Header.Set("Api-Key", key)
	response, err := client.Do(request)
	var answer struct {
		Usage struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
		}
	}
	if err == nil {
		err = json.NewDecoder(response.Body).Decode(&answer)
		response.Body.Close()
	}
	switch {
	case err != nil:
		c.lost.Add(1)
		return false
	case response.StatusCode == http.StatusOK:
		c.calls.Add(1)
		tokens := answer.Usage.Prompt + answer.Usage.Completion
		c.reported.Add(tokens)
		c.mu.Lock()
		c.answered = append(c.answered, answered{time.Now(), tokens})
		c.mu.Unlock()
	case response.StatusCode == http.StatusTooManyRequests:
		c.refused.Add(1)
	default:
		c.unavailable.Add(1)
	}
	return true
}

// used returns the subscription's usage in the ledger.
func used(t *testing.T, emulator *azurite.Server) []ledger.Usage {
	t.Helper()
	service := azuretest.Open(t, emulator.ConnectionString)
	rows, err := ledger.Reader{Store: ledgertables.New(service, ledgertables.DefaultTable)}.Rows(t.Context(), "crowd", time.Time{}, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Join(rows)
}

// compare prints all sums and checks them against the usage in callers' answers. late is the most
// tokens of the killed process that may be missing.
func compare(t *testing.T, minutes []ledger.Usage, groups *[4]callers, late int64) {
	t.Helper()
	const acrossMinutes = 4 * callersEach * (maxTokens + 1) // of calls that began in one minute and ended in the next
	var sum ledger.Totals
	var most int64 // used in a minute
	for _, m := range minutes {
		t.Logf("minute %s: %6d of %d tokens, prompt %6d, completion %6d, calls %5d, refused %5d",
			m.Time().Format("15:04"), m.Tokens(), perMinute, m.PromptTokens, m.CompletionTokens, m.Calls, m.Refused)
		if m.Tokens() > perMinute+acrossMinutes {
			t.Errorf("got %d tokens used in a minute, want at most the limit of %d and %d of calls that began in the minute before", m.Tokens(), perMinute, acrossMinutes)
		}
		sum.Add(m.Totals)
		most = max(most, m.Tokens())
	}
	var reported, refused int64
	doomed := sum.Calls - sum.Failed // calls, each with a prompt of one token
	for i := range groups {
		c := &groups[i]
		t.Logf("process %d: %6d tokens in the answers of %5d calls; %d refused, %d unavailable", i+1, c.reported.Load(), c.calls.Load(), c.refused.Load(), c.unavailable.Load())
		if i < 3 {
			reported += c.reported.Load()
			refused += c.refused.Load()
			doomed -= c.calls.Load()
			if lost := c.lost.Load(); lost > 0 {
				t.Errorf("process %d, which lives: got %d calls without an answer, want none", i+1, lost)
			}
		}
	}
	killed := groups[3].reported.Load()
	sum.PromptTokens -= doomed
	sum.CompletionTokens += doomed
	t.Logf("the three that live: ledger %d, answers %d; the killed: ledger %d, answers %d, in its last 10 s at most %d", sum.PromptTokens, reported, sum.CompletionTokens, killed, late)
	if sum.PromptTokens != reported || reported == 0 {
		t.Errorf("the three that live: got %d tokens in the ledger, want %d as in their callers' answers, above 0", sum.PromptTokens, reported)
	}
	if sum.CompletionTokens < killed-late || sum.CompletionTokens > killed+late || sum.CompletionTokens == 0 {
		t.Errorf("the killed process: got %d tokens in the ledger, want the %d of its answers, give or take %d of its last 10 s, and more than 0", sum.CompletionTokens, killed, late)
	}
	if all := refusedOf(groups[:]); sum.Refused < refused || sum.Refused > all+groups[3].lost.Load() || sum.Refused != sum.RefusedBy["tokens"] {
		t.Errorf("got %d refusals in the ledger, %v, want %d to %d, all by tokens", sum.Refused, sum.RefusedBy, refused, all)
	}
	if refused == 0 || most < perMinute/2 {
		t.Errorf("got at most %d tokens used in a minute and %d refusals, want %d or more and a refusal", most, refused, perMinute/2)
	}
}
