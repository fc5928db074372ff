package host_test

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runMake runs make in the repository's root.
func runMake(args ...string) (output string, err error) {
	return runMakeIn(filepath.Join("..", "..", ".."), args...)
}

// runMakeIn runs make in a folder.
func runMakeIn(folder string, args ...string) (output string, err error) {
	command := exec.Command("make", append([]string{"--no-print-directory"}, args...)...)
	command.Dir = folder
	text, err := command.CombinedOutput()
	return string(text), err
}

// largestHandler is the size limit of the handler's binary, in bytes.
const largestHandler = 16 << 20

func TestBuildCreatesTheHostsFolder(t *testing.T) {
	t.Parallel()
	folder := dist(t)
	for _, name := range []string{"host.json", "local.settings.json", "gateway/function.json", "handler"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || name == "handler" && info.Mode()&0o111 == 0 {
			t.Errorf("%s: got error %v or no execute bit, want a file, and the handler executable", name, err)
		}
		if name == "handler" && err == nil && info.Size() > largestHandler {
			t.Errorf("the handler's size: got %d bytes, want at most %d: every cold start loads it", info.Size(), largestHandler)
		}
	}
	sample, err := os.ReadFile("../../../local.settings.sample.json")
	if copied, _ := os.ReadFile(filepath.Join(folder, "local.settings.json")); err != nil || string(copied) != string(sample) {
		t.Errorf("got other settings than the sample's (error %v), want a copy", err)
	}
}

func TestBuildKeepsExistingSettings(t *testing.T) {
	t.Parallel()
	dist(t) // fills the build cache
	folder := t.TempDir()
	own := filepath.Join(folder, "local.settings.json")
	if err := os.WriteFile(own, []byte("my own"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := runMake("build", "DIST="+folder); err != nil {
		t.Fatalf("got error %v and\n%s\nwant a build", err, output)
	}
	if kept, err := os.ReadFile(own); err != nil || string(kept) != "my own" {
		t.Errorf("got the settings %q (error %v), want \"my own\" kept", kept, err)
	}
}

func TestStartExplainsHowToInstallAHost(t *testing.T) {
	t.Parallel()
	dist(t)
	output, err := runMake("start", "DIST="+t.TempDir(), "FUNC=no-such-host")
	if err == nil || !strings.Contains(output, "no-such-host is not installed: https://learn.microsoft.com/") {
		t.Errorf("got error %v and %s, want \"no-such-host is not installed\" with an address", err, output)
	}
}

// sources copies the sources of a package to a new folder.
func sources(t *testing.T) string {
	t.Helper()
	root, folder := os.DirFS("../../.."), t.TempDir()
	for _, top := range []string{"Makefile", "go.mod", "go.sum", "host.json", "functions", "handler"} {
		err := fs.WalkDir(root, top, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.Name() == "node_modules":
				return fs.SkipDir
			case entry.IsDir():
				return os.MkdirAll(filepath.Join(folder, name), 0o755)
			}
			text, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(folder, name), text, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestTheSameSourcesGiveTheSamePackage(t *testing.T) {
	t.Parallel()
	var packages [2][]byte
	for i := range packages {
		folder := sources(t) // path, times and modes differ from the first folder's
		output, err := runMakeIn(folder, "package", "VERSION=v1.2.3-canary")
		if err != nil || !strings.Contains(output, ".artifacts/tollgate.zip: ") {
			t.Fatalf("make package: got error %v and %s, want the package's path", err, output)
		}
		if packages[i], err = os.ReadFile(filepath.Join(folder, ".artifacts", "tollgate.zip")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(packages[0], packages[1]) {
		t.Error("two builds of the same sources: got different packages, want equal bytes")
	}
	archive, err := zip.NewReader(bytes.NewReader(packages[0]), int64(len(packages[0])))
	if err != nil {
		t.Fatal(err)
	}
	file, err := archive.Open("handler")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	licences, err := fs.ReadFile(archive, "THIRD-PARTY-LICENSES.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range info.Deps {
		if !bytes.Contains(licences, []byte("\n"+module.Path+" "+module.Version+"\n")) {
			t.Errorf("%s: got no licence in the package, want one", module.Path)
		}
	}
	built := make(map[string]string)
	for _, s := range info.Settings {
		built[s.Key] = s.Value
	}
	if built["GOOS"] != "linux" || built["GOARCH"] != "amd64" || built["CGO_ENABLED"] != "0" || built["-trimpath"] != "true" || !bytes.Contains(binary, []byte("v1.2.3-canary")) {
		t.Errorf("got a handler built with %v, want linux, amd64, no cgo, -trimpath and the version v1.2.3-canary", built)
	}
}
