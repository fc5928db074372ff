package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tollgate/handler/local/azurite"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
)

// maxResident is the most memory that the process may take, in bytes, whatever the bodies
// and answers.
const maxResident = 512 << 20

// An attackedGateway is a gateway's process whose callers try to exhaust its memory.
type attackedGateway struct {
	url    string
	pid    int
	victim string // the key of a caller that only reads its stream
	keys   []string
}

// TestCallersCannotExhaustMemory makes concurrent calls that take the most memory, while
// another caller's stream must go on.
func TestCallersCannotExhaustMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it moves gigabytes")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("a process's memory is read from /proc")
	}
	answerLate := make(chan struct{}) // when it is closed, the model answers the user "late"
	model := httptest.NewServer(modelOfAttack(answerLate))
	t.Cleanup(model.Close)
	attacked := startAttacked(t, model.URL)
	stream := attacked.followVictim(t)
	large := `{"model":"DeepSeek-R1","user":"late","messages":[{"role":"user","content":"` + strings.Repeat("What is a token bucket? ", 170_000) + `"}]}`
	for _, step := range []struct {
		name string
		run  func()
	}{
		{"empty messages", func() {
			attacked.flood(t, 24, `{"model":"DeepSeek-R1","messages":[`+strings.Repeat("{},", 1_390_000)+`{}]}`, 400)
		}},
		{"objects", func() {
			attacked.flood(t, 24, `{"model":"DeepSeek-R1","messages":[{"role":"user","content":"hi"}],"a":[`+strings.Repeat("{},", 1_380_000)+`{}]}`, 400)
		}},
		{"one word", func() {
			attacked.flood(t, 24, `{"model":"DeepSeek-R1","messages":[{"role":"user","content":"`+strings.Repeat("a", 4_100_000)+`"}]}`, 0)
		}},
		{"200 calls of 4 MB", func() {
			time.AfterFunc(3*time.Second, func() { close(answerLate) })
			attacked.flood(t, 200, large, 0)
		}},
		{"answers that nobody reads", func() { attacked.ignoreAnswers(t, 60) }},
	} {
		step.run()
		peak, now := attacked.resident(t)
		t.Logf("%s: %d MB at most so far, %d MB now", step.name, peak>>20, now>>20)
		if peak > maxResident {
			t.Errorf("%s: got a peak of %d MB, want at most %d MB", step.name, peak>>20, maxResident>>20)
		}
		stream.waitForEvents(t)
	}
}

// modelOfAttack returns a model whose streams never end, which answers the user "late" once
// answerLate is closed, and whose answers with logprobs have 15 MB.
func modelOfAttack(answerLate chan struct{}) http.HandlerFunc {
	padding := strings.Repeat("x", 15<<20)
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case strings.Contains(string(body), `"stream":true`):
			w.Header().Set("Content-Type", "text/event-stream")
			for tick := time.Tick(50 * time.Millisecond); ; {
				_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"and "}}]}`+"\n\n")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-tick:
				case <-r.Context().Done():
					return
				}
			}
		case strings.Contains(string(body), `"user":"late"`):
			select {
			case <-answerLate:
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		logprobs := ""
		if strings.Contains(string(body), `"logprobs":true`) {
			logprobs = padding
		}
		fmt.Fprintf(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop","logprobs":%q}],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}`, logprobs)
	}
}

