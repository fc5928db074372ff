package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// everyCommand calls each with a command and all commands below it.
func everyCommand(cmd *cobra.Command, each func(*cobra.Command)) {
	each(cmd)
	for _, below := range cmd.Commands() {
		everyCommand(below, each)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	m := newTerminal(t)
	everyCommand((&app{}).root(), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())
		help := m.must(append(path[1:], "--help")...)
		_, usage, _ := strings.Cut(help, "Usage:\n")
		if first, _, _ := strings.Cut(usage, "\n"); !strings.HasPrefix(strings.TrimSpace(first), cmd.CommandPath()) {
			t.Errorf("%s: got the usage line %q, want it to begin with the command", cmd.CommandPath(), first)
		}
		if cmd.Short == "" || !strings.Contains(help, "Examples:\n  ") || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: got the short help %q and examples %q, want both, with the command in an example", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
	})
}

func TestNoFlagTakesASecret(t *testing.T) {
	everyCommand((&app{}).root(), func(cmd *cobra.Command) {
		for _, word := range []string{"pepper", "secret", "connection", "password", "api-key", "key"} {
			if cmd.Flags().Lookup(word) != nil || cmd.PersistentFlags().Lookup(word) != nil {
				t.Errorf("%s: got a flag --%s, want no secret on a command line", cmd.CommandPath(), word)
			}
		}
	})
}

func TestTheShellCompletes(t *testing.T) {
	m := newTerminal(t)
	m.must("tier", "set", "standard", "--create")
	m.must("subscription", "create", "team-a", "--tier", "standard")
	for _, test := range []struct{ line, want string }{
		{"tier show ", "standard"}, {"subscription show ", "team-a"}, {"key create ", "team-a"},
		{"key revoke team-a --slot ", "secondary"}, {"tier set x --reserve ", "full"}, {"subscription create b --tier ", "standard"},
		{"tier list --output ", "json"}, {"subscription set a --inherit ", "max-wait"}, {"subscription ", "suspend"}, {"", "subscription"},
	} {
		args := append([]string{"__complete"}, strings.Split(test.line, " ")...)
		if shown := m.must(args...); !strings.Contains("\n"+shown, "\n"+test.want) {
			t.Errorf("completion of %q: got %q, want a line that begins with %s", test.line, shown, test.want)
		}
	}
	if script := m.must("completion", "bash"); !strings.Contains(script, "__tollgate") {
		t.Errorf("completion bash: got %.200q, want a script with __tollgate", script)
	}
}
