package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheReadmesFirstHour runs the commands of the README's first hour, as they
// stand there, against a gateway's API. They leave the reader with a key that works.
func TestTheReadmesFirstHour(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "tollgate"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, section, found := strings.Cut(string(readme), "## Operate it: the first hour")
	section, _, _ = strings.Cut(section, "\n## ")
	var script []string
	for i, block := range strings.Split(section, "```\n") {
		if i%2 == 1 {
			script = append(script, strings.Split(strings.TrimSpace(block), "\n")...)
		}
	}
	if !found || len(script) < 12 || !strings.HasPrefix(script[0], "go build ") {
		t.Fatalf("the README's first hour is %q", script)
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
		t.Fatalf("%v\n%s", err, out)
	}
	for _, part := range []string{"takes the login", "expires ", "The old one goes on until", "suspended", "subscription.resume", "would be made"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("the first hour printed\n%s\nwithout %s", out, part)
		}
	}
	if info, err := os.Stat(filepath.Join(folder, "usage.csv")); err != nil || info.Size() == 0 {
		t.Errorf("usage.csv: %v", err)
	}
	key, err := os.ReadFile(filepath.Join(folder, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if grant, err := directory.Authenticate(t.Context(), string(key)); err != nil || grant.Subscription.ID != "team-a" {
		t.Errorf("the key that is left grants %+v, %v", grant, err)
	}
}
