package main

import (
	"fmt"

	"github.com/spf13/cobra"

	build "tollgate/handler/version"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print which build this is",
		Long:    "Prints which build this is, as the gateway's log names its own when it starts.",
		Example: "  tollgate version",
		Args:    named(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, build.String())
			return err
		},
	}
}
