// Package console serves the page at /console, where callers see their own usage and
// operators see everybody's and change limits, groups, subscriptions and prices.
//
// Handler serves the embedded files of page/, which are static. The page's scripts request
// GET /usage with the key that a caller enters, and /manage with the token that an operator
// enters.
//
// Start reading at page/app.js, then caller.js and operator.js.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

// Prefix is the path of the page. Its files are below it.
const Prefix = "/console"

// policy allows the page to load its own files and connect to its own gateway only, and
// forbids framing it. Scripts may still set style properties, as the charts do, because
// the policy restricts style attributes in markup only.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// types holds media types by file name extension. Package mime would also use the machine's
// configuration.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// A file is one of the page's files.
type file struct {
	body        []byte
	contentType string
	etag        string
}

// Handler returns a handler that serves the page.
func Handler() http.Handler {
	all := make(map[string]file)
	err := fs.WalkDir(files, "page", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		sum := sha256.Sum256(body)
		all[strings.TrimPrefix(name, "page/")] = file{body, types[path.Ext(name)], `"` + hex.EncodeToString(sum[:8]) + `"`}
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("read the embedded page: %v", err)) // can't happen: the files are embedded
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, all) })
}

// serve answers with one of the files.
func serve(w http.ResponseWriter, r *http.Request, all map[string]file) {
	name, below := strings.CutPrefix(r.URL.Path, Prefix+"/")
	if !below { // the page's addresses are relative to Prefix/
		http.Redirect(w, r, strings.TrimPrefix(Prefix, "/")+"/", http.StatusPermanentRedirect)
		return
	}
	if name == "" {
		name = "index.html"
	}
	found, ok := all[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This path accepts GET only.", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // browsers revalidate, and get 304
	h.Set("Content-Type", found.contentType)
	h.Set("ETag", found.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(found.body))
}
