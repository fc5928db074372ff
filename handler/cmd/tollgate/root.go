package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// root returns the whole command line. Each command has its own file and a line here.
func (a *app) root() *cobra.Command {
	root := commandGroup("tollgate", "Tiers, groups, subscriptions and keys of a Tollgate gateway", `Tollgate's gateway limits the tokens that its callers may use. This command line
manages callers, their limits and prices, and shows what callers use. It works on
the tables that the gateway reads.

With --server, or TOLLGATE_SERVER, it calls a deployed gateway instead, with the
key in MANAGE_KEY, or else with your Entra ID login and MANAGE_AUDIENCE. Either
way, every change is recorded in the audit.

Like the gateway, it finds the tables by AzureWebJobsStorage[__…] and hashes keys
with KEY_PEPPER, from the environment or from the Values of local.settings.json,
in the current folder or where --settings says. The environment takes
precedence. Secrets are never arguments.

Results go to stdout; notes, warnings and errors to stderr.

Exit status:
  0  done
  1  failed: the storage can't be reached, or the settings are wrong
  2  the command line or a value in it is wrong
  3  something that it names was not found
  4  what it would create exists already, what it would delete is in use, or what it
     would change was changed in the meantime
  5  the gateway refuses the login or the key, or the role is missing`, `  tollgate tier set standard --create --tokens-per-minute 1000
  tollgate subscription create team-a --tier standard
  KEY=$(tollgate key create team-a)`,
		a.subscriptionCommand(),
		a.keyCommand(),
		a.tierCommand(),
		a.groupCommand(),
		a.priceCommand(),
		a.usageCommand(),
		a.reportCommand(),
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
	flags.StringVar(&a.serverFlag, "server", "", "a deployed gateway to call, such as https://<app>.azurewebsites.net (default: the tables)")
	flags.StringVar(&a.settingsPath, "settings", "", "a local.settings.json to read settings from (default: the one in the current folder, if any)")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print only results, warnings and errors")
	complete(root, "output", string(asTable), string(asJSON))
	return root
}

// commandGroup returns a command that only has subcommands.
func commandGroup(name, short, long, example string, commands ...*cobra.Command) *cobra.Command {
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

// exactArgs requires exactly the arguments that a usage line names, such as ID.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return &usageError{cmd.CommandPath(), fmt.Sprintf("%s is missing: %s", names[len(args)], cmd.UseLine())}
		case len(args) > len(names):
			return &usageError{cmd.CommandPath(), fmt.Sprintf("%q is one argument too many: %s", args[len(names)], cmd.UseLine())}
		}
		for i, arg := range args {
			if arg == "" || arg == "." || arg == ".." { // would change the request's path
				return &usageError{cmd.CommandPath(), fmt.Sprintf("%s is %q, which can't be an id: %s", names[i], arg, cmd.UseLine())}
			}
		}
		return nil
	}
}

// complete sets the values that the shell suggests for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	fixed := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc(flag, fixed); err != nil {
		panic(err) // no such flag: a mistake in this program
	}
}
