package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// root is the whole command line. Each command is a file of its own and a line here.
func (a *app) root() *cobra.Command {
	root := group("tollgate", "Tiers, subscriptions and keys of a Tollgate gateway", `Tollgate's gateway holds callers to a budget of tokens. This command line says
who may call, with what limits, and what they use: it works on the tables that
the gateway reads.

With --server, or TOLLGATE_SERVER, it asks a deployed gateway instead: with the
key in MANAGE_KEY, else as who is logged in with Entra ID, for MANAGE_AUDIENCE.
Every change has its row in the audit, either way.

Where the tables are, and the pepper under which keys are stored, it is told as
the gateway is: by AzureWebJobsStorage[__…] and KEY_PEPPER, in the environment
or in the Values of local.settings.json, here or where --settings says. The
environment wins. No secret is ever an argument.

Results go to stdout; notes, warnings and errors to stderr.

Exit status:
  0  done
  1  failed: the storage can't be reached, or the settings are wrong
  2  the command line or a value in it is wrong
  3  what it names was not found
  4  what it makes exists already, or was changed meanwhile
  5  the gateway doesn't take the login or the key, or it lacks the role`, `  tollgate tier set standard --create --tokens-per-minute 1000
  tollgate subscription create team-a --tier standard
  KEY=$(tollgate key create team-a)`,
		a.subscriptionCommand(),
		a.keyCommand(),
		a.tierCommand(),
		a.usageCommand(),
		a.watchCommand(),
		a.auditCommand(),
		a.doctorCommand(),
		a.importCommand(),
		a.metricsCommand(),
		a.tokensCommand(),
		a.housekeepingCommand(),
		a.versionCommand(),
	)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{cmd.CommandPath(), err.Error()}
	})
	a.output = asTable
	flags := root.PersistentFlags()
	flags.VarP(&a.output, "output", "o", "how to print results: table or json")
	flags.StringVar(&a.serverFlag, "server", "", "a deployed gateway to ask, such as https://<app>.azurewebsites.net (default: the tables)")
	flags.StringVar(&a.settingsPath, "settings", "", "a local.settings.json to read settings from (default: the one here, if there is one)")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print results, warnings and errors only")
	complete(root, "output", string(asTable), string(asJSON))
	return root
}

// group is a command that only has others below it.
func group(name, short, long, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long, Example: example,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			problem := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				problem += ": did you mean " + strings.Join(near, " or ") + "?"
			}
			return &usageError{cmd.CommandPath(), problem}
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(commands...)
	return cmd
}

// named takes exactly the arguments that a usage line names, such as ID.
func named(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return &usageError{cmd.CommandPath(), fmt.Sprintf("%s is missing: %s", names[len(args)], cmd.UseLine())}
		case len(args) > len(names):
			return &usageError{cmd.CommandPath(), fmt.Sprintf("%q is one argument too many: %s", args[len(names)], cmd.UseLine())}
		}
		for i, arg := range args {
			if arg == "" || arg == "." || arg == ".." { // which would ask for another path
				return &usageError{cmd.CommandPath(), fmt.Sprintf("%s is %q, which nothing has for an id: %s", names[i], arg, cmd.UseLine())}
			}
		}
		return nil
	}
}

// complete gives the shell the values that a flag may have.
func complete(cmd *cobra.Command, flag string, values ...string) {
	fixed := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(flag, fixed); err != nil {
		panic(err) // no such flag: a mistake in this program
	}
}
