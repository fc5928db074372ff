package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tollgate/handler/storage"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/tablestore"
)

// app is what commands share: where they are told their settings, what they
// work on, and where they write.
type app struct {
	getenv         func(string) string
	stdout, stderr io.Writer
	tables         tablestore.Tables

	// flags of every command
	output       output
	settingsPath string
	quiet        bool
}

// registry opens the tables that the settings name.
func (a *app) registry() (subscription.Registry, error) {
	service, err := a.storage()
	if err != nil {
		return subscription.Registry{}, err
	}
	client, err := storage.Open(service)
	if err != nil {
		return subscription.Registry{}, err
	}
	return subscription.Registry{Store: tablestore.New(client, a.tables)}, nil
}

// storage is where the settings say that the tables are. Its settings belong
// together: those of the environment hold, or those of the file.
func (a *app) storage() (storage.Settings, error) {
	file, err := a.file()
	if err != nil {
		return storage.Settings{}, err
	}
	if a.setting(file, "STORE") == "memory" {
		return storage.Settings{}, errors.New("STORE is memory, which lives in the gateway alone: set STORE to tables to keep subscriptions there")
	}
	settings := storage.Read(a.getenv)
	if settings == (storage.Settings{}) {
		settings = storage.Read(file.value)
	}
	if settings == (storage.Settings{}) {
		return settings, fmt.Errorf("AzureWebJobsStorage is missing in the environment and %s: "+
			"set it to a connection string or UseDevelopmentStorage=true, or set AzureWebJobsStorage__accountName", file)
	}
	return settings, nil
}

// pepper is the secret under which keys are stored: the gateway's.
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

// setting is the environment's, else the file's.
func (a *app) setting(file settingsFile, name string) string {
	if value := a.getenv(name); value != "" {
		return value
	}
	return file.value(name)
}

// note tells an operator something beside the result.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// warn tells what is allowed and may yet surprise.
func (a *app) warn(warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintf(a.stderr, "warning: %s\n", warning)
	}
}

// ids completes the one argument of a command with what list finds.
func (a *app) ids(list func(subscription.Registry, *cobra.Command) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		registry, err := a.registry()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ids, err := list(registry, cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

func subscriptionIDs(r subscription.Registry, cmd *cobra.Command) (ids []string, err error) {
	all, err := r.Subscriptions(cmd.Context())
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids, err
}

func tierIDs(r subscription.Registry, cmd *cobra.Command) (ids []string, err error) {
	all, err := r.Tiers(cmd.Context())
	for _, t := range all {
		ids = append(ids, t.ID)
	}
	return ids, err
}
