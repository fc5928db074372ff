package manage_test

import (
	"slices"
	"strings"
	"testing"
)

// TestAChangeThatChangesNothingIsNotRecorded, as when an operator sends back what it read:
// the stored value keeps its version.
func TestAChangeThatChangesNothingIsNotRecorded(t *testing.T) {
	f := newFixtureWithCurrency(t)
	f.must("PUT", "/groups/lab", `{"name":"Lab","suspended":true}`)
	f.must("PUT", "/prices/m/2026-11-01", `{"prompt":"1","completion":"2","source":"list"}`)
	f.must("POST", "/subscriptions/team-a/keys/primary", `{"expires":"2099-01-01T00:00:00Z"}`)
	want := f.events()
	for _, path := range []string{"/tiers/gold", "/groups/lab", "/subscriptions/team-a", "/prices/m/2026-11-01", "/prices/currency"} {
		read := f.must("GET", path, "")
		etag := read.header.Get("ETag")
		body := read.text
		if path == "/prices/currency" {
			body = `{"currency":"EUR"}`
		}
		if again := f.must("PUT", path, body, "If-Match", etag); again.header.Get("ETag") != etag {
			t.Errorf("PUT %s of what is stored: got ETag %s, want %s as before", path, again.header.Get("ETag"), etag)
		}
	}
	f.must("PATCH", "/tiers/gold", `{"tokensPerMinute":300}`)
	f.must("PATCH", "/groups/lab", `{"suspended":true}`)
	f.must("PATCH", "/subscriptions/team-a", `{"suspended":false}`)
	f.must("PATCH", "/subscriptions/team-a/keys/primary", `{"expires":"2099-01-01T00:00:00Z"}`)
	if got := f.events(); !slices.Equal(got, want) {
		t.Errorf("the audit after changes that change nothing: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
