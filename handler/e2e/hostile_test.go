package e2e

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tollgate/handler/gateway"
)

// A golden is one request of the corpus with the expected result.
type golden struct {
	where string // file and line
	want  string // the status, or "closed" for no answer; alternatives are separated by slashes
	part  string // must be in the answer
	raw   string // the request
}

// macro matches the macros of the corpus: MSG is a valid messages field, KEY the caller's
// key, CANARY a secret in a prompt, HEX(..) bytes, and REP(n,text) a text repeated n times.
var macro = regexp.MustCompile(`MSG|KEY|CANARY|HEX\(([0-9a-f]+)\)|REP\((\d+),([^)]*)\)`)

func (h *hostile) expand(text string) string {
	return macro.ReplaceAllStringFunc(text, func(found string) string {
		parts := macro.FindStringSubmatch(found)
		switch {
		case found == "MSG":
			return `"messages":[{"role":"user","content":"` + canaryPrompt + `"}]`
		case found == "KEY":
			return h.key
		case found == "CANARY":
			return canaryPrompt
		case parts[1] != "":
			raw, _ := hex.DecodeString(parts[1])
			return string(raw)
		}
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[3], n)
	})
}

// corpus reads a file of golden requests, one a line: STATUS TEXT | REQUEST, where TEXT must
// be in the answer. build makes the raw request from REQUEST.
func (h *hostile) corpus(t *testing.T, file string, build func(text string) string) (cases []golden) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "hostile", file))
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		want, request, found := strings.Cut(line, " | ")
		status, part, _ := strings.Cut(strings.TrimSpace(want), " ")
		if !found {
			t.Fatalf("%s:%d: got a line without ' | ', want one", file, number)
		}
		cases = append(cases, golden{fmt.Sprintf("%s:%d", file, number), status, part, build(h.expand(request))})
	}
	return cases
}

const standardHeaders = "Host: gateway\r\nContent-Type: application/json\r\n"

