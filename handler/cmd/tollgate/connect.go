package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	wiring "tollgate/handler/app"
	"tollgate/handler/azure"
	"tollgate/handler/config"
	"tollgate/handler/ledger"
	"tollgate/handler/manage"
	"tollgate/handler/price"
	"tollgate/handler/subscription"
)

// client returns a client of the gateway that --server names, or of the tables that the
// settings name.
func (a *app) client() (*client, error) {
	if a.connected != nil {
		return a.connected, nil
	}
	var err error
	if a.server() != "" {
		a.connected, err = a.remote(a.server())
	} else {
		a.connected, err = a.local()
	}
	return a.connected, err
}

// server returns the gateway's address; empty to use the tables.
func (a *app) server() string {
	if a.serverFlag != "" {
		return a.serverFlag
	}
	return a.environment("TOLLGATE_SERVER")
}

// remote returns a client of a deployed gateway.
func (a *app) remote(address string) (*client, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, &usageError{"tollgate", fmt.Sprintf("--server is %q: use the gateway's address, such as https://<app>.azurewebsites.net", address)}
	}
	onThisMachine := azure.IsLoopback(u.Hostname())
	if u.Scheme == "http" && !onThisMachine {
		return nil, &usageError{"tollgate", fmt.Sprintf("--server is %q: use https, so that nobody can read your token on the way", address)}
	}
	token, err := a.token(onThisMachine)
	if err != nil {
		return nil, err
	}
	return &client{base: u.String() + manage.Prefix, http: &http.Client{
		Timeout:       answerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, token: token, server: u.String()}, nil
}

// token returns a function that returns the credential for a deployed gateway: MANAGE_KEY, if
// the environment or, for a gateway on this machine, the settings file has it, else an Entra ID
// token of the current login.
func (a *app) token(onThisMachine bool) (func(context.Context) (string, error), error) {
	file, err := a.file()
	if err != nil {
		return nil, err
	}
	key := a.environment("MANAGE_KEY")
	if key == "" && onThisMachine {
		key = file.value("MANAGE_KEY")
	}
	if key != "" {
		return func(context.Context) (string, error) { return key, nil }, nil
	}
	audience := a.setting(file, "MANAGE_AUDIENCE")
	if audience == "" {
		return nil, fmt.Errorf("MANAGE_AUDIENCE is missing in the environment and %s: set it to the application's id or URI to log in with Entra ID, or set MANAGE_KEY", file)
	}
	credential, err := azure.Credential("")
	if err != nil {
		return nil, fmt.Errorf("log in with Entra ID: %w", err)
	}
	scope := strings.TrimRight(audience, "/") + "/.default"
	tokens := azure.BearerTokens(credential, scope)
	return func(ctx context.Context) (string, error) {
		token, err := tokens(ctx)
		if err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			return "", fmt.Errorf("%s: log in with 'az login'", first)
		}
		return token, nil
	}, nil
}

// local returns a client of the tables, through an operators' API in this process.
func (a *app) local() (*client, error) {
	stores, err := a.openTables()
	if err != nil {
		return nil, err
	}
	return &client{base: "http://localhost" + manage.Prefix, http: &http.Client{Transport: localTransport{manage.New(a.operators(stores))}},
		token: func(context.Context) (string, error) { return "local", nil }, server: "the tables"}, nil
}

// openTables opens the tables of the account that the settings name.
func (a *app) openTables() (wiring.Stores, error) {
	settings, err := a.storage()
	if err != nil {
		return wiring.Stores{}, err
	}
	return wiring.OpenTables(settings, a.tables)
}

// openTablesOnly opens the tables for a command that works only on them. It fails if
// --server is set, since the tables of the settings may not be that gateway's.
func (a *app) openTablesOnly(cmd *cobra.Command) (wiring.Stores, error) {
	if a.server() != "" {
		return wiring.Stores{}, &usageError{cmd.CommandPath(), "this command works on the tables themselves: remove --server, unset TOLLGATE_SERVER, and set AzureWebJobsStorage"}
	}
	return a.openTables()
}

// operators returns the configuration of an operators' API that lets this program's
// user do everything.
func (a *app) operators(stores wiring.Stores) manage.Config {
	var pepper *subscription.Pepper
	if p, err := a.pepper(); err == nil { // commands that need the pepper report the error
		pepper = &p
	}
	operators := stores.Operators(pepper, slog.New(slog.DiscardHandler))
	operators.Auth = localUser{}
	operators.Served = a.served()
	if file, err := a.file(); err == nil {
		operators.Deployment = a.setting(file, "WEBSITE_SITE_NAME")
		operators.Retention, _ = ledger.ParseRetention(a.setting(file, "USAGE_RETENTION")) // housekeeping reports the error
	}
	return operators
}

// served returns what a gateway with these settings serves. It returns nothing, which means
// unknown, if a gateway couldn't start with them.
func (a *app) served() price.Served {
	file, err := a.file()
	if err != nil {
		return price.Served{}
	}
	read, err := config.Load(func(name string) string { return a.setting(file, name) })
	if err != nil {
		return price.Served{}
	}
	return wiring.Served(read)
}

// localUser authenticates the user of this program as an operator. The storage account decides
// what the user may do.
type localUser struct{}

// Authenticate implements manage.Authenticator.
func (localUser) Authenticate(context.Context, string) (string, error) {
	who := "command line"
	if u, err := user.Current(); err == nil {
		who += " (" + u.Username + ")"
	}
	return who, nil
}

// pepper returns the secret that keys are hashed with, which must be the gateway's.
func (a *app) pepper() (subscription.Pepper, error) {
	file, err := a.file()
	if err != nil {
		return subscription.Pepper{}, err
	}
	pepper, err := subscription.NewPepper(a.setting(file, "KEY_PEPPER"))
	if err != nil {
		return pepper, fmt.Errorf("KEY_PEPPER %w; it must be the gateway's", err)
	}
	return pepper, nil
}

// storage returns the settings of the tables: all from the environment, or all from the
// file, never mixed.
func (a *app) storage() (azure.Settings, error) {
	file, err := a.file()
	if err != nil {
		return azure.Settings{}, err
	}
	if a.setting(file, "STORE") == "memory" {
		return azure.Settings{}, errors.New("STORE is memory, which only the gateway itself can read: set STORE to tables, or name the gateway with --server")
	}
	settings := azure.ReadSettings(a.getenv)
	if settings == (azure.Settings{}) {
		settings = azure.ReadSettings(file.value)
	}
	if settings == (azure.Settings{}) {
		return settings, fmt.Errorf("AzureWebJobsStorage is missing in the environment and %s: "+
			"set it to a connection string or UseDevelopmentStorage=true, or set AzureWebJobsStorage__accountName, or name a gateway with --server", file)
	}
	return settings, nil
}

// setting returns a setting from the environment, or else from the file.
func (a *app) setting(file settingsFile, name string) string {
	if value := a.environment(name); value != "" {
		return value
	}
	return file.value(name)
}

// environment returns a setting from the environment, trimmed as the gateway does: with
// a newline after the pepper, the gateway would refuse the keys made here.
func (a *app) environment(name string) string { return strings.TrimSpace(a.getenv(name)) }
