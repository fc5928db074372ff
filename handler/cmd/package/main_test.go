package main

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// app returns a folder that the host could run, whose files were changed at a time.
func app(changed time.Time) fstest.MapFS {
	return fstest.MapFS{
		"host.json":               {Data: []byte("{}"), Mode: 0o644, ModTime: changed},
		"gateway/function.json":   {Data: []byte(`{"bindings":[]}`), Mode: 0o600, ModTime: changed},
		"handler":                 {Data: bytes.Repeat([]byte("binary"), 1000), Mode: 0o700, ModTime: changed},
		"housekeeping/function.a": {Data: []byte("a"), Mode: 0o664, ModTime: changed},
	}
}

func packed(t *testing.T, folder fs.FS) []byte {
	t.Helper()
	var to bytes.Buffer
	if err := pack(folder, &to); err != nil {
		t.Fatal(err)
	}
	return to.Bytes()
}

func TestTheSameFilesGiveTheSameBytes(t *testing.T) {
	first := packed(t, app(time.Unix(1e9, 0)))
	if !bytes.Equal(first, packed(t, app(time.Now()))) {
		t.Error("the same files, changed later: got another package, want the same bytes")
	}
	other := app(time.Now())
	other["handler"].Data = []byte("another binary")
	if bytes.Equal(first, packed(t, other)) {
		t.Error("another binary: got the same package, want another")
	}
}

func TestTheHandlerStaysExecutable(t *testing.T) {
	text := packed(t, app(time.Now()))
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	modes := make(map[string]fs.FileMode)
	for _, file := range archive.File {
		modes[file.Name] = file.Mode()
		if file.CreatorVersion>>8 != 3 {
			t.Errorf("%s: got creator version %#x, want one of Unix, without which its mode is ignored", file.Name, file.CreatorVersion)
		}
	}
	for name, want := range map[string]fs.FileMode{"host.json": 0o644, "gateway/function.json": 0o644, "handler": 0o755} {
		if modes[name] != want {
			t.Errorf("%s: got mode %v, want %v", name, modes[name], want)
		}
	}
	if len(modes) != 4 {
		t.Errorf("got files %v, want 4", modes)
	}
}

func TestPackRefusesSecretsLinksAndOtherFolders(t *testing.T) {
	secret := app(time.Now())
	secret["local.settings.json"] = &fstest.MapFile{Data: []byte("{}")}
	link := app(time.Now())
	link["elsewhere"] = &fstest.MapFile{Mode: fs.ModeSymlink}
	none := app(time.Now())
	delete(none, "host.json")
	for want, folder := range map[string]fstest.MapFS{"local.settings.json holds this machine's secrets": secret, "elsewhere is not a file": link, "not a folder that the Functions host can run": none} {
		if err := pack(folder, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestAFailureKeepsThePreviousPackage(t *testing.T) {
	to := filepath.Join(t.TempDir(), "tollgate.zip")
	if err := os.WriteFile(to, []byte("the one before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.TempDir(), to, new(bytes.Buffer)); err == nil {
		t.Error("an empty folder: got no error, want one")
	}
	left, err := os.ReadDir(filepath.Dir(to))
	if before, _ := os.ReadFile(to); string(before) != "the one before" || len(left) != 1 {
		t.Errorf("got files %v (error %v), want only the previous package", left, err)
	}
}

func TestRunPrintsThePackagesSize(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "tollgate.zip")
	for name, file := range app(time.Now()) {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, file.Mode); err != nil {
			t.Fatal(err)
		}
	}
	var stdout strings.Builder
	if err := run(from, to, &stdout); err != nil || stdout.String() != to+": 0.0 MB\n" {
		t.Errorf("got %q and error %v, want the package's path and 0.0 MB", stdout.String(), err)
	}
}