// post returns a POST request with more headers, each ended by CRLF, and a body.
func (h *hostile) post(target, headers, body string) string {
	return "POST " + target + " HTTP/1.1\r\n" + standardHeaders + headers + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

const soundBody = `{"messages":[{"role":"user","content":"` + canaryPrompt + `"}],"model":"DeepSeek-R1"}`

// builders returns, for each file of the corpus, the function that makes a raw request of
// a line.
func (h *hostile) builders() map[string]func(string) string {
	own := "Api-Key: " + h.key + "\r\n"
	headers := func(text string) string {
		return strings.ReplaceAll(text, " ¦ ", "\r\n") + "\r\n"
	}
	return map[string]func(string) string{
		"bodies.txt":  func(text string) string { return h.post("/v1/chat/completions", own, text) },
		"headers.txt": func(text string) string { return h.post("/v1/chat/completions", own+headers(text), soundBody) },
		"keys.txt":    func(text string) string { return h.post("/v1/chat/completions", headers(text), soundBody) },
		"targets.txt": func(text string) string {
			return strings.Replace(h.post("", own, soundBody), "POST  HTTP", text+" HTTP", 1)
		},
		"raw.txt":      unescaped,
		"upstream.txt": unescaped,
	}
}

// unescaped replaces the escapes in a line of raw bytes.
func unescaped(text string) string {
	return strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t", `\0`, "\x00", `\\`, `\`).Replace(text)
}

// exchange sends raw bytes over a new connection and reads the answer to the first request
// in them.
func (h *hostile) exchange(raw string) (status int, header http.Header, body string, err error) {
	conn, err := net.Dial("tcp", h.address)
	if err != nil {
		return 0, nil, "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(conn, raw) }() // the answer may come before everything is sent
	from := bufio.NewReader(conn)
	response, err := http.ReadResponse(from, nil)
	for err == nil && response.StatusCode < http.StatusOK { // 100 Continue
		response, err = http.ReadResponse(from, nil)
	}
	if err != nil {
		return 0, nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(text), err
}

// used returns the used tokens of the subscription's quota. It reads a header of every
// answer, because GET /usage is limited to fewer calls.
func (h *hostile) used(t *testing.T) int64 {
	t.Helper()
	ask := func(path string) (http.Header, string) {
		status, header, body, err := h.exchange("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nApi-Key: " + h.key + "\r\n\r\n")
		if err != nil || status != http.StatusOK {
			t.Fatalf("GET %s: got %d %s and error %v, want 200", path, status, body, err)
		}
		return header, body
	}
	header, _ := ask("/models")
	if left := header.Get(gateway.DefaultHeaderNames.RemainingQuotaTokens); left != "" {
		n, err := strconv.ParseInt(left, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return hostileLimits.TokenQuota - n
	}
	_, body := ask("/usage") // before the first reservation there is no header
	var usage struct{ Quota struct{ Used int64 } }
	if err := json.Unmarshal([]byte(body), &usage); err != nil {
		t.Fatalf("GET /usage: got %s and error %v, want JSON", body, err)
	}
	return usage.Quota.Used
}

// charged returns the tokens used since it was last called, as soon as right accepts them
// or 20 s have passed: while its counter is being written, a settled call shows later.
func (h *hostile) charged(t *testing.T, right func(charged int64) bool) (charged int64) {
	t.Helper()
	deadline, every := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer every.Stop()
	for {
		charged = h.used(t) - h.spent
		if right(charged) {
			h.spent += charged
			return charged
		}
		select {
		case <-every.C:
		case <-deadline:
			h.spent += charged
			return charged
		}
	}
}

// protocolErrors holds the statuses from 500 with which net/http answers before the gateway sees
// a request: for an unknown transfer coding and for another major version.
// Source: RFC 9112 section 6.1, RFC 9110 section 15.6.6
var protocolErrors = map[int]bool{501: true, 505: true}

// check sends a request and checks the answer and the charge, that the gateway didn't
// answer with a 5xx, and that no canary leaks.
func (h *hostile) check(t *testing.T, c golden) {
	t.Helper()
	status, header, body, err := h.exchange(c.raw)
	got := strconv.Itoa(status)
	if status == 0 {
		got = "closed"
	}
	if !slices.Contains(strings.Split(c.want, "/"), got) || !strings.Contains(body, c.part) {
		t.Errorf("%s: got %s %.300q and error %v, want %s with %q", c.where, got, body, err, c.want, c.part)
	}
	if status >= 500 && !protocolErrors[status] {
		t.Errorf("%s: got %d %s, want a status below 500, or one of %v", c.where, status, body, protocolErrors)
	}
	completed := strings.Contains(body, canaryCompletion)
	want := int64(0)
	if completed {
		want = modelTokens
	}
	if charged := h.charged(t, func(charged int64) bool { return charged == want }); charged != want {
		t.Errorf("%s: got %d tokens charged, want %d; the answer is %d %.200q", c.where, charged, want, status, body)
	}
	shown := body + fmt.Sprint(header)
	for _, secret := range []string{h.key, canaryUpstream, canaryPepper, canaryPrompt} {
		if strings.Contains(shown, secret) {
			t.Errorf("%s: got %s in the answer %s, want it nowhere", c.where, secret, shown)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.faults) > 0 {
		t.Errorf("%s: got a request to the model with the faults %s, want none", c.where, strings.Join(h.faults, "; "))
		h.faults = nil
	}
}

// minRequests is the least number of golden requests.
const minRequests = 300

// TestHostileTraffic sends the corpus to the whole gateway over real sockets, and then
// searches logs, metrics and rows for secrets.
func TestHostileTraffic(t *testing.T) {
	h := startHostile(t, true)
	total := 0
	for file, build := range h.builders() {
		if file == "upstream.txt" {
			continue
		}
		for _, c := range h.corpus(t, file, build) {
			h.check(t, c)
			total++
		}
	}
	for _, c := range h.corpus(t, "upstream.txt", unescaped) {
		h.checkModel(t, c)
		total++
	}
	if total < minRequests {
		t.Errorf("got %d requests, want %d or more", total, minRequests)
	}
	t.Logf("%d golden requests", total)
	h.stop() // writes the last counters and metrics
	h.searchForCanaries(t)
}

// checkModel makes the model send a raw answer, requests a stream if it is one, and checks
// what the caller gets.
func (h *hostile) checkModel(t *testing.T, c golden) {
	t.Helper()
	h.mu.Lock()
	h.answer = c.raw
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.answer = ""
	}()
	body := soundBody
	if strings.Contains(c.raw, "text/event-stream") {
		body = `{"stream":true,` + soundBody[1:]
	}
	status, header, text, err := h.exchange(h.post("/v1/chat/completions", "Api-Key: "+h.key+"\r\n", body))
	got := strconv.Itoa(status)
	if err != nil {
		got += "-cut"
	}
	want, charge, _ := strings.Cut(c.want, "/")
	if got != want || !strings.Contains(text, c.part) {
		t.Errorf("%s: got %s %.300q and error %v, want %s with %q", c.where, got, text, err, want, c.part)
	}
	exact, wrong := strconv.ParseInt(charge, 10, 64)
	right := func(charged int64) bool {
		return wrong == nil && charged == exact || charge == "counted" && charged >= 1 && charged <= 200_000
	}
	if charged := h.charged(t, right); !right(charged) {
		t.Errorf("%s: got %d tokens charged, want %s", c.where, charged, charge)
	}
	if shown := text + fmt.Sprint(header); strings.Contains(shown, canaryUpstream) || strings.Contains(shown, "upstream's-own") {
		t.Errorf("%s: got the answer %s, want no credential or header of the upstream in it", c.where, shown)
	}
}

// searchForCanaries searches the log, the metrics and the rows.
func (h *hostile) searchForCanaries(t *testing.T) {
	t.Helper()
	if lines := strings.Count(h.log.String(), `"msg":"call"`); lines < minRequests {
		t.Errorf("got %d logged calls, want %d or more", lines, minRequests)
	}
	places := map[string]string{"the log": h.log.String(), "the metrics": h.metrics.String()}
	for table, rows := range h.rows(t) {
		places["table "+table] = rows
	}
	for place, text := range places {
		for _, secret := range []string{h.key, canaryPrompt, canaryCompletion, canaryUpstream, canaryPepper} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s: got %s in %.300s, want it nowhere", place, secret, text[max(0, at-150):])
			}
		}
		t.Logf("%s: %d bytes, no canary", place, len(text))
	}
}
