package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	build "tollgate/handler/version"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print which build this is",
		Long:    "Print which build this is. A gateway logs its own when it starts.",
		Example: "  tollgate version",
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			return a.print(map[string]string{"version": build.String()}, func(w io.Writer) { fmt.Fprintln(w, build.String()) })
		},
	}
}
