package config

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// env reads settings from a map, as os.Getenv does from the environment.
func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// validSettings lets a gateway start.
var validSettings = map[string]string{"KEY_PEPPER": "canary-pepper-0123456789", "UPSTREAM_URL": "https://x.services.ai.azure.com",
	"UPSTREAM_API_KEY": "canary-upstream", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}

func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	_, err := Load(env(map[string]string{"STORE": "disk", "MAX_BODY_BYTES": "x", "BASE_PATH": "inference", "HEADER_TIMEOUT": "-5s",
		"RETRY_AFTER_HEADER": "a b", "KEY_PEPPER": "short", "AzureWebJobsStorage__accountName": "A.B", "UPSTREAM_SHAPE": "soap", "PORT": "99999", "USAGE_RETENTION": "90", "CLIENT_IP_HEADER": "a:b"}))
	for _, name := range []string{"STORE", "MAX_BODY_BYTES", "BASE_PATH", "HEADER_TIMEOUT", "RETRY_AFTER_HEADER", "UPSTREAM_SHAPE", "PORT", "USAGE_RETENTION", "CLIENT_IP_HEADER", "KEY_PEPPER", "UPSTREAM_URL", "AzureWebJobsStorage__accountName"} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+name+" ") {
			t.Errorf("got %v\nwant a fault of %s", err, name)
		}
	}
}

// TestHeaderNamesMustDiffer: a count in Content-Length would break every answer, and of two counts
// in one header callers would see only one.
func TestHeaderNamesMustDiffer(t *testing.T) {
	for want, values := range map[string]map[string]string{
		"REMAINING_TOKENS_HEADER is \"content-length\"":   {"REMAINING_TOKENS_HEADER": "content-length"},
		"TOKENS_CONSUMED_HEADER is \"retry-after\"":       {"TOKENS_CONSUMED_HEADER": "retry-after"},
		"RETRY_AFTER_HEADER is \"X-Request-ID\"":          {"RETRY_AFTER_HEADER": "X-Request-ID"},
		"RETRY_AFTER_HEADER is \"retry-after-ms\"":        {"RETRY_AFTER_HEADER": "retry-after-ms"}, // the value is in seconds
		"TOKENS_CONSUMED_HEADER is \"x-ratelimit-limit-":  {"TOKENS_CONSUMED_HEADER": "x-ratelimit-limit-tokens"},
		"REMAINING_QUOTA_TOKENS_HEADER is \"x-left\"":     {"REMAINING_TOKENS_HEADER": "X-Left", "REMAINING_QUOTA_TOKENS_HEADER": "x-left"},
		"RETRY_AFTER_HEADER is \"x-apim-remaining-tokens": {"RETRY_AFTER_HEADER": "x-apim-remaining-tokens"},
	} {
		if _, err := Load(with(values)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want an error that begins with %q", err, want)
		}
	}
	if _, err := Load(with(map[string]string{"RETRY_AFTER_HEADER": "retry-after", "REMAINING_TOKENS_HEADER": "x-ratelimit-remaining-tokens"})); err != nil {
		t.Error(err)
	}
}

// A request's path has no query, fragment or percent escapes, so none would match such a base
// path.
func TestABasePathWithAQueryOrEscapesIsAFault(t *testing.T) {
	for _, path := range []string{"/a?b", "/a#b", "/a%20b"} {
		if _, err := Load(with(map[string]string{"BASE_PATH": path})); err == nil || !strings.HasPrefix(err.Error(), "BASE_PATH is ") {
			t.Errorf("%s: got %v, want a fault of BASE_PATH", path, err)
		}
	}
}

func TestFaultsOfTheStoreAreReportedWithAllOthers(t *testing.T) {
	for want, values := range map[string]map[string]string{
		"MEMORY_DIRECTORY subscriptions[0] ": {"STORE": "memory", "KEY_PEPPER": validSettings["KEY_PEPPER"], "MEMORY_DIRECTORY": `{"tiers":[{"id":"T","tokensPerMinute":-1}],"subscriptions":[{"id":"a","tier":"b"}]}`},
		"MEMORY_DIRECTORY tiers[0] ":         {"STORE": "memory", "KEY_PEPPER": validSettings["KEY_PEPPER"], "MEMORY_DIRECTORY": `{"tiers":[{"id":"T","tokensPerMinute":-1}],"subscriptions":[{"id":"a","tier":"b"}]}`},
		"MEMORY_DIRECTORY prices[0]: ":       {"STORE": "memory", "KEY_PEPPER": validSettings["KEY_PEPPER"], "MEMORY_DIRECTORY": `{"currency":"EUR","prices":[{"model":"m","from":"2026-01-01","prompt":"1"}]}`},
		"AzureWebJobsStorage is missing":     {"KEY_PEPPER": validSettings["KEY_PEPPER"]},
	} {
		_, err := Load(env(values))
		for _, part := range []string{want, "UPSTREAM_URL is missing"} {
			if err == nil || !strings.Contains("\n"+err.Error(), "\n"+part) {
				t.Errorf("got %v\nwant a line that begins with %q", err, part)
			}
		}
	}
}

