package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"tollgate/handler/local/azurite"
	"tollgate/handler/subscription"
)

const testdata = "handler/cmd/demo/testdata/"

// TestMain runs all tests in the repository's root, where make runs the demo.
func TestMain(m *testing.M) {
	if err := os.Chdir("../../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// unindented returns a file's text without the white space before its lines.
func unindented(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var flat strings.Builder
	for line := range strings.Lines(string(text)) {
		flat.WriteString(strings.TrimLeft(line, " \t"))
	}
	return flat.String()
}

// article.py.txt is the text as published ("GenAI Cost Runaway? Observable Token Quota
// Control with Azure AI Gateway"), which has lost its indentation.
func TestTheScriptDiffersFromTheArticlesOnlyInIndentation(t *testing.T) {
	if unindented(t, testdata+"article.py") != unindented(t, testdata+"article.py.txt") {
		t.Error("got an article.py that differs from article.py.txt in more than leading white space, want no other difference")
	}
}

// python returns an interpreter that has the script's one dependency.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("PYTHON"), "python3", "/usr/bin/python3"} {
		if name != "" && exec.Command(name, "-c", "import requests").Run() == nil {
			return name
		}
	}
	t.Skip("no Python with requests: install Debian's python3-requests, or set PYTHON")
	return ""
}

// runner sets the variables that the script expects.
const runner = `
apim_resource_gateway_url = %q
inference_api_path = "inference"
inference_api_version = "2024-05-01-preview"
models_config = [{"name": "DeepSeek-R1"}]
apim_subscriptions = [{"key": %q}]
exec(open(%q, encoding="utf-8").read())
`

var retryAfter = regexp.MustCompile(`'x-apim-retry-after': '(\d+)'`)

// opening serializes builds, which write the same binary.
var opening sync.Mutex

// A demo is a setup whose counters go by a clock of the test's.
type demo struct {
	*setup
	clock *azurite.Clock
}

// open starts a demo. Without Azurite the test is skipped.
func open(t *testing.T) demo {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short: it starts the demo")
	}
	opening.Lock()
	defer opening.Unlock()
	s := newSetup()
	s.key = subscription.NewKey()
	if _, err := s.openStore(t.Context()); err != nil {
		s.stop()
		t.Fatal(err)
	}
	if s.emulator == nil {
		t.Skip(azurite.ErrNotInstalled)
	}
	clock := azurite.NewClock(t, s.emulator.ConnectionString)
	t.Cleanup(s.stop) // before the clock's proxy closes
	if err := s.startGateway(t.Context(), 0, tables(clock.ConnectionString)); err != nil {
		t.Fatal(err)
	}
	return demo{s, clock}
}

func TestTheArticlesScriptRunsUnchanged(t *testing.T) {
	t.Parallel() // beside the other tests that start a demo
	interpreter := python(t)
	s := open(t)
	s.clock.Set(0) // so that all ten calls are in the same minute
	script := exec.CommandContext(t.Context(), interpreter, "-c", fmt.Sprintf(runner, s.url, s.key, testdata+"article.py"))
	script.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	output, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("the article's script: got %v, want it to succeed:\n%s", err, output)
	}
	text := string(output)
	for _, want := range []string{
		"input tokens:  25 output tokens:  233 total tokens:  258\nheaders: {'x-apim-remaining-tokens': '42', 'x-apim-tokens-consumed': '258'}",
		"input tokens:  25 output tokens:  184 total tokens:  209\nheaders: {'x-apim-remaining-tokens': '0', 'x-apim-tokens-consumed': '209'}",
		"Run:  10 status code:  429 ⛔",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got:\n%s\nwant %q in it", text, want)
		}
	}
	waits := retryAfter.FindAllStringSubmatch(text, -1)
	if len(waits) != 8 {
		t.Fatalf("got %d refusals, want 8:\n%s", len(waits), text)
	}
	last := 61
	for _, wait := range waits {
		seconds, _ := strconv.Atoi(wait[1])
		if seconds > last {
			t.Errorf("the time to wait rose from %d to %d s, want it to fall", last, seconds)
		}
		last = seconds
	}
	s.checkLogs(t)
}

func TestCheckReportsDifferences(t *testing.T) {
	right := func() []outcome {
		calls := []outcome{{200, "42", 0}, {200, "0", 0}}
		for i := range 8 {
			calls = append(calls, outcome{429, "0", 30 - 2*i})
		}
		return calls
	}
	if err := check(right()); err != nil {
		t.Errorf("for the article's calls got %v, want no difference", err)
	}
	for name, spoil := range map[string]func([]outcome){
		"status":    func(c []outcome) { c[5].status = 200 },
		"remaining": func(c []outcome) { c[0].remaining = "41" },
		"rising":    func(c []outcome) { c[4].retryAfter = 40 },
		"too flat":  func(c []outcome) { c[9].retryAfter = 23 },
	} {
		calls := right()
		if spoil(calls); check(calls) == nil {
			t.Errorf("%s: got no difference, want one", name)
		}
	}
}
