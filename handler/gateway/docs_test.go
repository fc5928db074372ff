package gateway

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page returns docs/calls.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/calls.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documented returns what is in backquotes in a column of the tables of a section.
func documented(t *testing.T, section string, column int) (names []string) {
	t.Helper()
	_, text, found := strings.Cut(page(t), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/calls.md: got no section %q, want one", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > column+1 {
			for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[column+1], -1) {
				names = append(names, match[1])
			}
		}
	}
	return names
}

// given returns the error codes in the sources.
func given(t *testing.T) map[string]bool {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.go", "../upstream/*.go", "../operation/*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	code := regexp.MustCompile(`(?:\b[cC]ode: |\.code = [^"\n]*|\bcode\w+ += |\boutcomeFailed = |Reason = )"([a-z_]+)"`)
	unavailable := regexp.MustCompile(`\bunavailable\("([a-z]+)"`)
	codes := make(map[string]bool)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range code.FindAllSubmatch(source, -1) {
			codes[string(match[1])] = true
		}
		for _, match := range unavailable.FindAllSubmatch(source, -1) {
			codes[string(match[1])+"_unavailable"] = true
		}
	}
	delete(codes, "client_closed")   // the caller has left and never sees it
	delete(codes, "not_found_error") // an error type of Anthropic's API, not a code
	return codes
}

func TestTheDocsHaveEveryErrorCodeOnce(t *testing.T) {
	got, want := documented(t, "Errors", 1), slices.Sorted(maps.Keys(given(t)))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("codes in docs/calls.md:\ngot  %q\nwant %q", got, want)
	}
}

func TestTheDocsHaveEveryRouteOnce(t *testing.T) {
	count := make(map[string]int)
	for _, name := range documented(t, "Routes", 0) {
		count[strings.TrimPrefix(strings.TrimPrefix(name, "POST "), "GET ")]++
	}
	for path := range routes {
		if list, one := strings.CutSuffix(path, "/{name}"); one { // the page says of these: each also with /{name}
			if count[list] == 0 || count["/{name}"] == 0 {
				t.Errorf("docs/calls.md: got the route %s %d times and /{name} %d times, want both", list, count[list], count["/{name}"])
			}
			continue
		}
		if count[path] != 1 {
			t.Errorf("docs/calls.md: got the route %s %d times, want once", path, count[path])
		}
	}
}

func TestTheDocsHaveEveryHeaderOnce(t *testing.T) {
	count := make(map[string]int)
	for _, name := range documented(t, "Headers", 0) {
		name, _, _ = strings.Cut(name, ":")
		count[strings.ToLower(name)]++
	}
	n := DefaultHeaderNames
	for _, name := range []string{n.RemainingTokens, n.TokensConsumed, n.RemainingQuotaTokens, n.RetryAfter, "Retry-After", "Retry-After-Ms",
		ratelimitTokens.limit, ratelimitTokens.remaining, ratelimitTokens.reset, ratelimitCalls.limit, ratelimitCalls.remaining, ratelimitCalls.reset,
		headerPolicy, headerState, headerRefusedBy, headerShouldRetry, headerRequestID, headerAnthropicID, headerUpstream, headerShadow, "Cache-Control"} {
		if got := count[strings.ToLower(name)]; got != 1 {
			t.Errorf("docs/calls.md: got the header %s %d times, want once", name, got)
		}
	}
}