func TestTheHostChoosesThePort(t *testing.T) {
	for name, want := range map[string]bool{"FUNCTIONS_CUSTOMHANDLER_PORT": true, "FUNCTIONS_HTTPWORKER_PORT": true, "PORT": false} {
		values := map[string]string{name: "4321"}
		for k, v := range validSettings {
			values[k] = v
		}
		c, err := Load(env(values))
		if err != nil || c.Server.Port != 4321 || c.Server.UnderHost != want {
			t.Errorf("%s: got port %d, under host %t, error %v; want 4321, %t", name, c.Server.Port, c.Server.UnderHost, err, want)
		}
	}
}

func TestPrintingTheConfigShowsNoSecret(t *testing.T) {
	c, err := Load(env(validSettings))
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(shown, "canary") {
		t.Errorf("got %s, want no secret in it", shown)
	}
}

// elsewhere lists settings that Go's runtime or the Functions host reads.
var elsewhere = []string{"GOMEMLIMIT", "HOUSEKEEPING_SCHEDULE"}

// TestTheDocsHaveEverySetting compares the settings that are read with those that
// have a row in docs/settings.md.
func TestTheDocsHaveEverySetting(t *testing.T) {
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	unread := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`"+`[A-Z][^|]*) \|`).FindAllSubmatch(page, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllSubmatch(row[1], -1) {
			unread[string(name[1])] = true
		}
	}
	rows := maps.Clone(unread)
	asked := func(name string) string {
		if !rows[name] {
			t.Errorf("docs/settings.md: got no row for %s, want one", name)
		}
		delete(unread, name)
		return ""
	}
	_, _ = Load(asked)
	for _, name := range elsewhere {
		asked(name)
	}
	for name := range unread {
		t.Errorf("docs/settings.md: got a row for %s, which nothing reads, want none", name)
	}
}

func TestRetentionIsWholeDays(t *testing.T) {
	for value, want := range map[string]time.Duration{"": 400 * 24 * time.Hour, "7d": 7 * 24 * time.Hour, "16383d": 16383 * 24 * time.Hour} {
		s := &settings{getenv: env(map[string]string{"USAGE_RETENTION": value})}
		if got := s.retention("USAGE_RETENTION"); got != want || s.err() != nil {
			t.Errorf("%q: got %v, error %v; want %v", value, got, s.err(), want)
		}
	}
	for _, value := range []string{"36h", "7", "0d", "-7d", "1.5d", "16384d", "d"} {
		s := &settings{getenv: env(map[string]string{"USAGE_RETENTION": value})}
		if got := s.retention("USAGE_RETENTION"); s.err() == nil || !strings.Contains(s.err().Error(), "USAGE_RETENTION") || !strings.Contains(s.err().Error(), "400d") {
			t.Errorf("%q: got %v, error %v; want an error that names USAGE_RETENTION and an example", value, got, s.err())
		}
	}
}

// Origins are compared with what browsers send: any other form would match none.
func TestOriginsMustHaveTheFormThatBrowsersSend(t *testing.T) {
	for _, value := range []string{"localhost:5173", "http://localhost:5173/", "https://app.example.com/page", "https://*.example.com", "null", "http://localhost:5173,app"} {
		if _, err := Load(with(map[string]string{"CORS_ORIGINS": value})); err == nil || !strings.HasPrefix(err.Error(), "CORS_ORIGINS has ") {
			t.Errorf("%s: got %v, want a fault of CORS_ORIGINS", value, err)
		}
	}
	c, err := Load(with(map[string]string{"CORS_ORIGINS": "http://localhost:5173, https://app.example.com"}))
	if err != nil || len(c.Gateway.Origins) != 2 || c.Gateway.Origins[1] != "https://app.example.com" {
		t.Errorf("got %q, %v, want both origins", c.Gateway.Origins, err)
	}
	if c, err := Load(with(map[string]string{"CORS_ORIGINS": "*"})); err != nil || len(c.Gateway.Origins) != 1 {
		t.Errorf("*: got %q, error %v; want one origin", c.Gateway.Origins, err)
	}
}
