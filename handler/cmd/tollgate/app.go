package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

// app is what commands share: where they are told their settings, what they
// work on, and where they write.
type app struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	tables         tables

	// flags of every command
	output       output
	settingsPath string
	serverFlag   string
	quiet        bool

	connected *client
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

// progress says how far long work is, in a line that the next one replaces: on
// a terminal only. An empty one clears it.
func (a *app) progress(format string, args ...any) {
	if !a.quiet && terminalOf(a.stderr) {
		fmt.Fprintf(a.stderr, "\r\x1b[K"+format, args...)
	}
}

// terminalOf says whether somebody is looking.
func terminalOf(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ids completes the one argument of a command with what list finds.
func (a *app) ids(list func(context.Context, *app) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ids, err := list(cmd.Context(), a)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

func subscriptionIDs(ctx context.Context, a *app) ([]string, error) {
	return listIDs(ctx, a, "/subscriptions", func(s subscription.Subscription) string { return s.ID })
}

func tierIDs(ctx context.Context, a *app) ([]string, error) {
	return listIDs(ctx, a, "/tiers", func(t subscription.Tier) string { return t.ID })
}

func listIDs[T any](ctx context.Context, a *app, path string, id func(T) string) ([]string, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	items, err := all[T](ctx, a, c, path, nil)
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = id(item)
	}
	return slices.Compact(ids), err
}
