package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commands returns the lines of the code blocks in a section of a page.
func commands(t *testing.T, page, section string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/%s: got no section %q, want one", page, section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	for i, block := range strings.Split(rest, "```\n") {
		if i%2 == 1 {
			lines = append(lines, strings.Split(strings.TrimSpace(block), "\n")...)
		}
	}
	return lines
}

// TestTheDocumentedFirstHourWorks runs the commands of docs/operate.md's first hour and of the
// import in docs/migrate-from-apim.md, as the pages have them, against a gateway's
// API. They leave the reader with a key that works.
func TestTheDocumentedFirstHourWorks(t *testing.T) {
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "tollgate"), ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: got %v: %s, want the binary", err, out)
	}
	script := append(commands(t, "operate.md", "The first hour"), commands(t, "migrate-from-apim.md", "Import")...)
	if len(script) < 16 || !strings.HasPrefix(script[0], "go build ") {
		t.Fatalf("got the first hour's commands %q, want go build and 15 or more after it", script)
	}
	text := "set -ex\n" + strings.Join(script[1:], "\n") + "\nset +x\nprintf %s \"$KEY\" > key\n"
	text = strings.Replace(text, "./tollgate watch\n", "./tollgate watch --count 1\n", 1)
	m := newTerminal(t)
	directory := m.directory()
	server := m.deploy()
	for name, content := range map[string]string{
		"policy.xml":         `<policies><inbound><llm-token-limit counter-key="@(context.Subscription.Id)" tokens-per-minute="500" estimate-prompt-tokens="true"/></inbound></policies>`,
		"subscriptions.json": `[{"name":"b","scope":"/products/gold","state":"active"}]`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "sh", "-c", text)
	command.Dir = folder
	command.Env = append(os.Environ(), "TOLLGATE_SERVER="+server.URL, "MANAGE_KEY="+testKey)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("the first hour's commands: got %v, want all to succeed:\n%s", err, out)
	}
	for _, part := range []string{"accepts the login", "expires ", "The old key stays valid until", "suspended", "subscription.resume", "would be created"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the first hour's commands: got\n%s\nwant %q in it", out, part)
		}
	}
	if info, err := os.Stat(filepath.Join(folder, "usage.csv")); err != nil || info.Size() == 0 {
		t.Errorf("usage.csv: got error %v or an empty file, want rows", err)
	}
	key, err := os.ReadFile(filepath.Join(folder, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if grant, err := directory.Authenticate(t.Context(), string(key)); err != nil || grant.Subscription.ID != "team-a" {
		t.Errorf("the key that is left: got %+v and error %v, want the subscription team-a", grant, err)
	}
}

// TestTheDocumentedPriceCommandsWork runs the commands of docs/money.md, as the page has
// them.
func TestTheDocumentedPriceCommandsWork(t *testing.T) {
	lines := append(commands(t, "money.md", "Setting prices"), commands(t, "money.md", "Importing prices")...)
	if len(lines) < 10 {
		t.Fatalf("docs/money.md: got the commands %q, want 10 or more", lines)
	}
	m := newTerminal(t)
	list := `{"azure/gpt-4.1":{"input_cost_per_token":2e-06,"output_cost_per_token":8e-06},"azure/gpt-4.1-mini":{"input_cost_per_token":4e-07,"output_cost_per_token":1.6e-06}}`
	if err := os.WriteFile("model_prices_and_context_window.json", []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		m.must(strings.Fields(strings.TrimPrefix(line, "./tollgate "))...)
	}
	shown := m.must("price", "list")
	for _, want := range []string{"gpt-4.1", "us-zone × 1.1", "our-own-model", "our-chat", "0.4 "} {
		if !strings.Contains(shown, want) {
			t.Errorf("after the commands: got\n%s\nwant %s", shown, want)
		}
	}
}

// TestTheDocumentedLimitsWork runs the commands of docs/limits.md on limits, groups,
// overrides and deletions, as the page has them.
func TestTheDocumentedLimitsWork(t *testing.T) {
	var lines []string
	for _, section := range []string{"A list of limits", "Groups", "Overrides", "Deleting"} {
		lines = append(lines, commands(t, "limits.md", section)...)
	}
	if len(lines) < 16 {
		t.Errorf("got %d commands in docs/limits.md, want 16 or more", len(lines))
	}
	m := newTerminal(t)
	m.must("tier", "set", "gold", "--create", "--tokens-per-minute", "1000")
	m.must("subscription", "create", "team-a", "--tier", "gold")
	m.must("key", "create", "team-a")
	if err := os.WriteFile("limits.json", []byte(`[{"name":"tokens","unit":"tokens","perMinute":9000},{"name":"calls","unit":"calls","perMinute":60}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		m.must(words(line)[1:]...)
	}
}

// words splits a line as a shell does, by spaces and single quotes.
func words(line string) (all []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}

// TestEveryDocumentedCommandExists checks the commands that README and the docs
// quote in their text, and their flags.
func TestEveryDocumentedCommandExists(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	root, found := (&app{}).root(), 0
	root.InitDefaultCompletionCmd()
	for _, page := range append(pages, "../../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile("`tollgate ([a-z][^`]*)`").FindAllSubmatch(text, -1) {
			found++
			words := strings.Fields(string(match[1]))
			command, rest, err := root.Find(words)
			group := err == nil && command.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-")
			if err != nil || !command.HasParent() || group {
				t.Errorf("%s: got no command %q (%v), want one that can be run", filepath.Base(page), match[1], err)
				continue
			}
			for _, word := range rest {
				flag, named := strings.CutPrefix(word, "--")
				if flag, _, _ = strings.Cut(flag, "="); named && flag != "help" && command.Flags().Lookup(flag) == nil {
					t.Errorf("%s: %q got the flag --%s, want one that the command has", filepath.Base(page), command.CommandPath(), flag)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("got %d commands in the pages, want 10 or more", found)
	}
}