// startAttacked starts the gateway with the keys of two attackers and the victim.
func startAttacked(t *testing.T, model string) *attackedGateway {
	t.Helper()
	binary := buildGateway(t)
	port, err := azurite.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	b := &attackedGateway{url: "http://127.0.0.1:" + port, victim: subscription.NewKey(), keys: []string{subscription.NewKey(), subscription.NewKey()}}
	directory := fmt.Sprintf(`{"tiers":[{"id":"t","tokensPerMinute":1000000000,"reserve":"none"}],
		"subscriptions":[{"id":"v","tier":"t"},{"id":"a","tier":"t"},{"id":"b","tier":"t"}],
		"keys":[{"subscription":"v","key":%q},{"subscription":"a","key":%q},{"subscription":"b","key":%q}]}`, b.victim, b.keys[0], b.keys[1])
	command := exec.Command(binary)
	command.Env = []string{"PORT=" + port, "STORE=memory", "KEY_PEPPER=" + subscriptiontest.PepperSecret, "MEMORY_DIRECTORY=" + directory,
		"UPSTREAM_URL=" + model, "UPSTREAM_SHAPE=openai", "UPSTREAM_API_KEY=k", "MODELS=DeepSeek-R1"}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	b.pid = command.Process.Pid
	waitForGateway(t, b.url)
	return b
}

func (b *attackedGateway) request(t *testing.T, key, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Api-Key", key)
	return request
}

// flood makes calls concurrently, each of which must be answered with the status want or
// 503. If want is 0, each must succeed or be refused with Retry-After.
func (b *attackedGateway) flood(t *testing.T, calls int, body string, want int) {
	t.Helper()
	var group sync.WaitGroup
	for i := range calls {
		request := b.request(t, b.keys[i%2], body)
		group.Go(func() {
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			_, _ = io.Copy(io.Discard, response.Body)
			switch ok := response.StatusCode == http.StatusOK || response.Header.Get("Retry-After") != ""; {
			case want != 0 && response.StatusCode != want && response.StatusCode != http.StatusServiceUnavailable, want == 0 && !ok:
				t.Errorf("got %d %v, want %d (0: success, or a refusal with Retry-After)", response.StatusCode, response.Header, want)
			}
		})
	}
	group.Wait()
}

// ignoreAnswers requests answers of 15 MB and reads none of them. It returns when the
// gateway's memory has stopped growing.
func (b *attackedGateway) ignoreAnswers(t *testing.T, calls int) {
	t.Helper()
	const body = `{"model":"DeepSeek-R1","logprobs":true,"top_logprobs":20,"messages":[{"role":"user","content":"hi"}]}`
	for i := range calls {
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nApi-Key: %s\r\nContent-Length: %d\r\n\r\n%s", b.keys[i%2], len(body), body)
	}
	last, since := int64(0), time.Now()
	for tick := time.Tick(100 * time.Millisecond); time.Since(since) < 2*time.Second; <-tick { // until it stops growing
		if peak, _ := b.resident(t); peak > last {
			last, since = peak, time.Now()
		}
	}
}

// resident returns the process's memory in bytes: its peak and the current value.
func (b *attackedGateway) resident(t *testing.T) (peak, now int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.pid))
	if err != nil {
		t.Fatalf("got error %v, want a gateway that still runs", err)
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmHWM:":
			peak = n << 10
		case "VmRSS:":
			now = n << 10
		}
	}
	return peak, now
}

// A victimStream is the stream of the caller that must not suffer.
type victimStream struct{ events chan string }

func (b *attackedGateway) followVictim(t *testing.T) *victimStream {
	t.Helper()
	response, err := http.DefaultClient.Do(b.request(t, b.victim, `{"model":"DeepSeek-R1","stream":true,"messages":[{"role":"user","content":"hi"}]}`))
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the victim's stream: got %v and error %v, want 200", response, err)
	}
	t.Cleanup(func() { response.Body.Close() })
	f := &victimStream{events: make(chan string, 1)}
	go func() {
		defer close(f.events)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			select {
			case f.events <- lines.Text():
			default: // no test is waiting
			}
		}
	}()
	return f
}

// waitForEvents waits for new events, and fails the test if none come.
func (f *victimStream) waitForEvents(t *testing.T) {
	t.Helper()
	for range 5 {
		select {
		case _, open := <-f.events:
			if !open {
				t.Fatal("got the victim's stream cut, want it to go on")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("got no event of the victim's stream in 10s, want it to go on")
		}
	}
}
