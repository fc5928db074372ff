package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	wiring "tollgate/handler/app"
	"tollgate/handler/config"
	"tollgate/handler/manage"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check settings, tables, identity, upstream, telemetry and clock, and say what to fix",
		Long: `Check everything that a gateway needs, and say what to fix. With --server the
gateway runs the checks, with its own identity and settings; otherwise this
machine does, with yours. Nothing is changed, except that one row of the audit
table is written and deleted. The exit status is 1 if anything is wrong.`,
		Example: "  tollgate doctor\n  tollgate doctor --server https://<app>.azurewebsites.net",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, err := a.runChecks(cmd)
			if err != nil {
				return err
			}
			if err := a.print(findings, func(w io.Writer) {
				for _, f := range findings {
					row(w, ifElse(f.OK, "ok", "WRONG"), f.Name, f.Note)
				}
			}); err != nil {
				return err
			}
			wrong := 0
			for _, f := range findings {
				if !f.OK {
					wrong++
				}
			}
			if wrong > 0 {
				return fmt.Errorf("%d of %d checks found something wrong", wrong, len(findings))
			}
			return nil
		},
	}
}

// runChecks runs the checks in the gateway or in this process.
func (a *app) runChecks(cmd *cobra.Command) ([]manage.Finding, error) {
	a.progress("checking; this may take half a minute")
	defer a.progress("")
	if a.server() == "" {
		checks, err := a.checks()
		if err != nil {
			return nil, err
		}
		return manage.RunChecks(cmd.Context(), checks), nil
	}
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	var page struct{ Items []manage.Finding }
	started := time.Now()
	if err := c.do(cmd.Context(), request{method: http.MethodGet, path: "/checks"}, &page); err != nil {
		return nil, err
	}
	return append([]manage.Finding{{Name: "gateway", OK: true, Note: c.server + " answers and accepts the login", Milliseconds: time.Since(started).Milliseconds()}}, page.Items...), nil
}

// checks returns the checks that this machine can run: of the settings, as the gateway
// itself checks them, and of what they name, as far as they can be read.
func (a *app) checks() ([]manage.Check, error) {
	file, err := a.file()
	if err != nil {
		return nil, err
	}
	read, faults := config.Load(func(name string) string { return a.setting(file, name) })
	stores, err := a.openTables()
	if err != nil && faults == nil { // else the settings check reports it
		return nil, err
	}
	settings := manage.Check{Name: "settings", Run: func(context.Context) (string, error) { return describeSettings(read, faults) }}
	return append([]manage.Check{settings}, wiring.Checks(read, faults, stores)...), nil
}

// describeSettings returns a note if the gateway can start with these settings, else the faults.
func describeSettings(read config.Config, faults error) (string, error) {
	if faults != nil {
		return "", errors.New("the gateway can't start with these settings: " + strings.ReplaceAll(faults.Error(), "\n", "; "))
	}
	if !read.Telemetry.On {
		return "the gateway can start with these settings; telemetry is off: set APPLICATIONINSIGHTS_CONNECTION_STRING to turn it on", nil
	}
	return "the gateway can start with these settings; telemetry is on", nil
}
