package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// makes runs a target of the Makefile.
func makes(args ...string) (output string, err error) {
	command := exec.Command("make", append([]string{"--no-print-directory"}, args...)...)
	command.Dir = filepath.Join("..", "..")
	text, err := command.CombinedOutput()
	return string(text), err
}

func TestBuildMakesWhatTheHostRuns(t *testing.T) {
	t.Parallel()
	folder := dist(t)
	for _, name := range []string{"host.json", "local.settings.json", "gateway/function.json", "handler"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || name == "handler" && info.Mode()&0o111 == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	sample, err := os.ReadFile("../../local.settings.sample.json")
	if copied, _ := os.ReadFile(filepath.Join(folder, "local.settings.json")); err != nil || string(copied) != string(sample) {
		t.Errorf("the settings are not the sample's: %v", err)
	}
}

func TestBuildLeavesTheSettingsThatAreThere(t *testing.T) {
	t.Parallel()
	dist(t) // so that the build is in the cache
	folder := t.TempDir()
	own := filepath.Join(folder, "local.settings.json")
	if err := os.WriteFile(own, []byte("my own"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := makes("build", "DIST="+folder); err != nil {
		t.Fatal(err, output)
	}
	if kept, err := os.ReadFile(own); err != nil || string(kept) != "my own" {
		t.Errorf("the settings became %q: %v", kept, err)
	}
}

func TestStartSaysHowToGetAHost(t *testing.T) {
	t.Parallel()
	dist(t)
	output, err := makes("start", "DIST="+t.TempDir(), "FUNC=no-such-host")
	if err == nil || !strings.Contains(output, "no-such-host is not installed: https://learn.microsoft.com/") {
		t.Errorf("%v: %s", err, output)
	}
}
