package infra_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func workflows(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no workflows", err)
	}
	found := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(file)] = string(text)
	}
	return found
}

var (
	uses    = regexp.MustCompile(`(?m)^\s*(?:- )?uses: (.*)$`)
	pinned  = regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	grants  = regexp.MustCompile(`(?m)^\s+([a-z-]+): write\b`)
	targets = regexp.MustCompile(`(?m)run: make ([a-z-]+)`)
)

func TestActionsArePinnedToACommit(t *testing.T) {
	commits := make(map[string]string)
	for name, text := range workflows(t) {
		for _, used := range uses.FindAllStringSubmatch(text, -1) {
			if !pinned.MatchString(used[1]) {
				t.Errorf("%s uses %s, not a commit with its version", name, used[1])
			}
			action, commit, _ := strings.Cut(used[1], "@")
			if before, seen := commits[action]; seen && before != commit {
				t.Errorf("%s is used at %s and %s", action, before, commit)
			}
			commits[action] = commit
		}
	}
}

func TestWorkflowsHaveMinimalPermissions(t *testing.T) {
	for name, text := range workflows(t) {
		if !strings.Contains(text, "\npermissions:") {
			t.Errorf("%s has the repository's default permissions", name)
		}
		var writes []string
		for _, grant := range grants.FindAllStringSubmatch(text, -1) {
			writes = append(writes, grant[1])
		}
		if want := map[string][]string{"deploy.yml": {"id-token"}}[name]; !slices.Equal(writes, want) {
			t.Errorf("%s may write %v", name, writes)
		}
		if strings.Contains(text, "pull_request_target") {
			t.Errorf("%s runs a stranger's code with the repository's rights", name)
		}
	}
}

// TestNoExpressionIsPartOfAScript: an expression in a script is text that
// whoever starts the workflow writes.
func TestNoExpressionIsPartOfAScript(t *testing.T) {
	for name, text := range workflows(t) {
		for _, step := range strings.Split(text, "- ")[1:] {
			_, script, found := strings.Cut(step, "run: ")
			script, _, _ = strings.Cut(script, "env:")
			if found && strings.Contains(script, "${{") {
				t.Errorf("%s runs %s", name, script)
			}
		}
	}
}

func TestWorkflowsRunExistingTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range workflows(t) {
		for _, target := range targets.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+target[1]+":") {
				t.Errorf("%s runs make %s", name, target[1])
			}
		}
	}
}
