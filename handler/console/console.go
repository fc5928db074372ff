// Package console is the page at /console, where callers see what they use and
// operators what everybody does. It is static: what it shows it asks of GET
// /usage and of /manage, with the key or token that its user gives it.
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

// Prefix is the path that the page is at, and its files are below.
const Prefix = "/console"

// policy lets the page load nothing but its own files, talk to nobody but the
// gateway that it came from, and be put into no other page. Its charts place
// themselves by style attributes that a script sets, which the policy doesn't
// govern.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// types are the files' media types, whatever this machine thinks of them.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// file is one of the page's, read once.
type file struct {
	body        []byte
	contentType string
	etag        string
}

// Handler serves the page.
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
		panic(fmt.Sprintf("read the embedded page: %v", err)) // it was read when this was built
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, all) })
}

func serve(w http.ResponseWriter, r *http.Request, all map[string]file) {
	name, below := strings.CutPrefix(r.URL.Path, Prefix+"/")
	if !below { // so that the page's own addresses are relative to it
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
		http.Error(w, "This path takes GET only.", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // asked for again, and answered with 304
	h.Set("Content-Type", found.contentType)
	h.Set("ETag", found.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(found.body))
}
