package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"

	"tollgate/handler/counter"
	"tollgate/handler/housekeeping"
	"tollgate/handler/ledger"
)

func (a *app) housekeepingCommand() *cobra.Command {
	var retention string
	cmd := &cobra.Command{
		Use: "housekeeping", Short: "Roll up usage, tidy counters, and delete what is too old",
		Long: `Do by hand what the gateway's timer function does every hour: roll up usage
(processes' rows to minutes, minutes to hours), close the days that are over,
reclaim leases of dead instances, and delete usage past its time, owners of expired
responses and empty counters. It is safe to run at any time; if another run is in
progress, the timer's included, it says so and does nothing.`,
		Example: "  tollgate housekeeping\n  tollgate housekeeping --retention 30d",
		Args:    exactArgs(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runHousekeeping(cmd, retention) },
	}
	cmd.Flags().StringVar(&retention, "retention", "", "how long to keep days of usage, such as 90d (default: USAGE_RETENTION, else 400d)")
	return cmd
}

func (a *app) runHousekeeping(cmd *cobra.Command, retention string) error {
	file, err := a.file()
	if err != nil {
		return err
	}
	name := "--retention"
	if retention == "" {
		name, retention = "USAGE_RETENTION", a.setting(file, "USAGE_RETENTION")
	}
	kept, err := ledger.ParseRetention(retention)
	if err != nil {
		return &usageError{cmd.CommandPath(), fmt.Sprintf("%s is %q: %v", name, retention, err)}
	}
	stores, err := a.openTablesOnly(cmd)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	counters := counter.New(counter.Config{Store: stores.Counters, Log: log})
	report, err := stores.Housekeeping(counters, kept, log).Run(cmd.Context())
	if errors.Is(err, housekeeping.ErrTaken) {
		return err
	}
	printed := a.print(report, func(w io.Writer) {
		row(w, "COUNTERS", "RECLAIMED", "COUNTERS DELETED", "SUBSCRIPTIONS", "ROWS ROLLED UP", "DAYS CLOSED", "ROWS DELETED", "OWNERS DELETED", "FAILED")
		count := func(n int64) string { return strconv.FormatInt(n, 10) }
		row(w, count(report.Counters), count(report.Reclaimed), count(report.CountersDeleted),
			count(report.Subscriptions), count(report.RowsRolledUp), count(report.DaysClosed), count(report.RowsDeleted), count(report.OwnersDeleted), count(report.Failed))
	})
	if err != nil {
		return err
	}
	return printed
}
