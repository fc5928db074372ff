package console_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tollgate/handler/console"
)

func get(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	console.Handler().ServeHTTP(recorder, request)
	return recorder.Result()
}

func TestThePageIsServedWithAStrictPolicy(t *testing.T) {
	for path, contentType := range map[string]string{"/console/": "text/html; charset=utf-8", "/console/app.js": "text/javascript; charset=utf-8",
		"/console/console.css": "text/css; charset=utf-8", "/console/icon.svg": "image/svg+xml", "/console/vendor/LICENSE.txt": "text/plain; charset=utf-8"} {
		response := get(t, path)
		h := response.Header
		if response.StatusCode != http.StatusOK || h.Get("Content-Type") != contentType || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got %d %v, want 200 with its type and nosniff", path, response.StatusCode, h)
		}
		policy := h.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: got the policy %s, want default-src and frame-ancestors 'none', nothing unsafe and no other host", path, policy)
		}
		if again := get(t, path, "If-None-Match", h.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s with its ETag: got %d, want 304", path, again.StatusCode)
		}
	}
	if response := get(t, "/console"); response.StatusCode != http.StatusPermanentRedirect || response.Header.Get("Location") != "/console/" {
		t.Errorf("/console: got %d to %s, want 308 to /console/", response.StatusCode, response.Header.Get("Location"))
	}
	for _, path := range []string{"/console/nothing", "/console/../go.mod", "/console/page/app.js"} {
		if response := get(t, path); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, response.StatusCode)
		}
	}
}

// The policy would block what the page loads from another host, which no Go test would see.
func TestThePageNamesNoOtherHost(t *testing.T) {
	files, err := filepath.Glob("page/*.*")
	if err != nil || len(files) < 5 {
		t.Fatalf("got page files %v and error %v, want 5 or more", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"https://", "innerHTML", "insertAdjacentHTML", "eval(", "style=\""} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s: got %s in it, want it nowhere", name, word)
			}
		}
	}
}

// TestTheChartLibraryIsThePinnedOne compares the committed copy with the package that
// make console-vendor copies it from.
func TestTheChartLibraryIsThePinnedOne(t *testing.T) {
	const pinned = "browser/node_modules/uplot"
	if _, err := os.Stat(pinned); err != nil {
		t.Skip("the package is not installed: run npm ci in handler/console/browser")
	}
	for ours, theirs := range map[string]string{"uPlot.iife.min.js": "dist/uPlot.iife.min.js", "uPlot.min.css": "dist/uPlot.min.css", "LICENSE.txt": "LICENSE"} {
		a, e1 := os.ReadFile(filepath.Join("page/vendor", ours))
		b, e2 := os.ReadFile(filepath.Join(pinned, theirs))
		if e1 != nil || e2 != nil || string(a) != string(b) {
			t.Errorf("page/vendor/%s: got another file than %s (%v, %v), want the pinned one: run make console-vendor", ours, theirs, e1, e2)
		}
	}
}
