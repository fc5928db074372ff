package main

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The binary built for Azure lists its modules.
func TestEveryLinkedModulesLicenceIsWritten(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it lists every linked package")
	}
	t.Chdir(filepath.Join("..", "..", ".."))
	folder := t.TempDir()
	binary, written := filepath.Join(folder, "handler"), filepath.Join(folder, "licences.txt")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./handler")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: got %v: %s, want the binary", err, out)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := run("./handler", written); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) < 10 {
		t.Fatalf("got %d modules in the handler, want at least 10", len(info.Deps))
	}
	for _, module := range info.Deps {
		dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module.Path).Output()
		if err != nil {
			t.Fatalf("%s: got %v, want its licence files", module.Path, err)
		}
		heading := rule + module.Path + " " + module.Version + "\n" + rule
		_, after, found := strings.Cut(string(text), heading)
		section, _, _ := strings.Cut(after, "\n"+rule)
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "LICENSE*"))
		if err != nil || !found {
			t.Errorf("%s, which is linked: got no section (error %v), want one", module.Path, err)
			continue
		}
		for _, file := range files {
			its, err := os.ReadFile(file)
			if err != nil || !strings.Contains(section, strings.TrimSpace(strings.ReplaceAll(string(its), "\r\n", "\n"))) {
				t.Errorf("%s: got a section without the text of %s (error %v), want all of it", module.Path, filepath.Base(file), err)
			}
		}
		if lower := strings.ToLower(section); !strings.Contains(lower, "copyright") && !strings.Contains(lower, "license") {
			t.Errorf("%s: got the section %s, want a licence or a copyright in it", module.Path, section)
		}
	}
	for _, also := range []string{"Go\n", "The Go Authors", "uPlot", "Leon Sorokin", "DeepSeek"} {
		if !strings.Contains(string(text), also) {
			t.Errorf("got a file without %q, want it there", also)
		}
	}
}

func TestAModuleWithoutALicenceIsAnError(t *testing.T) {
	module := t.TempDir()
	inner := filepath.Join(module, "inner")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if files, err := licencesOf(inner, module); err == nil {
		t.Errorf("a module without a licence: got files %v, want an error", files)
	}
	for _, name := range []string{"license.go", "licensed.txt", "README.md"} {
		if err := os.WriteFile(filepath.Join(module, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := licencesOf(inner, module); err == nil {
		t.Errorf("a module with other files only: got files %v, want an error", files)
	}
	for _, name := range []string{"LICENCE", "LICENSE-MIT.txt", "NOTICE", filepath.Join("inner", "Copying")} {
		if err := os.WriteFile(filepath.Join(module, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := licencesOf(inner, module); err != nil || len(files) != 4 {
		t.Errorf("got licence files %v and error %v, want 4 files", files, err)
	}
}
