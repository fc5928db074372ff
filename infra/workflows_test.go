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
		t.Fatalf("got workflows %v and error %v, want at least one", files, err)
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
				t.Errorf("%s: got %s, want a commit with its version in a comment", name, used[1])
			}
			action, commit, _ := strings.Cut(used[1], "@")
			if before, seen := commits[action]; seen && before != commit {
				t.Errorf("%s: got the commits %s and %s, want one", action, before, commit)
			}
			commits[action] = commit
		}
	}
}

func TestWorkflowsHaveMinimalPermissions(t *testing.T) {
	for name, text := range workflows(t) {
		if !strings.Contains(text, "\npermissions:") {
			t.Errorf("%s: got the repository's default permissions, want its own", name)
		}
		var writes []string
		for _, grant := range grants.FindAllStringSubmatch(text, -1) {
			writes = append(writes, grant[1])
		}
		if want := map[string][]string{"deploy.yml": {"id-token"}}[name]; !slices.Equal(writes, want) {
			t.Errorf("%s: got write permissions %v, want %v", name, writes, want)
		}
		if strings.Contains(text, "pull_request_target") {
			t.Errorf("%s: got the trigger pull_request_target, which runs a fork's code with the repository's rights, want another", name)
		}
	}
}

// TestNoExpressionIsPartOfAScript: whoever starts a workflow can put commands into an
// expression's text.
func TestNoExpressionIsPartOfAScript(t *testing.T) {
	for name, text := range workflows(t) {
		for _, step := range strings.Split(text, "- ")[1:] {
			_, script, found := strings.Cut(step, "run: ")
			script, _, _ = strings.Cut(script, "env:")
			if found && strings.Contains(script, "${{") {
				t.Errorf("%s: got an expression in the script %s, want none", name, script)
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
				t.Errorf("%s: got make %s, want a target of the Makefile", name, target[1])
			}
		}
	}
}
