package version

import (
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestWithoutAStampItIsTheCommit(t *testing.T) {
	for want, settings := range map[string][]debug.BuildSetting{
		"development":        nil,
		"0123456789ab":       {{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "false"}},
		"0123456789ab-dirty": {{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "0123456789abcdef"}},
	} {
		if got := revision(settings); got != want {
			t.Errorf("revision(%v) = %s, want %s", settings, got, want)
		}
	}
}

func TestTheStampIsWhatTheLinkerSets(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped by -short: it builds a program")
	}
	program := filepath.Join(t.TempDir(), "tollgate")
	build := exec.Command("go", "build", "-ldflags", "-X tollgate/handler/version.stamp=v1.2.3-canary", "-o", program, "tollgate/handler/cmd/tollgate")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	output, err := exec.Command(program, "version").Output()
	if err != nil || strings.TrimSpace(string(output)) != "v1.2.3-canary" {
		t.Errorf("tollgate version prints %q, %v; want v1.2.3-canary", output, err)
	}
}
