package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/spf13/cobra"

	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/doctor"
	"tollgate/handler/manage"
	managetables "tollgate/handler/manage/tablestore"
	"tollgate/handler/subscription/tablestore"
	"tollgate/handler/telemetry/appinsights"
	"tollgate/handler/upstream"
	"tollgate/handler/upstream/credential"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check settings, tables, identity, upstream, telemetry and clock, and say what to fix",
		Long: `Check what a gateway needs, and say what to fix. With --server the gateway looks
itself, with its own identity and settings, from where it is; otherwise this
machine does, with yours. It changes nothing: one row of the audit's table is
written and deleted. The status is 1 where anything is wrong.`,
		Example: "  tollgate doctor\n  tollgate doctor --server https://<app>.azurewebsites.net",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, err := a.examine(cmd)
			if err != nil {
				return err
			}
			if err := a.print(findings, func(w io.Writer) {
				for _, f := range findings {
					row(w, when(f.OK, "ok", "WRONG"), f.Name, f.Note)
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

// examine has the gateway, or this process, look. Settings that are wrong are
// findings too.
func (a *app) examine(cmd *cobra.Command) ([]manage.Finding, error) {
	a.progress("looking, which may take half a minute")
	defer a.progress("")
	if a.server() == "" {
		service, err := a.open()
		if err != nil {
			return []manage.Finding{{Name: "settings", Note: err.Error()}}, nil
		}
		checks, err := a.checks(service)
		if err != nil {
			return nil, err
		}
		return manage.Examine(cmd.Context(), checks), nil
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
	return append([]manage.Finding{{Name: "gateway", OK: true, Note: c.where + " answers, and takes the login", Taken: time.Since(started).Milliseconds()}}, page.Items...), nil
}

// checks are what this machine can look into.
func (a *app) checks(service *aztables.ServiceClient) ([]manage.Check, error) {
	file, err := a.file()
	if err != nil {
		return nil, err
	}
	setting := func(name string) string { return strings.TrimSpace(a.setting(file, name)) }
	checks := []manage.Check{{Name: "settings", Run: func(context.Context) (string, error) { return settled(setting) }}, doctor.Pepper(setting("KEY_PEPPER"))}
	checks = append(checks, doctor.Tables(managetables.New(service, a.tables.audit).Probe, tablestore.New(service, a.tables.directory))...)
	checks = append(checks, doctor.Counters(countertables.New(service, a.tables.counters).Stored))
	endpoints, withKeys := upstreams(setting)
	for _, address := range endpoints {
		checks = append(checks, doctor.Reachable("upstream", address))
	}
	if len(endpoints) > 0 && !withKeys {
		checks = append(checks, identity(upstream.Identity{ClientID: setting("AZURE_CLIENT_ID"), Audience: setting("UPSTREAM_AUDIENCE")}))
	}
	if connection, err := appinsights.ParseConnection(setting("APPLICATIONINSIGHTS_CONNECTION_STRING")); err == nil {
		checks = append(checks, doctor.Reachable("telemetry", connection.Endpoint))
	}
	return checks, nil
}

// identity looks whether the models' token can be had.
func identity(whose upstream.Identity) manage.Check {
	const of = "the models"
	token, err := credential.ManagedIdentity(whose)
	if err != nil {
		return doctor.Identity(of, func(context.Context) (string, error) { return "", err })
	}
	return doctor.Identity(of, token)
}

// settled says which settings are there, and what of them is wrong. The gateway
// itself names every wrong one when it starts.
func settled(setting func(string) string) (string, error) {
	var faults []error
	if endpoints, _ := upstreams(setting); len(endpoints) == 0 {
		fault := "UPSTREAM_URL and UPSTREAMS are missing: set one to where the models answer"
		if setting("UPSTREAMS") != "" {
			fault = `UPSTREAMS names no endpoint: write it as [{"url":"https://<name>.services.ai.azure.com"}]`
		}
		faults = append(faults, errors.New(fault))
	}
	note := "the models are named, telemetry is on"
	if text := setting("APPLICATIONINSIGHTS_CONNECTION_STRING"); text == "" {
		note = "the models are named, telemetry is off: APPLICATIONINSIGHTS_CONNECTION_STRING turns it on"
	} else if _, err := appinsights.ParseConnection(text); err != nil {
		faults = append(faults, fmt.Errorf("APPLICATIONINSIGHTS_CONNECTION_STRING %w", err))
	}
	if (setting("MANAGE_ISSUER") == "") != (setting("MANAGE_AUDIENCE") == "") {
		faults = append(faults, errors.New("MANAGE_ISSUER and MANAGE_AUDIENCE go together: set both or none"))
	}
	if err := errors.Join(faults...); err != nil {
		return "", errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return note, nil
}

// upstreams are the endpoints that the settings name, and whether all have keys.
func upstreams(setting func(string) string) (addresses []string, withKeys bool) {
	if address := setting("UPSTREAM_URL"); address != "" {
		return []string{address}, setting("UPSTREAM_API_KEY") != ""
	}
	var several []struct {
		URL        string
		Credential struct{ APIKey, Setting string }
	}
	withKeys = true
	if err := json.Unmarshal([]byte(setting("UPSTREAMS")), &several); err != nil {
		return nil, withKeys // which the gateway names at its start
	}
	for _, e := range several {
		addresses = append(addresses, e.URL)
		withKeys = withKeys && (e.Credential.APIKey != "" || e.Credential.Setting != "")
	}
	return addresses, withKeys
}
